"""The key backup's upload: a sealed row for every sender session, and for every shared setting.

Plans are noted in the store before anything leaves, so that what a crash interrupts is sent again under the same index
positions. Nothing is sealed under a version that is not the one of the newest own device list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mensajeria.client.api import BackupStatus
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.account_keys import RESTORE_WANTED, newest_version, sealer_of, wanted_version
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.shared_settings import record_of
from mensajeria.client.errors import ClientError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey
from mensajeria.crypto.backup import BackupSealer, SealedRow, session_counter
from mensajeria.crypto.inbound import InboundSession
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records_backup import (
    PAGE_ENTRIES,
    SESSION_ROW,
    SETTING_ROW,
    IndexEntry,
    IndexHead,
    IndexPage,
    SessionBackup,
)

_log = logging.getLogger(__name__)
BATCH: Final = 100
"""Sessions of one upload; with settings, pages and head it stays below limits.BACKUP_BATCH_MAX."""
SETTINGS_BATCH: Final = 40
EVERY_S: Final = 300.0
GATHER_S: Final = 0.2
"""What follows shortly travels in the same request."""
_FULL: Final = "backup_full"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Rows to send, and what is true once the server has them."""

    n: int
    rows: tuple[SealedRow, ...] = ()
    entries: tuple[tuple[int, IndexEntry], ...] = ()
    settings: tuple[tuple[str, int], ...] = ()
    looked_at: int = 0
    """Sessions that were pending and are decided."""


class KeyBackup:
    """Runs beside each connection."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self._started = False

    async def run(self) -> None:
        """Upload whenever there is something; ends with the connection."""
        backoff = Backoff()
        self._started = False
        self._context.backup_due.set()
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._context.backup_due.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(GATHER_S)
            self._context.backup_due.clear()
            try:
                await self.upload()
                backoff.reset()
            except ClientError as error:
                _log.info("the key backup waits: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
                self._context.backup_due.set()

    async def upload(self) -> None:
        """Send everything that is pending. Raises RefusedError, NetworkError, SecurityError."""
        await self._context.history_settled.wait()
        while await self._step():
            pass

    async def _step(self) -> bool:
        """One batch; whether there may be more."""
        me = self._context.me
        if await self._context.store.read(lambda tx: me.uid in tx.contacts.stale()):
            await self._directory.refresh(me.uid)
        plan = await self._context.store.run(self._plan)
        if plan is None:
            return False
        if not plan.rows:
            return plan.looked_at > 0
        try:
            await self._context.rest.backup.put(plan.n, plan.rows)
        except RefusedError as error:
            await self._refused(error)
            return False
        await self._context.store.run(lambda tx: self._settle(tx, plan))
        return True

    async def _refused(self, error: RefusedError) -> None:
        """A newer list: fetched at once, then the next version's keys are asked for. Full: told once."""
        if error.code == Code.LIST_CONFLICT:
            await self._directory.refresh(self._context.me.uid)
            self._context.keys_due.set()
        if error.code != Code.QUOTA_EXCEEDED:
            raise error

        def tell(tx: Tx, out: Outcome) -> None:
            if tx.meta.get(_FULL) is None:
                tx.meta.set(_FULL, b"1")
                out.warn(tx, "backup_full", self._context.me.clock.now_ms())

        await self._context.commit(tell)
        raise error

    # --- in the store's thread ---

    def _plan(self, tx: Tx) -> _Plan | None:
        """The next batch; None when there is nothing, or nothing may be sealed under the version at hand."""
        me = self._context.me
        n = newest_version(tx, me)
        sealer = sealer_of(tx, me, n)
        if sealer is None or n != wanted_version(tx, me):
            self._context.keys_due.set()
            return None
        if not self._started:
            self._started = True
            tx.backup.pend_unconfirmed(n)
        keys = tx.backup.pending(BATCH)
        settings = tx.settings.unsaved(n, SETTINGS_BATCH)
        if not keys and not settings:
            return None
        rows, entries = self._session_rows(tx, sealer, keys)
        for setting in settings:
            row = sealer.seal_setting(record_of(setting))
            entries.append(self._entry(tx, n, SETTING_ROW, row, None))
            rows.append(row)
        if rows:
            rows += self._index_rows(tx, sealer, [position for position, _ in entries])
        saved = tuple((setting.key, setting.counter) for setting in settings)
        return _Plan(n, tuple(rows), tuple(entries), saved, len(keys))

    def _session_rows(
        self, tx: Tx, sealer: BackupSealer, keys: Sequence[InboundKey]
    ) -> tuple[list[SealedRow], list[tuple[int, IndexEntry]]]:
        rows: list[SealedRow] = []
        entries: list[tuple[int, IndexEntry]] = []
        for key in keys:
            tx.backup.looked_at(key)
            row = self._session_row(tx, sealer, key)
            if row is not None:
                entries.append(self._entry(tx, sealer.n, SESSION_ROW, row, key))
                rows.append(row)
        return rows, entries

    @staticmethod
    def _entry(tx: Tx, n: int, kind: int, row: SealedRow, key: InboundKey | None) -> tuple[int, IndexEntry]:
        entry = IndexEntry(kind, row.row_id, row.counter)
        return tx.backup.place(n, entry, key), entry

    def _session_row(self, tx: Tx, sealer: BackupSealer, key: InboundKey) -> SealedRow | None:
        """The session's row, unless it is unused, its messages disappear, or the server has one as good."""
        stored = tx.inbound.get(key)
        if stored is None or not tx.backup.is_used(key.session_id) or tx.timers.is_timed(key.session_id):
            return None
        session = InboundSession.load(stored.state)
        export, first_index, proven = session.for_backup()
        row_id, counter = sealer.session_id(key.chat_id, key.session_id), session_counter(first_index, proven=proven)
        if tx.backup.known(sealer.n, row_id) >= counter:
            return None
        record = SessionBackup(skb=session.signed_binding, export=export, first_index=first_index)
        return sealer.seal_session(record, session.binding, counter)

    def _index_rows(self, tx: Tx, sealer: BackupSealer, positions: list[int]) -> list[SealedRow]:
        """The pages that these entries stand in, as they are now, and the head."""
        did = self._context.me.did
        pages = sorted({position // PAGE_ENTRIES for position in positions})
        rows = [
            sealer.seal_page(IndexPage(did=did, page=page, entries=tx.backup.page(sealer.n, page))) for page in pages
        ]
        rows.append(sealer.seal_head(IndexHead(did=did, entries=tx.backup.entries(sealer.n))))
        return rows

    @staticmethod
    def _settle(tx: Tx, plan: _Plan) -> None:
        tx.backup.confirm(plan.n, [position for position, _ in plan.entries])
        for _, entry in plan.entries:
            tx.backup.note_known(plan.n, entry.row_id, entry.counter)
        for key, counter in plan.settings:
            tx.settings.saved(key, counter, plan.n)
        tx.meta.remove(_FULL)


async def backup_status(context: Context) -> BackupStatus:
    """See `Client.backup_status`."""

    def read(tx: Tx) -> BackupStatus:
        n = newest_version(tx, context.me)
        current = n > 0 and n == wanted_version(tx, context.me)
        pending = tx.backup.count_pending() + tx.settings.count_unsaved(n)
        restoring = tx.meta.get(RESTORE_WANTED) is not None
        return BackupStatus(n, current, tx.backup.count_known(n), pending, restoring, None, None)

    status = await context.store.read(read)
    try:
        use = await context.rest.backup.use()
    except ClientError:
        return status
    return replace(status, used=use.used, quota=use.quota)
