"""Deleting an account: its rows go, in one transaction. What it wrote into others' chats stays and names no sender."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, exists, insert, select, update

from mensajeria.kit.clock import Clock
from mensajeria.protocol.approval import Action, deletion_digest
from mensajeria.protocol.auth_changes import AccountDelete
from mensajeria.server.accounts.approvals import change_of, require_approval
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.ending import empty_device
from mensajeria.server.accounts.invites import revoke_invites_of
from mensajeria.server.accounts.login import ProvenLogin, proven_account
from mensajeria.server.accounts.reserved import reserve
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.chats.erase import secure_delete
from mensajeria.server.chats.repository import KIND_DIRECT
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_chats import chat, chat_member
from mensajeria.server.db.schema_content import chat_purge
from mensajeria.server.facts import Facts
from mensajeria.server.push import Push


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is to be told after the commit: devices to disconnect, chats with the accounts that remain in them."""

    devices: tuple[int, ...]
    chats: tuple[tuple[bytes, tuple[int, ...]], ...]


def delete_account(connection: Connection, account_id: int, now_ms: int, *, keep_name: bool = True) -> Deleted:
    """Delete an account with devices, lists, keys, mailboxes, memberships, blocks and backups; free its files.

    Its invites end. Its name stays reserved for a year unless `keep_name` is False. The key log keeps its leaves, which
    are hashes.
    """
    row = connection.execute(select(account.c.handle).where(account.c.id == account_id).with_for_update()).one()
    devices = _lock_devices(connection, account_id)
    with secure_delete(connection, "FAST"):
        for device_id in devices:
            empty_device(connection, device_id)
        revoke_invites_of(connection, account_id, now_ms)
        chats = _leave_chats(connection, account_id, now_ms)
        connection.execute(delete(account).where(account.c.id == account_id))
    if keep_name:
        reserve(connection, row.handle, now_ms)
    return Deleted(devices, chats)


def _lock_devices(connection: Connection, account_id: int) -> tuple[int, ...]:
    """Revoked ones, too. Whoever puts an envelope holds the device's row, and finds none afterwards."""
    query = select(device.c.id).where(device.c.account_id == account_id).order_by(device.c.id).with_for_update()
    return tuple(connection.execute(query).scalars())


def _leave_chats(connection: Connection, account_id: int, now_ms: int) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    """Leave every chat; a chat without anybody is purged, a direct chat with one left is not listed any more.

    There may be thousands: a few statements for all, and the chats' rows, which messages wait for, are locked last.
    """
    own = select(chat_member.c.chat).where(chat_member.c.account == account_id)
    mine = select(chat.c.id, chat.c.chat_id).where(chat.c.id.in_(own)).order_by(chat.c.id)
    chats = connection.execute(mine).all()
    left = _others(connection, account_id)
    for row in chats:
        if row.id not in left:
            _purge(connection, row.id, now_ms)
    connection.execute(mine.with_for_update(key_share=True))
    connection.execute(update(chat).where(chat.c.id.in_(own), chat.c.kind == KIND_DIRECT).values(departed=True))
    connection.execute(delete(chat_member).where(chat_member.c.account == account_id))
    return tuple((row.chat_id, tuple(left.get(row.id, ()))) for row in chats)


def _others(connection: Connection, account_id: int) -> dict[int, list[int]]:
    """Who else is in the account's chats, by chat."""
    mine, theirs = chat_member.alias("mine"), chat_member.alias("theirs")
    query = (
        select(theirs.c.chat, theirs.c.account)
        .join(mine, and_(mine.c.chat == theirs.c.chat, mine.c.account == account_id))
        .where(theirs.c.account != account_id)
    )
    others: dict[int, list[int]] = {}
    for row in connection.execute(query):
        others.setdefault(row.chat, []).append(row.account)
    return others


def _purge(connection: Connection, chat_row: int, now_ms: int) -> None:
    queued = connection.execute(select(exists().where(chat_purge.c.chat == chat_row))).scalar_one()
    if not queued:
        connection.execute(insert(chat_purge).values(chat=chat_row, since_ms=now_ms))


async def tell_deleted(ends: EndedLogins, hub: Push, deleted: Deleted) -> None:
    """Close the connections, and make every process forget who was in the chats."""
    await ends.tell(deleted.devices)
    for chat_id, accounts in deleted.chats:
        await hub.chat_created(chat_id, accounts)


class AccountDeletion:
    """The service behind the `account_delete` message."""

    def __init__(self, *, clock: Clock, db: Database, facts: Facts, ends: EndedLogins, hub: Push) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._ends = ends
        self._hub = hub

    async def delete(self, proven: ProvenLogin, message: AccountDelete) -> None:
        """Delete the account.

        Raises:
            ProtocolError: UNKNOWN_DEVICE, UNAUTHORIZED, APPROVAL_NEEDED, BAD_CREDENTIALS or ACCOUNT_SUSPENDED.
        """
        await tell_deleted(self._ends, self._hub, await self._db.write(lambda c: self._delete(c, proven, message)))

    def _delete(self, connection: Connection, proven: ProvenLogin, message: AccountDelete) -> Deleted:
        now_ms = self._clock.now_ms()
        row = proven_account(connection, proven, lock=True)
        change = change_of(proven, Action.ACCOUNT_DELETE, self._facts.server_id, deletion_digest())
        require_approval(connection, proven, change, message.approval, identity=row.identity, now_ms=now_ms)
        record(connection, Act.ACCOUNT_DELETED, actor=row.uid.hex(), target=row.uid.hex(), now_ms=now_ms)
        return delete_account(connection, row.id, now_ms)
