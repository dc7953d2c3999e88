"""The rows of key backups: put, page, look up, drop. Plain functions over a SQLAlchemy connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, insert, select, update

from mensajeria.protocol import limits
from mensajeria.protocol.devices import decode_device_list
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema_content import backup_row, backup_use
from mensajeria.server.devices.lists import newest_list

PAGE: Final = 200
DROP_ROWS: Final = 1000
"""Rows removed in one transaction."""
Row = tuple[bytes, int, bytes]
"""(row id, counter, blob)"""
USE: Final = Read(select(backup_use.c.bytes).where(backup_use.c.account == bindparam("account")), int)
"""How many bytes the backup of `account` takes; no row before its first upload."""


def put_rows(connection: Connection, account_id: int, n: int, rows: Sequence[Row]) -> int:
    """Store rows, each in place of an older version of itself; the bytes that the backup takes now.

    A version that is not newer than the stored one changes nothing, so that a retry and a late device do no harm.

    Raises:
        ProtocolError: LIST_CONFLICT, `n` is not the backup version of the newest device list; QUOTA_EXCEEDED.
    """
    used = _lock_use(connection, account_id)
    _require_current(connection, account_id, n)
    newest = {row_id: (counter, blob) for row_id, counter, blob in sorted(rows, key=lambda row: row[1])}
    known = _known(connection, account_id, n, list(newest))
    stored = {
        row_id: (counter, blob)
        for row_id, (counter, blob) in newest.items()
        if row_id not in known or known[row_id].counter < counter
    }
    replaced = sorted(stored.keys() & known.keys())
    used += sum(len(blob) for _, blob in stored.values()) - sum(int(known[row_id].size) for row_id in replaced)
    if used > limits.BACKUP_BYTES:
        raise ProtocolError(Code.QUOTA_EXCEEDED, "key backup")
    if replaced:
        connection.execute(delete(backup_row).where(*_in(account_id, n, replaced)))
    if stored:
        connection.execute(
            insert(backup_row),
            [
                {"account": account_id, "n": n, "row_id": row_id, "counter": counter, "blob": blob}
                for row_id, (counter, blob) in stored.items()
            ],
        )
        _store_use(connection, account_id, used)
    return used


def _known(connection: Connection, account_id: int, n: int, row_ids: Sequence[bytes]) -> dict[bytes, AnyRow]:
    size = func.length(backup_row.c.blob).label("size")
    query = select(backup_row.c.row_id, backup_row.c.counter, size).where(*_in(account_id, n, row_ids))
    return {row.row_id: row for row in connection.execute(query)}


def _in(account_id: int, n: int, row_ids: Sequence[bytes]) -> tuple[ColumnElement[bool], ...]:
    return backup_row.c.account == account_id, backup_row.c.n == n, backup_row.c.row_id.in_(row_ids)


def rows_after(connection: Connection, account_id: int, n: int, after: bytes) -> tuple[list[AnyRow], bool]:
    """One page of (row_id, counter, blob), by id, and whether there are more."""
    query = _rows(account_id, n).where(backup_row.c.row_id > after).order_by(backup_row.c.row_id).limit(PAGE + 1)
    rows = list(connection.execute(query))
    return rows[:PAGE], len(rows) > PAGE


def rows_by_id(connection: Connection, account_id: int, n: int, row_ids: Sequence[bytes]) -> list[AnyRow]:
    """Those of the rows that there are, by id."""
    query = _rows(account_id, n).where(backup_row.c.row_id.in_(row_ids)).order_by(backup_row.c.row_id)
    return list(connection.execute(query))


def drop_versions(connection: Connection, account_id: int, below: int) -> bool:
    """Remove a bounded number of rows of the versions below `below`; True when there may be more.

    Raises:
        ProtocolError: LIST_CONFLICT, `below` is above the newest list's backup version, whose rows are in use.
    """
    used = _lock_use(connection, account_id)
    if below > current_version(connection, account_id):
        raise ProtocolError(Code.LIST_CONFLICT)
    old = connection.execute(
        select(backup_row.c.n, backup_row.c.row_id, func.length(backup_row.c.blob).label("size"))
        .where(backup_row.c.account == account_id, backup_row.c.n < below)
        .order_by(backup_row.c.n, backup_row.c.row_id)
        .limit(DROP_ROWS)
    ).all()
    if old:
        connection.execute(
            delete(backup_row).where(
                backup_row.c.account == account_id,
                backup_row.c.n == bindparam("p_n"),
                backup_row.c.row_id == bindparam("p_row"),
            ),
            [{"p_n": row.n, "p_row": row.row_id} for row in old],
        )
        _store_use(connection, account_id, used - sum(row.size for row in old))
    return len(old) == DROP_ROWS


def drop_all(connection: Connection, account_id: int) -> None:
    """Remove the whole backup."""
    _lock_use(connection, account_id)
    connection.execute(delete(backup_row).where(backup_row.c.account == account_id))
    _store_use(connection, account_id, 0)


def current_version(connection: Connection, account_id: int) -> int:
    """The backup version of the newest device list: what is sealed under an older one, a removed device can read."""
    return decode_device_list(newest_list(connection, account_id).body).backup_ver


def _require_current(connection: Connection, account_id: int, n: int) -> None:
    current = current_version(connection, account_id)
    if n != current:
        raise ProtocolError(Code.LIST_CONFLICT, f"the backup version of the newest device list is {current}")


def _rows(account_id: int, n: int) -> Select[tuple[bytes, int, bytes]]:
    return select(backup_row.c.row_id, backup_row.c.counter, backup_row.c.blob).where(
        backup_row.c.account == account_id, backup_row.c.n == n
    )


def _lock_use(connection: Connection, account_id: int) -> int:
    query = select(backup_use.c.bytes).where(backup_use.c.account == account_id).with_for_update()
    used = connection.execute(query).scalar_one_or_none()
    if used is None:
        connection.execute(insert(backup_use).values(account=account_id, bytes=0))
    return used or 0


def _store_use(connection: Connection, account_id: int, used: int) -> None:
    connection.execute(update(backup_use).where(backup_use.c.account == account_id).values(bytes=used))
