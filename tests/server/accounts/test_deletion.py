"""Deleting an account: no row of it is left, what it wrote stays with the others, its name cannot be taken over."""

from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy import Connection, func, insert, select, update

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.accounts.invites import create_invite, use_invite
from mensajeria.server.accounts.reserved import RESERVED_MS
from mensajeria.server.chats import repository
from mensajeria.server.chats.heads import Viewer, heads_page
from mensajeria.server.db.schema import (
    ACTIVE,
    SUSPENDED,
    account,
    device,
    device_list,
    invite,
    one_time_key,
    refresh_family,
)
from mensajeria.server.db.schema_access import audit
from mensajeria.server.db.schema_chats import chat, chat_member, device_cursor, event, mailbox
from mensajeria.server.db.schema_content import backup_row, block, chat_purge, file, report
from mensajeria.server.state import Server
from tests.server.changes import proven
from tests.server.enrol import Person, Refused, add_device, draft, prove, register, talk
from tests.server.fixtures import ON_SQLITE, void

EMPTY_AFTER = (
    device,
    device_list,
    one_time_key,
    refresh_family,
    chat_member,
    device_cursor,
    mailbox,
    block,
    backup_row,
)


async def row_ids(server: Server, person: Person) -> tuple[int, int]:
    """Row ids of the account and of the device."""
    login = await server.authenticator.authenticate(person.tokens.access_token)  # type: ignore[union-attr]
    return login.account_id, login.device_id


async def fill(server: Server, ana: Person, bruno: Person) -> int:
    """Something in every table; the row id of the chat of both."""
    (one, one_device), (other, _) = await row_ids(server, ana), await row_ids(server, bruno)
    now = server.clock.now_ms()

    def write(db: Connection) -> int:
        repository.create_direct(db, direct_chat_id(server.facts.server_id, ana.uid, bruno.uid), one, other, now)
        repository.create_direct(db, direct_chat_id(server.facts.server_id, ana.uid, ana.uid), one, one, now)
        shared = db.execute(select(chat.c.id).order_by(chat.c.id)).scalars().first()
        assert shared is not None
        row = {"chat": shared, "seq": 1, "mid": os.urandom(16), "ts": now, "kind": 0, "body": b"ciphertext"}
        db.execute(insert(event).values(row))
        db.execute(insert(device_cursor).values(device=one_device, chat=shared, seq=1))
        db.execute(insert(mailbox).values(device=one_device, id=1, prekey_id=1, ts=now, blob=b"x"))
        db.execute(insert(block).values(account=other, blocked=one, created_ms=now))
        db.execute(insert(backup_row).values(account=one, n=1, row_id=bytes(16), counter=1, blob=b"x"))
        db.execute(insert(file).values(file_id=bytes(16), account=one, size=1, created_ms=now, expires_ms=now))
        db.execute(insert(report).values(reporter=one, target=bruno.uid, text="spam", created_ms=now))
        token = {"token_hash": bytes(32), "created_by": one, "uses_left": 1, "created_ms": now, "expires_ms": now + 1}
        db.execute(insert(invite).values(token))
        return int(shared)

    return await server.db.write(write)


async def delete(server: Server, person: Person) -> None:
    login = await proven(talk(server), person)
    assert isinstance(await login.talk.say(login.deletion()), auth.AccountDeleted)


@pytest.mark.quick
async def test_nothing_of_the_account_is_left_and_the_others_keep_theirs(server: Server) -> None:
    ana, bruno = await register(server, "ana"), await register(server, "bruno")
    shared = await fill(server, ana, bruno)
    one, one_device = await row_ids(server, ana)
    other, _ = await row_ids(server, bruno)

    await delete(server, ana)

    async with server.db.read() as db:
        for table in EMPTY_AFTER:
            for name in {"account", "account_id", "blocked"} & set(table.c.keys()):
                rows = select(func.count()).select_from(table).where(table.c[name] == one)
                assert (await db.execute(rows)).scalar_one() == 0, table.name
            for name in {"device", "device_id"} & set(table.c.keys()):
                rows = select(func.count()).select_from(table).where(table.c[name] == one_device)
                assert (await db.execute(rows)).scalar_one() == 0, table.name
        assert list((await db.execute(select(account.c.handle))).scalars()) == ["bruno"]
        assert (await db.execute(select(file.c.account))).scalar_one() is None
        assert (await db.execute(select(report.c.reporter))).scalar_one() is None
        assert (await db.execute(select(invite.c.created_by))).scalar_one() is None
        kept = (await db.execute(select(event.c.body).where(event.c.chat == shared))).scalar_one()
        assert kept == b"ciphertext"
        assert list((await db.execute(select(chat_member.c.account))).scalars()) == [other]
        assert len(list(await db.execute(select(chat_purge)))) == 1  # the note to self
        assert [row.action for row in await db.execute(select(audit))] == ["account_deleted"]


@ON_SQLITE
async def test_its_bytes_are_in_no_file_once_the_server_has_tidied_up(server: Server) -> None:
    ana, bruno = await register(server, "ana"), await register(server, "bruno")
    await fill(server, ana, bruno)
    one, one_device = await row_ids(server, ana)
    marks = [b"MARK-of-a-row" * 5, b"MARK-of-a-long-row" * 1000]
    await server.db.write(lambda db: void([
        db.execute(insert(backup_row).values(account=one, n=2, row_id=os.urandom(16), counter=1, blob=mark))
        for mark in marks
    ] + [db.execute(insert(mailbox).values(device=one_device, id=9, prekey_id=1, ts=1, blob=marks[0]))]))  # fmt: skip

    def holders(mark: bytes) -> list[str]:
        return [file.name for file in server.settings.data_dir.glob("mensajeria.db*") if mark in file.read_bytes()]

    assert await asyncio.to_thread(holders, b"MARK-of")
    await delete(server, ana)
    await server.retention.run()

    for mark in (b"MARK-of", ana.uid, ana.device.did):
        assert await asyncio.to_thread(holders, mark) == []
    assert await asyncio.to_thread(holders, bruno.uid) == ["mensajeria.db"]


@pytest.mark.quick
async def test_chat_whose_other_side_is_gone_is_not_listed(server: Server) -> None:
    """Its id is the hash of two people: with one of them missing a device could not check it."""
    ana, bruno = await register(server, "ana"), await register(server, "bruno")
    await fill(server, ana, bruno)
    viewer = Viewer(*await row_ids(server, bruno))

    await delete(server, ana)

    heads, _ = await heads_page(server.db, viewer, b"", 10)
    assert heads == []


@pytest.mark.quick
@ON_SQLITE
async def test_login_ends_and_the_password_is_unknown(server: Server) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None
    await server.authenticator.authenticate(ana.tokens.access_token)

    await delete(server, ana)

    with pytest.raises(ProtocolError) as caught:
        await server.authenticator.authenticate(ana.tokens.access_token)
    assert caught.value.code is Code.UNAUTHORIZED


async def test_name_is_reserved_for_a_year(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    await delete(server, ana)

    assert not (await talk(server).say(auth.CheckHandle("ana"))).free
    with pytest.raises(Refused) as caught:
        await draft(talk(server), "ana", now_ms=clock.now_ms())
    assert caught.value.code is Code.HANDLE_TAKEN
    clock.advance(RESERVED_MS / 1000)
    assert (await talk(server).say(auth.CheckHandle("ana"))).free
    again = await register(server, "ana")
    assert again.uid != ana.uid
    await prove(talk(server), "ana")


@ON_SQLITE
async def test_young_device_needs_the_recovery_code(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    phone = await add_device(talk(server), ana, now_ms=clock.now_ms())
    login = await proven(talk(server), phone)

    with pytest.raises(Refused) as caught:
        await login.talk.say(login.deletion())
    assert caught.value.code is Code.APPROVAL_NEEDED
    assert isinstance(await login.talk.say(login.deletion(code=ana.code)), auth.AccountDeleted)


@ON_SQLITE
async def test_deletion_is_of_one_login(server: Server) -> None:
    ana, bruno = await register(server, "ana"), await register(server, "bruno")
    first, second = await proven(talk(server), ana), await proven(talk(server), bruno)

    with pytest.raises(Refused) as caught:
        await second.talk.say(first.deletion())
    assert caught.value.code is Code.UNKNOWN_DEVICE
    again = await proven(talk(server), ana)
    with pytest.raises(Refused) as caught:
        await again.talk.say(first.deletion())
    assert caught.value.code is Code.UNAUTHORIZED


async def test_members_invites_are_good_only_while_their_account_is(server: Server) -> None:
    ana = await register(server, "ana")
    one, _ = await row_ids(server, ana)
    now = server.clock.now_ms()

    def make(db: Connection) -> bytes:
        return create_invite(db, uses=9, expires_ms=now + 1, now_ms=now, created_by=one)[1].reveal()

    token = await server.db.write(make)

    async def is_good() -> bool:
        try:
            await server.db.write(lambda db: use_invite(db, token, now))
        except ProtocolError:
            return False
        return True

    async def become(status: str) -> None:
        change = update(account).where(account.c.id == one).values(status=status)
        await server.db.write(lambda db: void(db.execute(change)))

    assert await is_good()
    await become(SUSPENDED)
    assert not await is_good()
    await become(ACTIVE)
    assert await is_good()
    await delete(server, ana)
    assert not await is_good()
