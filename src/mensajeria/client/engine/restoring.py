"""Backup rows become sessions: opened and proven in a thread of its own, then stored beside a better key, many at once.

Three things go on at the same time while a history comes back: the next rows are fetched, these are proven, and the
ones before are stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import Inbound, InboundKey
from mensajeria.crypto.backup import BackupRowError, BackupSealer, OpenedSession, SealedRow
from mensajeria.crypto.inbound import InboundSession, state_of_export
from mensajeria.crypto.sender import BindingError, verify_decoded
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.devices import NewerListNeededError, VerifiedList
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory

Authors = dict[bytes, VerifiedList | None]
"""Whose device lists bindings are judged by; None: that account is gone."""
_STORE_SLICE: Final = 500
"""Keys of one transaction: other work in the store waits for about 50 ms."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row that opened."""

    row_id: bytes
    counter: int
    opened: OpenedSession


@dataclass(frozen=True, slots=True)
class Proven:
    """A row whose binding its author has signed, as a session to be stored."""

    row_id: bytes
    counter: int
    key: InboundKey
    state: Secret
    first_index: int


@dataclass(slots=True)
class Restored:
    """What became of rows. `elsewhere`: of chats that are not here, or of people whose keys are gone."""

    restored: int = 0
    refused: int = 0
    elsewhere: int = 0
    row_ids: set[bytes] = field(default_factory=set)
    """Rows that need not be asked for again."""


def open_rows(
    sealer: BackupSealer, rows: Sequence[SealedRow], asked: Mapping[bytes, int], result: Restored
) -> list[Found]:
    """Those of the rows that were asked for, are of that version at least, and open; each once."""
    found: dict[bytes, Found] = {}
    for row in rows:
        if row.row_id in found or row.row_id not in asked or row.counter < asked[row.row_id]:
            continue
        try:
            found[row.row_id] = Found(row.row_id, row.counter, sealer.open_session(row))
        except BackupRowError:
            result.refused += 1
    return list(found.values())


def prove(found: Sequence[Found], authors: Mapping[bytes, VerifiedList | None], result: Restored) -> list[Proven]:
    """Check each binding against its author's list, and the key against the binding. No store, any thread."""
    proven: list[Proven] = []
    for one in found:
        author = authors[one.opened.binding.uid]
        try:
            if author is None:
                result.elsewhere += 1
                continue
            verify_decoded(one.opened.binding, one.opened.record.skb, author=author)
            proven.append(_proven(one))
        except NewerListNeededError:
            result.elsewhere += 1
        except BindingError:
            result.refused += 1
    return proven


def _proven(one: Found) -> Proven:
    record, binding = one.opened.record, one.opened.binding
    session = InboundSession.from_export(record.export, binding, record.skb)
    if session.first_index != record.first_index:
        raise BindingError("another first index")
    key = InboundKey(ChatId(binding.chat_id), SessionId(binding.session_id), Uid(binding.uid), Did(binding.did))
    return Proven(one.row_id, one.counter, key, state_of_export(record.export, record.skb), record.first_index)


def store_sessions(tx: Tx, out: Outcome, context: Context, n: int, proven: Sequence[Proven], result: Restored) -> None:
    """Store what was proven, of chats that are here; messages that waited open."""
    chats = {one.key.chat_id for one in proven}
    here = {chat_id for chat_id in chats if tx.chats.get(chat_id) is not None}
    kept = [one for one in proven if one.key.chat_id in here]
    result.elsewhere += len(proven) - len(kept)
    tx.inbound.muted = True  # what has just come from the backup need not be looked at for it
    now = context.me.clock.now_ms()
    left = {one.key for one in tx.inbound.add_all([Inbound(o.key, o.state, now, o.first_index) for o in kept])}
    kept = [one for one in kept if one.key not in left or _merged(tx, one, result)]
    tx.backup.note_all_known(n, [(one.row_id, one.counter) for one in kept])
    result.restored += len(kept)
    result.row_ids.update(one.row_id for one in kept)
    waiting = tx.backup.waited_for(here, [one.key.session_id for one in kept])
    for one in kept:
        if one.key.session_id in waiting:
            context.rows.reopen(tx, out, one.key.chat_id, one.key.session_id)
    tx.inbound.muted = False


def _merged(tx: Tx, one: Proven, result: Restored) -> bool:
    """Beside the key that is there; False when that one has another binding."""
    known = tx.inbound.get(one.key)
    assert known is not None, "it was in the way"
    try:
        merged = InboundSession.load(known.state).merge(InboundSession.load(one.state))
    except BindingError:
        result.refused += 1
        return False
    tx.inbound.put(Inbound(one.key, merged.dump(), known.created_ms, known.next_idx))
    return True


class Restorer:
    """The three steps for a page of rows, each off the event loop."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory

    async def prove(
        self,
        sealer: BackupSealer,
        rows: Sequence[SealedRow],
        asked: Mapping[bytes, int],
        result: Restored,
        authors: Authors,
    ) -> tuple[list[Proven], int]:
        """What the rows hold, proven; how many were not there in the version the index names.

        `authors` takes up the device lists that were needed: those of one run need not be asked of the store again,
        where a question waits for the page that is being stored.
        """
        found = await asyncio.to_thread(open_rows, sealer, rows, asked, result)
        missing = len(asked) - len(found) - result.refused
        await self._learn(found, authors)
        return await asyncio.to_thread(prove, found, authors, result), missing

    async def store(self, n: int, proven: Sequence[Proven], result: Restored) -> None:
        """Store it, in slices."""
        for start in range(0, len(proven), _STORE_SLICE):
            part = proven[start : start + _STORE_SLICE]

            def step(tx: Tx, out: Outcome) -> None:
                store_sessions(tx, out, self._context, n, part, result)  # noqa: B023 - run at once

            await self._context.commit(step)
            await asyncio.sleep(SLICE_PAUSE_S)

    async def _learn(self, found: Iterable[Found], authors: Authors) -> None:
        """Get the device lists that the bindings have to be judged by. Who is gone cannot be judged."""
        needed: dict[bytes, int] = {}
        for one in found:
            binding = one.opened.binding
            needed[binding.uid] = max(needed.get(binding.uid, 0), binding.dl_ver)
        unknown = [Uid(uid) for uid, ver in needed.items() if not _reaches(authors.get(uid), ver)]
        if not unknown:
            return

        def lists(tx: Tx) -> Authors:
            return {uid: list_of(tx, uid) for uid in unknown}

        stored = await self._context.store.read(lists)
        await self._directory.refresh_all([uid for uid in unknown if not _reaches(stored[uid], needed[uid])])
        authors.update(await self._context.store.read(lists))


def _reaches(known: VerifiedList | None, ver: int) -> bool:
    return known is not None and known.ver >= ver
