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
    for one in found:
        binding = one.opened.binding
        author = list_of(tx, binding.uid)
        if author is None or tx.chats.get(ChatId(binding.chat_id)) is None:
            result.elsewhere += 1
            continue
        try:
            verify_binding(one.opened.record.skb, author=author)
            _store(tx, out, context, _session(one.opened))
        except NewerListNeededError:
            result.elsewhere += 1
            continue
        except BindingError:
            result.refused += 1
            continue
        tx.backup.note_known(n, one.row_id, one.counter)
        result.restored += 1
        result.row_ids.add(one.row_id)


def _session(opened: OpenedSession) -> InboundSession:
    session = InboundSession.from_export(opened.record.export, opened.binding, opened.record.skb)
    if session.first_index != opened.record.first_index:
        raise BindingError("another first index")
    return session


def _store(tx: Tx, out: Outcome, context: Context, session: InboundSession) -> None:
    binding = session.binding
    chat_id, session_id = ChatId(binding.chat_id), SessionId(binding.session_id)
    key = InboundKey(chat_id, session_id, Uid(binding.uid), Did(binding.did))
    known = tx.inbound.get(key)
    created, next_idx = context.me.clock.now_ms(), session.first_index
    if known is not None:
        session = InboundSession.load(known.state).merge(session)
        created, next_idx = known.created_ms, known.next_idx
    tx.inbound.put(Inbound(key, session.dump(), created, next_idx))
    if known is None:
        tx.backup.looked_at(key)  # it has just come from there
    if tx.rows.waiting_for(chat_id, session_id, limit=1):
        context.rows.reopen(tx, out, chat_id, session_id)
