"""Registration: everything in one transaction, or nothing."""

from __future__ import annotations

import asyncio
import os
import secrets

import msgspec
import pytest
from sqlalchemy import select

from mensajeria.crypto.device import DeviceKeys
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth, limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.transparency import handle_label, uid_label
from mensajeria.server.accounts.invites import DAY_MS, create_invite, new_token, revoke_invite
from mensajeria.server.db.schema import account, device, kt_leaf, one_time_key
from mensajeria.server.settings import Settings
from mensajeria.server.startup import start_server
from mensajeria.server.state import Server
from tests.server.enrol import Draft, Refused, Talk, altered, draft, log_in, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts


async def refusal(connection: Talk, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await connection.say(message)
    return caught.value.code


@pytest.mark.quick
async def test_account_device_prekeys_and_leaves_are_there_when_registered(server: Server) -> None:
    ana = await register(server, "ana")

    async with server.db.read() as connection:
        row = (await connection.execute(select(account))).one()
        own = (await connection.execute(select(device))).one()
        leaves = (await connection.execute(select(kt_leaf).order_by(kt_leaf.c.idx))).all()
        keys = (await connection.execute(select(one_time_key.c.key))).all()

    assert (row.handle, row.uid, row.list_ver, row.root_ver) == ("ana", ana.uid, 1, 1)
    assert (own.did, own.name, own.pq_prekey_id) == (ana.device.did, "laptop", ana.device.pq_prekey_id)
    assert len(keys) == limits.OTK_TARGET
    labels = [leaf.label for leaf in leaves]
    assert labels == [uid_label(ana.uid), handle_label(server.facts.server_id, "ana")]
    assert [(leaf.idx, leaf.ver, leaf.prev_idx) for leaf in leaves] == [(0, 1, -1), (1, 1, -1)]


@pytest.mark.quick
@ON_SQLITE
async def test_greeting_names_the_server(server: Server) -> None:
    info = talk(server).info

    assert info.server_id == server.facts.server_id
    assert info.registration == "open"
    assert info.password_suites == (auth.SUITE_PASSWORD,)


async def test_taken_name_is_refused_and_changes_nothing(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    early = await draft(connection, "ana", now_ms=clock.now_ms())
    await register(server, "ana")
    before = await row_counts(server)

    assert await refusal(talk(server), auth.RegisterStart(1, "ana", b"", os.urandom(32))) is Code.HANDLE_TAKEN
    assert (await talk(server).say(auth.CheckHandle("ana"))).free is False
    assert (await talk(server).say(auth.CheckHandle("bruno"))).free is True
    assert await refusal(connection, early.finish) is Code.HANDLE_TAKEN
    assert await row_counts(server) == before


async def test_of_two_at_once_one_gets_the_name(server: Server, clock: FakeClock) -> None:
    connections = [talk(server) for _ in range(4)]
    drafts = [await draft(connection, "ana", now_ms=clock.now_ms()) for connection in connections]

    outcomes = await asyncio.gather(
        *(connection.say(one.finish) for connection, one in zip(connections, drafts, strict=True)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, auth.Registered) for outcome in outcomes) == 1
    assert {outcome.code for outcome in outcomes if isinstance(outcome, Refused)} == {Code.HANDLE_TAKEN}
    assert (await row_counts(server))["account"] == 1


async def test_ticket_is_good_once(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    prepared = await draft(connection, "ana", now_ms=clock.now_ms())
    await connection.say(prepared.finish)

    assert await refusal(connection, prepared.finish) is Code.TICKET_INVALID


async def test_ticket_is_used_up_by_a_failed_try(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    prepared = await draft(connection, "ana", now_ms=clock.now_ms())
    spoiled = msgspec.structs.replace(prepared.finish, device_list=altered(prepared.finish.device_list))

    assert await refusal(connection, spoiled) is Code.LIST_INVALID
    assert await refusal(connection, prepared.finish) is Code.TICKET_INVALID


@ON_SQLITE
async def test_ticket_belongs_to_its_connection(server: Server, clock: FakeClock) -> None:
    anas, mallorys = talk(server), talk(server)
    ana = await draft(anas, "ana", now_ms=clock.now_ms())
    mallory = await draft(mallorys, "mallory", now_ms=clock.now_ms())

    # Mallory's upload on Ana's ticket, from Mallory's connection.
    swapped = msgspec.structs.replace(mallory.finish, ticket=ana.finish.ticket)
    assert await refusal(mallorys, swapped) is Code.TICKET_INVALID
    assert (await row_counts(server))["account"] == 0
    await anas.say(ana.finish)
    await log_in(anas, ana.person)


@ON_SQLITE
async def test_ticket_expires(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    prepared = await draft(connection, "ana", now_ms=clock.now_ms())
    clock.advance(limits.TICKET_S + 1)

    assert await refusal(connection, prepared.finish) is Code.TICKET_INVALID


def _with_other_device(one: Draft, now_ms: int) -> auth.RegisterFinish:
    other = DeviceKeys.create(one.person.uid)
    return msgspec.structs.replace(one.finish, prekeys=other.first_prekeys(now_ms))


def _without(one: Draft, **changes: object) -> auth.RegisterFinish:
    prekeys = msgspec.structs.replace(one.finish.prekeys, **changes)
    return msgspec.structs.replace(one.finish, prekeys=prekeys)


@ON_SQLITE
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda one, now: msgspec.structs.replace(one.finish, upload=b"x"), Code.MALFORMED),
        (lambda one, now: msgspec.structs.replace(one.finish, identity=b"x"), Code.LIST_INVALID),
        (_with_other_device, Code.MALFORMED),
        (lambda one, now: _without(one, fallback=None), Code.MALFORMED),
        (lambda one, now: _without(one, pq=None), Code.MALFORMED),
        (lambda one, now: _without(one, pq=altered(one.finish.prekeys.pq)), Code.MALFORMED),
        (lambda one, now: _without(one, one_time=(altered(one.finish.prekeys.one_time[0]),)), Code.MALFORMED),
        (lambda one, now: _without(one, one_time=(one.finish.prekeys.fallback,)), Code.MALFORMED),
        (lambda one, now: _without(one, fallback=one.finish.prekeys.one_time[0]), Code.MALFORMED),
    ],
    ids=["upload", "identity", "other-device", "no-fallback", "no-pq", "pq", "one-time", "context", "context-back"],
)
async def test_what_does_not_verify_is_refused_and_changes_nothing(
    server: Server, clock: FakeClock, spoil: object, code: Code
) -> None:
    connection = talk(server)
    prepared = await draft(connection, "ana", now_ms=clock.now_ms())
    before = await row_counts(server)

    assert await refusal(connection, spoil(prepared, clock.now_ms())) is code  # type: ignore[operator]
    assert await row_counts(server) == before


@ON_SQLITE
async def test_device_name_that_no_database_can_keep_is_malformed(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    prepared = await draft(connection, "ana", now_ms=clock.now_ms())
    finish = msgspec.structs.replace(prepared.finish, device_name="a\0b")
    before = await row_counts(server)

    assert await refusal(connection, finish) is Code.MALFORMED
    assert await row_counts(server) == before


async def test_list_of_another_name_or_user_is_refused(server: Server, clock: FakeClock) -> None:
    connection = talk(server)
    ana = await draft(connection, "ana", now_ms=clock.now_ms())
    person = ana.person
    foreign = person.identity.first_list("bruno", person.device.card(person.identity.idfp, 1), clock.now_ms())

    assert await refusal(connection, msgspec.structs.replace(ana.finish, device_list=foreign)) is Code.LIST_INVALID


async def test_device_id_or_key_of_somebody_else_is_refused(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    before = await row_counts(server)
    connection = talk(server)
    prepared = await draft(connection, "bruno", now_ms=clock.now_ms())
    identity, uid = prepared.person.identity, prepared.person.uid
    thief = DeviceKeys.create(uid, ana.device.did)
    listed = identity.first_list("bruno", thief.card(identity.idfp, 1), clock.now_ms())
    finish = msgspec.structs.replace(prepared.finish, device_list=listed, prekeys=thief.first_prekeys(clock.now_ms()))

    assert await refusal(connection, finish) is Code.LIST_INVALID
    assert await row_counts(server) == before


@pytest.mark.quick
@ON_SQLITE
async def test_unknown_suite_and_garbage_request(server: Server) -> None:
    assert await refusal(talk(server), auth.RegisterStart(9, "ana", b"", os.urandom(32))) is Code.NEWER_VERSION
    assert await refusal(talk(server), auth.RegisterStart(1, "ana", b"", b"\xff" * 32)) is Code.MALFORMED


def test_a_token_is_no_option_on_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\xf8" + bytes(15), b"\xfb" + bytes(15), b"\xfc" + bytes(15)])  # "-A...", "-w...", "_A..."
    monkeypatch.setattr(secrets, "token_bytes", lambda _size: next(drawn))
    assert new_token() == b"\xfc" + bytes(15)


@pytest.mark.slow
async def test_invites(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> None:
    folder = tmp_path_factory.mktemp("invites")
    server = await start_server(Settings.model_validate({"data_dir": folder, "registration": "invite"}), clock)
    try:
        await _check_invites(server, clock)
    finally:
        await server.close()


async def _check_invites(server: Server, clock: FakeClock) -> None:
    assert server.first_invite is not None
    owner = server.first_invite.reveal()
    start = auth.RegisterStart(1, "ana", b"", os.urandom(32))
    assert await refusal(talk(server), start) is Code.INVITE_REQUIRED
    assert await refusal(talk(server), auth.CheckHandle("ana")) is Code.INVITE_REQUIRED
    wrong = msgspec.structs.replace(start, invite=os.urandom(16))
    assert await refusal(talk(server), wrong) is Code.INVITE_INVALID

    late = talk(server)
    too_late = await draft(late, "carla", invite=owner, now_ms=clock.now_ms())
    await register(server, "ana", invite=owner)
    assert await refusal(late, too_late.finish) is Code.INVITE_INVALID  # its one use is gone
    assert (await row_counts(server))["account"] == 1

    now = clock.now_ms()
    number, twice = await server.db.write(
        lambda connection: create_invite(connection, uses=3, expires_ms=now + DAY_MS, now_ms=now)
    )
    await register(server, "bruno", invite=twice.reveal())
    clock.advance(DAY_MS / 1000)
    expired = msgspec.structs.replace(start, invite=twice.reveal())
    assert await refusal(talk(server), expired) is Code.INVITE_INVALID

    now = clock.now_ms()
    number, other = await server.db.write(
        lambda connection: create_invite(connection, uses=3, expires_ms=now + DAY_MS, now_ms=now)
    )
    assert await server.db.write(lambda connection: revoke_invite(connection, number, now))
    revoked = msgspec.structs.replace(start, invite=other.reveal())
    assert await refusal(talk(server), revoked) is Code.INVITE_INVALID


@pytest.mark.slow
async def test_closed_registration(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> None:
    folder = tmp_path_factory.mktemp("closed")
    server = await start_server(Settings.model_validate({"data_dir": folder, "registration": "closed"}), clock)
    try:
        assert await refusal(talk(server), auth.CheckHandle("ana")) is Code.REGISTRATION_CLOSED
    finally:
        await server.close()


@ON_SQLITE
async def test_registrations_are_limited_by_network_not_on_this_machine(server: Server) -> None:
    start = auth.RegisterStart(1, "ana", b"", b"\x01" + bytes(31))
    for _ in range(20):
        assert await refusal(talk(server, "192.0.2.0/24"), start) is Code.MALFORMED

    assert await refusal(talk(server, "192.0.2.0/24"), start) is Code.RATE_LIMITED
    assert await refusal(talk(server, "198.51.100.0/24"), start) is Code.MALFORMED
    assert await refusal(talk(server), start) is Code.MALFORMED
