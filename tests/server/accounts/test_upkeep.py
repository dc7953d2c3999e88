"""Rotation of the keys, the audit log's end, and what reaches a server through signals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.signals import LIFE_MS, _Ended, signal_chats, signal_ended, signal_keys
from mensajeria.server.accounts.tokens import ChannelKeySealer
from mensajeria.server.admin import keys, users
from mensajeria.server.admin.audit import DAY_MS, Act, AuditSweep, entries, record
from mensajeria.server.chats import cursors, repository
from mensajeria.server.chats.cursors import Step
from mensajeria.server.db.schema import device
from mensajeria.server.db.schema_access import server_signal
from mensajeria.server.db.schema_chats import chat, device_cursor
from mensajeria.server.facts import StateError
from mensajeria.server.keyfiles import CHANNEL_KEY, load_key_files, rotate_key_file
from mensajeria.server.push import Silent
from mensajeria.server.settings import Settings
from mensajeria.server.startup import prepare
from mensajeria.server.state import Server
from tests.server.changes import proven
from tests.server.enrol import log_in, register, talk
from tests.server.fixtures import ON_SQLITE, void


class Told(Silent):
    """What connected devices would have heard."""

    def __init__(self) -> None:
        self.ended: list[tuple[tuple[int, ...], Code]] = []
        self.chats: list[tuple[bytes, tuple[int, ...]]] = []

    async def end_login(self, device_ids: object, code: Code) -> None:
        self.ended.append((tuple(device_ids), code))  # type: ignore[arg-type]

    async def chat_created(self, chat_id: bytes, account_ids: object) -> None:
        self.chats.append((chat_id, tuple(account_ids)))  # type: ignore[arg-type]


@pytest.mark.quick
async def test_signals_are_handled_once_and_forgotten(server: Server, clock: FakeClock) -> None:
    told = Told()
    server.hub.attach(told)
    now = clock.now_ms()
    await server.db.write(lambda db: signal_ended(db, [1], Code.LOGIN_REVOKED, now))
    await server.signals.start()  # what was signalled before concerns nobody
    await server.db.write(lambda db: signal_ended(db, [2, 3], Code.ACCOUNT_SUSPENDED, now))
    await server.db.write(lambda db: signal_chats(db, [(b"c" * 32, (7,))], now))

    for _ in range(3):
        await server.signals.look()

    assert told.ended == [((2, 3), Code.ACCOUNT_SUSPENDED)]
    assert told.chats == [(b"c" * 32, (7,))]
    clock.advance(LIFE_MS / 1000 + 1)
    await server.signals.look()
    async with server.db.read() as db:
        assert (await db.execute(select(func.count()).select_from(server_signal))).scalar_one() == 0


@ON_SQLITE
async def test_however_many_signals_there_are_none_is_passed_over(server: Server, clock: FakeClock) -> None:
    told = Told()
    server.hub.attach(told)
    await server.signals.start()
    body = encode(_Ended((1,), Code.ACCOUNT_SUSPENDED))
    rows = [{"ts": clock.now_ms(), "kind": "logins_ended", "body": body}] * 2500
    await server.db.write(lambda db: void(db.execute(insert(server_signal), rows)))

    await server.signals.look()
    await server.signals.look()

    assert len(told.ended) == 2500


@pytest.mark.quick
@ON_SQLITE
async def test_signal_of_another_version_is_passed_over(server: Server, clock: FakeClock) -> None:
    told = Told()
    server.hub.attach(told)
    now = clock.now_ms()
    rows = [
        {"ts": now, "kind": "dance", "body": b"x"},
        {"ts": now, "kind": "logins_ended", "body": b"\xc1"},
    ]
    await server.db.write(lambda db: void(db.execute(insert(server_signal), rows)))
    await server.db.write(lambda db: signal_ended(db, [2], Code.LOGIN_REVOKED, now))

    await server.signals.look()

    assert told.ended == [((2,), Code.LOGIN_REVOKED)]


async def test_admin_commands_end_what_the_server_remembers(server: Server, settings: Settings) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None
    await server.authenticator.authenticate(ana.tokens.access_token)

    await asyncio.to_thread(users.suspend_user, settings, "ana", server.clock)
    await server.signals.look()

    with pytest.raises(ProtocolError) as caught:
        await server.authenticator.authenticate(ana.tokens.access_token)
    assert caught.value.code is Code.ACCOUNT_SUSPENDED
    await asyncio.to_thread(users.unsuspend_user, settings, "ana", server.clock)
    await server.authenticator.authenticate(ana.tokens.access_token)


async def test_channel_keys_are_sealed_anew_and_nobody_logs_in_again(server: Server, settings: Settings) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None
    old = server.keys.channel

    count = await asyncio.to_thread(keys.rotate_channel_key, settings, server.clock, wait_s=0)
    await server.signals.look()
    server.authenticator.forget_all()

    assert count == 1
    assert (await server.authenticator.authenticate(ana.tokens.access_token)).ck == ana.ck
    async with server.db.read() as db:
        row = (await db.execute(select(device.c.did, device.c.ck_sealed))).one()
    with pytest.raises(ProtocolError):
        ChannelKeySealer(old).unseal("ck", row.did, row.ck_sealed)
    await log_in(talk(server), ana)


@ON_SQLITE
async def test_interrupted_rotation_is_finished_by_the_next(server: Server, settings: Settings) -> None:
    """Killed after the new key was written: what was sealed before opens only with the former one."""
    ana = await register(server, "ana")
    assert ana.tokens is not None
    await asyncio.to_thread(rotate_key_file, settings.secrets_dir, CHANNEL_KEY, server.clock.now_ms())
    half = await asyncio.to_thread(load_key_files, settings.secrets_dir)
    assert half is not None

    assert await asyncio.to_thread(keys.rotate_channel_key, settings, server.clock, wait_s=0) == 1

    whole = await asyncio.to_thread(load_key_files, settings.secrets_dir)
    assert whole is not None
    assert (whole.channel, whole.former_channel) == (half.channel, None)
    await server.signals.look()
    server.authenticator.forget_all()
    assert (await server.authenticator.authenticate(ana.tokens.access_token)).ck == ana.ck


@ON_SQLITE
async def test_server_starts_with_rotated_keys(server: Server, settings: Settings) -> None:
    ana = await register(server, "ana")
    await asyncio.to_thread(keys.rotate_token_key, settings, server.clock)
    with pytest.raises(StateError, match="keys_just_rotated"):
        await asyncio.to_thread(keys.rotate_token_key, settings, server.clock)

    prepared = await prepare(settings, server.clock)
    await prepared.db.close()

    assert prepared.keys.former_token is not None
    assert prepared.keys.former_token.key == server.keys.token
    await server.db.write(lambda db: signal_keys(db, server.clock.now_ms()))
    await server.signals.look()
    assert ana.tokens is not None
    await server.authenticator.authenticate(ana.tokens.access_token)


@pytest.mark.quick
async def test_audit_log_ends(server: Server, clock: FakeClock) -> None:
    sweep = AuditSweep(server.db, clock, days=90)
    for day in (0, 1):
        now = clock.now_ms() + day * DAY_MS
        await server.db.write(lambda db, at=now: record(db, Act.RECOVERED, actor="a", target="t", now_ms=at))  # type: ignore[misc]
    clock.advance(90 * 24 * 3600 + 1)

    assert await sweep.sweep() == 1
    assert len(await server.db.query(entries)) == 1
    assert await sweep.sweep() == 0


async def test_cursor_of_a_deleted_device_does_not_take_the_others_with_it(server: Server) -> None:
    ana, bruno = await register(server, "ana"), await register(server, "bruno")
    one, other = [await server.authenticator.authenticate(who.tokens.access_token) for who in (ana, bruno)]  # type: ignore[union-attr]
    now = server.clock.now_ms()
    await server.db.write(lambda db: repository.create_direct(db, b"c" * 32, one.account_id, other.account_id, now))
    async with server.db.read() as db:
        row = (await db.execute(select(chat.c.id))).scalar_one()
    steps = [Step(who.device_id, who.account_id, row, b"c" * 32, 0) for who in (one, other)]
    login = await proven(talk(server), ana)
    await login.talk.say(login.deletion())

    living = await server.db.query(lambda db: cursors.of_living(db, steps))
    await server.db.write(lambda db: cursors.store(db, living))

    async with server.db.read() as db:
        assert list((await db.execute(select(device_cursor.c.device))).scalars()) == [other.device_id]


def test_paths_of_key_files(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="secrets_missing"):
        keys.rotate_token_key(Settings.model_validate({"data_dir": tmp_path}))
