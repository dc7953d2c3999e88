"""Opened backup rows become sessions: in the store's thread, after the proof of the binding, beside a better key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Inbound, InboundKey
from mensajeria.crypto.backup import OpenedSession
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.sender import BindingError, verify_binding
from mensajeria.protocol.devices import NewerListNeededError
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context


@dataclass(frozen=True, slots=True)
class Found:
    """A row that opened."""

    row_id: bytes
    counter: int
    opened: OpenedSession


@dataclass(slots=True)
class Restored:
    """What became of rows. `elsewhere`: of chats that are not here, or of people whose keys are gone."""

    restored: int = 0
    refused: int = 0
    elsewhere: int = 0
    row_ids: set[bytes] = field(default_factory=set)
    """Rows that need not be asked for again."""


def restore_sessions(tx: Tx, out: Outcome, context: Context, n: int, found: Sequence[Found], result: Restored) -> None:
    """Prove and store; messages that waited open."""
    authors = {uid: list_of(tx, uid) for uid in {one.opened.binding.uid for one in found}}
    chats = {chat_id: tx.chats.get(ChatId(chat_id)) for chat_id in {one.opened.binding.chat_id for one in found}}
    waiting = tx.backup.waited_for()
    tx.backup.mute(on=True)  # what has just come from there need not be looked at
    for one in found:
        binding = one.opened.binding
        author = authors[binding.uid]
        if author is None or chats[binding.chat_id] is None:
            result.elsewhere += 1
            continue
        try:
            verify_binding(one.opened.record.skb, author=author)
            _store(tx, context, _session(one.opened))
        except NewerListNeededError:
            result.elsewhere += 1
            continue
        except BindingError:
            result.refused += 1
            continue
        tx.backup.note_known(n, one.row_id, one.counter)
        result.restored += 1
        result.row_ids.add(one.row_id)
        if binding.session_id in waiting:
            context.rows.reopen(tx, out, ChatId(binding.chat_id), SessionId(binding.session_id))
    tx.backup.mute(on=False)


def _session(opened: OpenedSession) -> InboundSession:
    session = InboundSession.from_export(opened.record.export, opened.binding, opened.record.skb)
    if session.first_index != opened.record.first_index:
        raise BindingError("another first index")
    return session


def _store(tx: Tx, context: Context, session: InboundSession) -> None:
    binding = session.binding
    key = InboundKey(ChatId(binding.chat_id), SessionId(binding.session_id), Uid(binding.uid), Did(binding.did))
    if tx.inbound.add(Inbound(key, session.dump(), context.me.clock.now_ms(), session.first_index)):
        return
    known = tx.inbound.get(key)
    assert known is not None, "it was in the way"
    merged = InboundSession.load(known.state).merge(session)
    tx.inbound.put(Inbound(key, merged.dump(), known.created_ms, known.next_idx))
