"""Accounts, devices and chats written straight into a database, with real channel keys: for tests and measurements that
are not about how people register."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.accounts.tokens import ChannelKeySealer, channel_key_id
from mensajeria.server.chats import repository
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.db.schema import ACTIVE, account, device
from mensajeria.server.db.schema_chats import chat, chat_member

NOW_MS = 1_700_000_000_000
PREKEY_ID = 7


@dataclass(frozen=True, slots=True)
class Person:
    """An account with one device."""

    account_id: int
    uid: bytes
    device_id: int
    did: bytes
    ck: Secret = field(repr=False)


def insert_people(connection: Connection, count: int, sealer: ChannelKeySealer | None = None) -> list[Person]:
    """Make accounts with one device each. Without a sealer nobody can log in."""
    return [_insert_person(connection, sealer) for _ in range(count)]


def _insert_person(connection: Connection, sealer: ChannelKeySealer | None) -> Person:
    uid = secrets.token_bytes(16)
    empty = dict.fromkeys(("opaque_record", "wrap_password", "wrap_recovery", "identity"), b"")
    account_id = connection.execute(
        insert(account)
        .values(
            uid=uid,
            handle="h" + uid.hex()[:24],
            status=ACTIVE,
            created_ms=NOW_MS,
            opaque_suite=1,
            root_ver=1,
            idfp=os.urandom(32),
            list_ver=1,
            **empty,
        )
        .returning(account.c.id)
    ).scalar_one()
    return insert_device(connection, account_id, uid, sealer)


def insert_device(
    connection: Connection, account_id: int, uid: bytes, sealer: ChannelKeySealer | None = None
) -> Person:
    """Give an account one more device."""
    did, ck = secrets.token_bytes(16), Secret(secrets.token_bytes(32))
    login = {} if sealer is None else {"ck_sealed": sealer.seal("ck", did, ck), "ck_id": channel_key_id(ck)}
    device_id = connection.execute(
        insert(device)
        .values(
            did=did,
            account_id=account_id,
            name="test",
            ed25519=os.urandom(32),
            curve25519=os.urandom(32),
            created_ms=NOW_MS,
            last_seen_ms=NOW_MS,
            pq_prekey_id=PREKEY_ID,
            **login,
        )
        .returning(device.c.id)
    ).scalar_one()
    return Person(account_id, uid, device_id, did, ck)


def insert_direct_chat(
    connection: Connection, server_id: bytes, one: Person, other: Person, *, accepted: bool = True
) -> tuple[int, bytes]:
    """Make the direct chat that `one` began; the row id and the chat's id."""
    chat_id = direct_chat_id(server_id, one.uid, other.uid)
    repository.create_direct(connection, chat_id, one.account_id, other.account_id, NOW_MS)
    info = read_chat(connection, chat_id)
    assert info is not None
    if accepted:
        repository.answer(connection, info.id, other.account_id, accept=True)
    return info.id, chat_id


def insert_group(connection: Connection, chat_id: bytes, people: Sequence[Person]) -> None:
    """A group as its members' events would have made it."""
    row = connection.execute(
        insert(chat)
        .values(chat_id=chat_id, kind=repository.KIND_GROUP, last_ms=NOW_MS, created_ms=NOW_MS)
        .returning(chat.c.id)
    ).scalar_one()
    members = [{"chat": row, "account": one.account_id, "accepted": True, "created_ms": NOW_MS} for one in people]
    connection.execute(insert(chat_member), members)
