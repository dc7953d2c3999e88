"""REST endpoints of key backups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from sqlalchemy.exc import IntegrityError

from mensajeria.protocol import limits
from mensajeria.protocol.api import B16, BackupPage, BackupQuery, BackupRow, BackupUpload, BackupUse
from mensajeria.protocol.errors import Code
from mensajeria.server.backup import rows as backup
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1/backup", tags=["backup"], route_class=Endpoint)
Version = Annotated[int, Query(ge=0, lt=1 << 53)]


@router.put("/rows", responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.LIST_CONFLICT, Code.QUOTA_EXCEEDED))
async def put_rows(body: BackupUpload, login: Caller, server: TheServer) -> BackupUse:
    """Store up to 200 sealed keys under the newest backup version.

    Refused unless `n` is that of the caller's newest device list: what is sealed under an older one could be read by a
    device that was removed.
    """
    await server.limiter.check(Limit.BACKUP_ACCOUNT, login.uid)
    rows = [(row.row_id, row.counter, row.blob) for row in body.rows]

    async def store() -> int:
        return await server.db.write(lambda db: backup.put_rows(db, login.account_id, body.n, rows))

    try:
        used = await store()
    except IntegrityError:  # the account's first two uploads at the same moment
        used = await store()
    return BackupUse(used=used, quota=limits.BACKUP_BYTES)


@router.get("/rows", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def read_rows(
    login: Caller, server: TheServer, n: Version, after: Annotated[B16 | None, Query()] = None
) -> BackupPage:
    """Rows of one backup version by id, 200 after the row `after`."""
    start = b"" if after is None else after
    rows, more = await server.db.query(lambda db: backup.rows_after(db, login.account_id, n, start))
    return BackupPage(rows=_models(rows), more=more)


@router.post("/rows/query", responses=errors(*CALLER_CODES, *CHANGE_CODES))
async def find_rows(body: BackupQuery, login: Caller, server: TheServer) -> BackupPage:
    """The rows with these ids: to restore the newest chats first."""
    rows = await server.db.query(lambda db: backup.rows_by_id(db, login.account_id, body.n, body.row_ids))
    return BackupPage(rows=_models(rows), more=False)


@router.delete("/rows", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.LIST_CONFLICT))
async def drop_rows(login: Caller, server: TheServer, below: Version) -> Response:
    """Remove every row of the backup versions below `below`, once they are sealed anew under the newest one."""
    while await server.db.write(lambda db: backup.drop_versions(db, login.account_id, below)):
        pass
    return Response(status_code=204)


@router.get("/use", responses=errors(*CALLER_CODES))
async def read_use(login: Caller, server: TheServer) -> BackupUse:
    """How many bytes the caller's backup takes."""
    used = await server.db.rows(backup.USE, account=login.account_id)
    return BackupUse(used=sum(used), quota=limits.BACKUP_BYTES)


def _models(rows: Sequence[AnyRow]) -> list[BackupRow]:
    return [BackupRow(row_id=row.row_id, counter=row.counter, blob=row.blob) for row in rows]
