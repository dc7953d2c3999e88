"""History on a new device: keys come back from the backup, newest first, each proven before it is used.

The order is that of the writers' indexes, from their ends, but see `_in_windows`. What a chat's rows already wait for
goes first. An index says what must be there: what the server withholds is counted and told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Final

from mensajeria.client.api import HistoryRestored, RestoreProgress
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.account_keys import RESTORE_WANTED, newest_version, sealers
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.restoring import Authors, Proven, Restored, Restorer
from mensajeria.client.errors import ClientError
from mensajeria.client.store import Tx
from mensajeria.crypto.backup import BackupRowError, BackupSealer, SealedRow
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, SessionId
from mensajeria.protocol.records_backup import PAGE_ENTRIES, SESSION_ROW, IndexEntry, SettingRecord

_log = logging.getLogger(__name__)
FIRST: Final = 2000
"""Keys that are fetched before the chats' logs, so that most rows open at once and nobody sees them wait."""
_WINDOW: Final = 20_000
"""After the first keys, so many newer ones come before older ones."""
_IN_FLIGHT: Final = 2
"""Questions that the server answers meanwhile; with what is proven and stored, some 5,000 keys are in memory."""


@dataclass(slots=True)
class _Tally:
    """What a restore has come to."""

    restored: int = 0
    missing: int = 0
    refused: int = 0
    done: int = 0
    total: int = 0


@dataclass(slots=True)
class _Wanted:
    """Rows of one version that are still to be fetched, in the order in which they are asked for."""

    sealer: BackupSealer
    sessions: dict[bytes, int] = field(default_factory=dict)
    settings: dict[bytes, int] = field(default_factory=dict)
    authors: Authors = field(default_factory=dict)


class History:
    """Restores once after the device was added, and looks up single sessions whenever rows wait for them."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._restorer = Restorer(context, directory)
        self._wanted: list[_Wanted] | None = None
        self._tally = _Tally()

    async def begin(self) -> None:
        """Before a new device fetches its logs: the newest keys. What fails is tried again by `run`."""
        self._wanted, self._tally = None, _Tally()
        if not await self._is_wanted():
            self._context.history_settled.set()
            return
        self._context.history_settled.clear()
        try:
            await self._work(FIRST)
        except ClientError as error:
            _log.info("the history waits: %s", error.code)

    async def run(self) -> None:
        """Beside a connection: the rest."""
        backoff = Backoff()
        while await self._is_wanted():
            try:
                await self._work(None)
            except ClientError as error:
                _log.info("the history waits: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
                continue
            await self._finish()
        self._context.history_settled.set()
        self._context.ladder_due.set()

    async def look_up(self, sessions: Sequence[tuple[ChatId, SessionId]]) -> int:
        """Fetch these sessions' keys if the backup has them; how many came. Raises RefusedError, NetworkError."""
        found = 0
        left = list(dict.fromkeys(sessions))
        for sealer in await self._sealers():
            ids = {sealer.session_id(chat_id, session_id): (chat_id, session_id) for chat_id, session_id in left}
            came: set[bytes] = set()
            for part in _parts(list(ids)):
                result, asked = Restored(), dict.fromkeys(part, 0)
                rows = await self._context.rest.backup.find(sealer.n, part)
                proven, _ = await self._restorer.prove(sealer, rows, asked, result, {})
                await self._restorer.store(sealer.n, proven, result)
                came |= result.row_ids
                found += result.restored
            left = [session for row_id, session in ids.items() if row_id not in came]
            if not left:
                break
        return found

    # --- the whole of it ---

    async def _is_wanted(self) -> bool:
        return await self._context.store.read(lambda tx: tx.meta.get(RESTORE_WANTED) is not None)

    async def _sealers(self) -> tuple[BackupSealer, ...]:
        return await self._context.store.read(lambda tx: sealers(tx, self._context.me))

    async def _work(self, most: int | None) -> None:
        """Fetch up to `most` keys."""
        if self._wanted is None:
            self._wanted = await self._plan()
        for wanted in self._wanted:
            await self._restore_settings(wanted)
        left = self._tally.total - self._tally.done if most is None else most
        for wanted in self._wanted:
            if wanted.sessions and left > 0:
                left -= await self._restore_sessions(wanted, left)

    async def _restore_sessions(self, wanted: _Wanted, most: int) -> int:
        """Fetch, prove and store at the same time, up to `most` keys of one version; how many."""
        done = 0
        storing: asyncio.Task[None] | None = None
        async with aclosing(self._fetched(wanted, most)) as pages:
            try:
                async for part, rows in pages:
                    result = Restored()
                    proven, missing = await self._restorer.prove(wanted.sealer, rows, part, result, wanted.authors)
                    if storing is not None:
                        await storing
                    storing = asyncio.create_task(self._settle(wanted, part, proven, missing, result))
                    done += len(part)
            finally:
                if storing is not None:
                    await storing
        return done

    async def _fetched(self, wanted: _Wanted, most: int) -> AsyncGenerator[tuple[dict[bytes, int], list[SealedRow]]]:
        """Pages of rows in the order of their questions; while one is looked at, the next are on their way."""
        asked: deque[tuple[dict[bytes, int], asyncio.Task[list[SealedRow]]]] = deque()
        under_way: set[bytes] = set()
        try:
            while True:
                while len(asked) < _IN_FLIGHT and most > 0:
                    part = await self._next_part(wanted, under_way, min(most, limits.BACKUP_QUERY_MAX))
                    if not part:
                        break
                    under_way.update(part)
                    most -= len(part)
                    question = self._context.rest.backup.find(wanted.sealer.n, list(part))
                    asked.append((part, asyncio.create_task(question)))
                if not asked:
                    return
                yield asked[0][0], await asked[0][1]
                asked.popleft()
        finally:
            for _, task in asked:
                task.cancel()
            await asyncio.gather(*(task for _, task in asked), return_exceptions=True)

    async def _next_part(self, wanted: _Wanted, under_way: set[bytes], most: int) -> dict[bytes, int]:
        """What to ask for next: what chats wait for, then the newest."""
        first = [row_id for row_id in await self._waited_for(wanted) if row_id not in under_way][:most]
        kept = under_way.union(first)
        rest = (row_id for row_id in wanted.sessions if row_id not in kept)
        return {row_id: wanted.sessions[row_id] for row_id in chain(first, islice(rest, most - len(first)))}

    async def _settle(
        self, wanted: _Wanted, part: dict[bytes, int], proven: Sequence[Proven], missing: int, result: Restored
    ) -> None:
        """Store a page. Only then it is done: what fails before is asked for again."""
        await self._restorer.store(wanted.sealer.n, proven, result)
        self._count(result, missing)
        for row_id in part:
            del wanted.sessions[row_id]
        self._tally.done += len(part)
        self._context.emitter.emit(RestoreProgress(self._tally.done, self._tally.total))

    def _count(self, result: Restored, missing: int) -> None:
        self._tally.restored += result.restored
        self._tally.refused += result.refused
        self._tally.missing += missing

    async def _waited_for(self, wanted: _Wanted) -> list[bytes]:
        """Rows that chats wait for at this moment, of the newest chats."""
        waiting = await self._context.store.read(lambda tx: tx.backup.waiting(limits.BACKUP_QUERY_MAX))
        ids = [wanted.sealer.session_id(chat_id, session_id) for chat_id, session_id in waiting]
        return [row_id for row_id in ids if row_id in wanted.sessions]

    async def _finish(self) -> None:
        tally = self._tally

        def step(tx: Tx, out: Outcome) -> None:
            now = self._context.me.clock.now_ms()
            tx.meta.remove(RESTORE_WANTED)
            if tally.missing:
                out.warn(tx, "backup_incomplete", now, count=str(tally.missing))
            if tally.refused:
                out.warn(tx, "backup_tampered", now, count=str(tally.refused))
            out.events.append(HistoryRestored(tally.restored, tally.missing, tally.refused))

        await self._context.commit(step)
        self._context.backup_due.set()

    # --- what must be there ---

    async def _plan(self) -> list[_Wanted]:
        """Read the indexes of every device that the account has or had."""
        plan = []
        newest, writers = await self._context.store.read(
            lambda tx: (newest_version(tx, self._context.me), self._writers(tx))
        )
        for sealer in await self._sealers():
            wanted = _Wanted(sealer)
            for entry in await self._index(sealer, writers):
                if entry.kind == SESSION_ROW:
                    _note(wanted.sessions, entry)
                elif sealer.n == newest:  # who was removed has the older keys, and could have written what it likes
                    _note(wanted.settings, entry)
            plan.append(wanted)

        def forget_known(tx: Tx) -> None:
            for wanted in plan:
                known, asked = tx.backup.all_known(wanted.sealer.n), wanted.sessions
                left = [row_id for row_id, ver in asked.items() if known.get(row_id, -1) < ver]
                wanted.sessions = {row_id: asked[row_id] for row_id in _in_windows(left)}

        await self._context.store.read(forget_known)
        self._tally.total = sum(len(wanted.sessions) for wanted in plan)
        return plan

    def _writers(self, tx: Tx) -> list[bytes]:
        newest = self._context.me.verified(tx).list
        return [*(device.did for device in newest.devices), *(device.did for device in newest.former)]

    async def _index(self, sealer: BackupSealer, writers: Sequence[bytes]) -> list[IndexEntry]:
        """Every writer's entries, each from its end, taken in turns."""
        heads = {sealer.head_id(did): did for did in writers}
        indexes = []
        for row in await self._fetch(sealer, list(heads)):
            if row.row_id not in heads:
                continue
            did = heads[row.row_id]
            try:
                count = sealer.open_head(row, did).entries
            except BackupRowError:
                self._tally.refused += 1
                continue
            indexes.append((await self._pages(sealer, did, count))[::-1])
        turns = chain.from_iterable(zip_longest(*indexes))
        return [entry for entry in turns if entry is not None]

    async def _pages(self, sealer: BackupSealer, did: bytes, count: int) -> list[IndexEntry]:
        ids = {sealer.page_id(did, page): page for page in range(-(-count // PAGE_ENTRIES))}
        pages: dict[int, tuple[IndexEntry, ...]] = {}
        for row in await self._fetch(sealer, list(ids)):
            if row.row_id in ids:
                try:
                    pages[ids[row.row_id]] = sealer.open_page(row, did, ids[row.row_id]).entries
                except BackupRowError:
                    self._tally.refused += 1
        entries = [entry for page in sorted(pages) for entry in pages[page]]
        self._tally.missing += max(0, count - len(entries))
        return entries

    async def _fetch(self, sealer: BackupSealer, row_ids: Sequence[bytes]) -> list[SealedRow]:
        rows: list[SealedRow] = []
        for part in _parts(row_ids):
            rows += await self._context.rest.backup.find(sealer.n, part)
        return rows

    async def _restore_settings(self, wanted: _Wanted) -> None:
        asked, wanted.settings = wanted.settings, {}
        if not asked:
            return
        opened: list[SettingRecord] = []
        for row in await self._fetch(wanted.sealer, list(asked)):
            if row.row_id not in asked or row.counter < asked[row.row_id]:
                continue
            try:
                opened.append(wanted.sealer.open_setting(row))
            except BackupRowError:
                self._tally.refused += 1
            del asked[row.row_id]
        self._tally.missing += len(asked)

        def take(tx: Tx, out: Outcome) -> None:
            for setting in opened:
                self._context.settings.take(tx, out, setting, saved_n=wanted.sealer.n)

        await self._context.commit(take)


def _in_windows(newest_first: list[bytes]) -> Iterable[bytes]:
    """The first rows in their order, then window by window in the order of their ids.

    Where ids are stored, neighbours then share pages: of ids at random each would have a page rewritten for itself.
    """
    yield from newest_first[:FIRST]
    for start in range(FIRST, len(newest_first), _WINDOW):
        yield from sorted(newest_first[start : start + _WINDOW])


def _note(wanted: dict[bytes, int], entry: IndexEntry) -> None:
    wanted[entry.row_id] = max(wanted.get(entry.row_id, -1), entry.counter)


def _parts(row_ids: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    for start in range(0, len(row_ids), limits.BACKUP_QUERY_MAX):
        yield row_ids[start : start + limits.BACKUP_QUERY_MAX]
