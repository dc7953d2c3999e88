"""The key backup: rows that the server cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls
from mensajeria.crypto.backup import SealedRow
from mensajeria.kit.lazy import LazyModule

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class Backup:
    """`rest.backup`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def put(self, n: int, rows: Sequence[SealedRow]) -> api.BackupUse:
        """Store up to 200 rows; list_conflict unless `n` is the newest list's backup version, quota_exceeded."""
        models = [api.BackupRow(row_id=row.row_id, counter=row.counter, blob=row.blob) for row in rows]
        return await self._calls.ask("PUT", "/v1/backup/rows", api.BackupUse, api.BackupUpload(n=n, rows=models))

    async def find(self, n: int, row_ids: Sequence[bytes]) -> list[SealedRow]:
        """The rows with these ids (up to 1,000), as far as the server has them."""
        query = api.BackupQuery(n=n, row_ids=list(row_ids))
        page = await self._calls.ask("POST", "/v1/backup/rows/query", api.BackupPage, query)
        return [SealedRow(row.row_id, row.counter, row.blob) for row in page.rows]

    async def drop(self, below: int) -> None:
        """Remove the rows of the backup versions below `below`."""
        await self._calls.call("DELETE", f"/v1/backup/rows?below={below}")

    async def use(self) -> api.BackupUse:
        """What the backup takes, and may take."""
        return await self._calls.ask("GET", "/v1/backup/use", api.BackupUse)
