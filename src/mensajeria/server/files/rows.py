"""The rows of files: quota, how far an upload is, who may do what, and what has expired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import file

LEASE_MS: Final = 120_000
"""How long one step of an upload keeps others away, should its process die."""
SWEEP: Final = 100


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as its row has it."""

    file_id: bytes
    size: int
    received: int
    done: bool
    expires_ms: int


_COLUMNS: Final = (file.c.file_id, file.c.size, file.c.received, file.c.done, file.c.expires_ms)


def create(connection: Connection, account_id: int, size: int, *, quota: int, now_ms: int) -> FileRow:
    """Begin an upload. The whole size counts from now on.

    Raises:
        ProtocolError: QUOTA_EXCEEDED, or LOGIN_REVOKED: the account was deleted at this moment.
    """
    # The account's row is the lock: two uploads that begin together must not share the same room.
    own = select(account.c.id).where(account.c.id == account_id).with_for_update(key_share=True)
    if connection.execute(own).one_or_none() is None:
        raise ProtocolError(Code.LOGIN_REVOKED)
    used = connection.execute(select(func.coalesce(func.sum(file.c.size), 0)).where(file.c.account == account_id))
    if used.scalar_one() + size > quota:
        raise ProtocolError(Code.QUOTA_EXCEEDED, "files")
    row = FileRow(random16(), size, 0, done=False, expires_ms=now_ms + limits.FILE_UNFINISHED_MS)
    connection.execute(
        insert(file).values(
            file_id=row.file_id, account=account_id, size=size, created_ms=now_ms, expires_ms=row.expires_ms
        )
    )
    return row


def own_file(connection: Connection, file_id: bytes, account_id: int, now_ms: int) -> FileRow:
    """A file of the account, finished or not.

    Raises:
        ProtocolError: NOT_FOUND, the same for none, for another's and for one that has expired.
    """
    mine = (file.c.file_id == file_id, file.c.account == account_id, file.c.expires_ms > now_ms)
    query = select(*_COLUMNS).where(*mine)
    return _required(connection.execute(query).one_or_none())


def finished_file(connection: Connection, file_id: bytes, now_ms: int) -> FileRow:
    """A finished file. Whoever knows its random id was given it in a message.

    Raises:
        ProtocolError: NOT_FOUND.
    """
    query = select(*_COLUMNS).where(file.c.file_id == file_id, file.c.done.is_(True), file.c.expires_ms > now_ms)
    return _required(connection.execute(query).one_or_none())


def _required(row: AnyRow | None) -> FileRow:
    if row is None:
        raise ProtocolError(Code.NOT_FOUND)
    return FileRow(row.file_id, row.size, row.received, row.done, row.expires_ms)


def begin_step(connection: Connection, file_id: bytes, account_id: int, offset: int, now_ms: int) -> FileRow:
    """Take the lease for a step at `offset`.

    Raises:
        ProtocolError: NOT_FOUND, or UPLOAD_CONFLICT: another place, or another step is under way.
    """
    row = own_file(connection, file_id, account_id, now_ms)
    here = (file.c.file_id == file_id, file.c.received == offset, file.c.done.is_(False), _is_free(now_ms))
    # What is `doomed` by now takes no lease any more: its bytes may be going.
    living = (file.c.account == account_id, file.c.expires_ms > now_ms)
    if connection.execute(update(file).where(*here, *living).values(busy_ms=now_ms)).rowcount != 1:
        raise ProtocolError(Code.UPLOAD_CONFLICT, f"received {row.received}")
    return row


def end_step(
    connection: Connection, file_id: bytes, offset: int, lease_ms: int, written: int, *, now_ms: int, done_until: int
) -> bool:
    """Count a step that is durable and give the lease back; False when it was lost meanwhile, or the upload `doomed`.

    `done_until`: when a file that this step completes expires.
    """
    mine = (
        file.c.file_id == file_id,
        file.c.received == offset,
        file.c.busy_ms == lease_ms,
        file.c.expires_ms > now_ms,
        file.c.account.is_not(None),
    )
    step = update(file).where(*mine).values(received=offset + written, busy_ms=None)
    if connection.execute(step).rowcount != 1:
        return False
    whole = (file.c.file_id == file_id, file.c.received == file.c.size)
    connection.execute(update(file).where(*whole).values(done=True, expires_ms=done_until))
    return True


def give_up_step(connection: Connection, file_id: bytes, lease_ms: int) -> None:
    """Give the lease back; the step counts as never made."""
    connection.execute(update(file).where(file.c.file_id == file_id, file.c.busy_ms == lease_ms).values(busy_ms=None))


def doomed(connection: Connection, now_ms: int) -> list[bytes]:
    """Ids of files that have expired or are nobody's, a bounded number.

    Not while a step is under way: its bytes could come after the others have gone, and nobody would know of them.
    """
    over = or_(file.c.expires_ms <= now_ms, file.c.account.is_(None))
    query = select(file.c.file_id).where(over, _is_free(now_ms)).limit(SWEEP)
    return list(connection.execute(query).scalars())


def expire_now(connection: Connection, file_id: bytes, now_ms: int) -> bool:
    """Nobody may read the file any more; True when its bytes may go at once, else they are `doomed`."""
    gone = update(file).where(file.c.file_id == file_id).values(expires_ms=now_ms, done=False)
    return connection.execute(gone.returning(_is_free(now_ms))).scalar_one_or_none() is not False


def _is_free(now_ms: int) -> ColumnElement[bool]:
    """No step is under way. One that began long from now did so before the clock was set back: it is over."""
    return or_(file.c.busy_ms.is_(None), file.c.busy_ms < now_ms - LEASE_MS, file.c.busy_ms > now_ms + LEASE_MS)


def forget(connection: Connection, file_id: bytes) -> None:
    """Remove the row of a file whose bytes are gone."""
    connection.execute(delete(file).where(file.c.file_id == file_id))
