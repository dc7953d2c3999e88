"""Login: the same answer for every wrong try, one login per proof, and what a device must show."""

from __future__ import annotations

import os

import msgspec
import pytest
from sqlalchemy import select, update

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.password import password_proof
from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.channel import login_transcript
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.errors import Close, Code
from mensajeria.server.accounts.auth_socket import MAX_MESSAGES
from mensajeria.server.db.schema import SUSPENDED, account, device, device_list, kt_leaf
from mensajeria.server.state import Server
from tests.server.enrol import PASSWORD, Person, Refused, Talk, add_device, altered, log_in, prove, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts, void

WRONG = Secret(b"00" * 32)


async def refusal(connection: Talk, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await connection.say(message)
    return caught.value.code


async def start(connection: Talk, handle: str, known: bytes = b"") -> auth.LoginChallenge:
    ke1 = password_proof(SUITE_PASSWORD).start_login(PASSWORD).ke1
    answer = await connection.say(auth.LoginStart(SUITE_PASSWORD, handle, ke1, known))
    assert isinstance(answer, auth.LoginChallenge)
    return answer


@pytest.mark.quick
async def test_both_ends_have_the_same_channel_key(server: Server) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None

    login = await server.authenticator.authenticate(ana.tokens.access_token, ana.device.did)

    assert login.ck == ana.ck
    assert (login.uid, login.did, login.gen) == (ana.uid, ana.device.did, 0)


async def test_wraps_identity_and_newest_list_come_with_the_proof(server: Server) -> None:
    ana = await register(server, "ana")

    answer, _, _ = await prove(talk(server), "ana")

    assert answer.uid == ana.uid
    assert answer.identity == ana.identity.record
    assert verify_device_list(answer.device_list, answer.identity, uid=ana.uid).ver == 1


async def test_unknown_handle_looks_like_a_wrong_password(server: Server) -> None:
    await register(server, "ana")
    known, unknown = talk(server), talk(server)

    first, second = await start(known, "ana"), await start(unknown, "nobody")

    assert len(first.ke2) == len(second.ke2)
    assert known.last_size == unknown.last_size
    for connection in (known, unknown):
        assert await refusal(connection, auth.LoginFinish(bytes(64))) is Code.BAD_CREDENTIALS


@ON_SQLITE
async def test_unknown_handle_has_a_stable_evaluation(server: Server) -> None:
    """The blinded evaluation (the first 32 bytes of KE2) of one request must not change from try to try."""
    ke1 = password_proof(SUITE_PASSWORD).start_login(PASSWORD).ke1
    message = auth.LoginStart(SUITE_PASSWORD, "nobody", ke1)

    answers = [await talk(server).say(message) for _ in range(3)]

    assert len({answer.ke2[:32] for answer in answers}) == 1
    other = await talk(server).say(auth.LoginStart(SUITE_PASSWORD, "nobody2", ke1))
    assert other.ke2[:32] != answers[0].ke2[:32]


@ON_SQLITE
async def test_ke3_is_taken_once(server: Server) -> None:
    await register(server, "ana")
    connection = talk(server)
    started = password_proof(SUITE_PASSWORD).start_login(PASSWORD)
    challenge = await connection.say(auth.LoginStart(SUITE_PASSWORD, "ana", started.ke1))
    ke3 = started.finish(challenge.ke2).ke3
    await connection.say(auth.LoginFinish(ke3))

    assert await refusal(connection, auth.LoginFinish(ke3)) is Code.BAD_CREDENTIALS
    elsewhere = talk(server)
    await elsewhere.say(auth.LoginStart(SUITE_PASSWORD, "ana", started.ke1))
    assert await refusal(elsewhere, auth.LoginFinish(ke3)) is Code.BAD_CREDENTIALS
    assert await refusal(talk(server), auth.LoginFinish(ke3)) is Code.BAD_CREDENTIALS


async def test_suspended_account_is_told_only_after_the_proof(server: Server) -> None:
    await register(server, "ana")
    await server.db.write(lambda connection: void(connection.execute(update(account).values(status=SUSPENDED))))
    connection = talk(server)

    await start(connection, "ana")
    assert await refusal(connection, auth.LoginFinish(bytes(64))) is Code.BAD_CREDENTIALS
    with pytest.raises(Refused) as caught:
        await prove(connection, "ana")
    assert caught.value.code is Code.ACCOUNT_SUSPENDED


@ON_SQLITE
async def test_steps_out_of_order(server: Server) -> None:
    ana = await register(server, "ana")
    signed = ana.device.login(server.facts.server_id, bytes(32))
    login = auth.DeviceLoginMessage(ana.device.did, signed, 0)

    assert await refusal(talk(server), login) is Code.UNAUTHORIZED
    connection = talk(server)
    await start(connection, "ana")
    assert await refusal(connection, login) is Code.UNAUTHORIZED
    assert connection.closed is None


@ON_SQLITE
async def test_one_proof_gives_one_login(server: Server) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    _, _, transcript = await prove(connection, "ana")
    message = auth.DeviceLoginMessage(ana.device.did, ana.device.login(server.facts.server_id, transcript), 0)
    await connection.say(message)

    assert await refusal(connection, message) is Code.UNAUTHORIZED


async def test_device_must_sign_this_transcript_on_this_server(server: Server) -> None:
    ana = await register(server, "ana")
    before = await _devices(server)
    connection = talk(server)
    _, _, transcript = await prove(connection, "ana")
    server_id, did = server.facts.server_id, ana.device.did
    good = ana.device.login(server_id, transcript)
    wrong = [
        altered(good),
        ana.device.login(server_id, login_transcript(b"1", b"2", b"3")),
        ana.device.login(os.urandom(16), transcript),
        DeviceKeys.create(ana.uid, did).login(server_id, transcript),
    ]

    for signed in wrong:
        assert await refusal(connection, auth.DeviceLoginMessage(did, signed, 0)) is Code.UNAUTHORIZED
    assert await refusal(connection, auth.DeviceLoginMessage(os.urandom(16), good, 0)) is Code.UNKNOWN_DEVICE
    assert await _devices(server) == before


async def test_device_of_another_account_cannot_take_the_login(server: Server) -> None:
    await register(server, "ana")
    bruno = await register(server, "bruno")
    connection = talk(server)
    _, _, transcript = await prove(connection, "ana")
    signed = bruno.device.login(server.facts.server_id, transcript)

    assert await refusal(connection, auth.DeviceLoginMessage(bruno.device.did, signed, 0)) is Code.UNKNOWN_DEVICE


async def test_rolled_back_device_is_refused(server: Server) -> None:
    ana = await register(server, "ana")
    await log_in(talk(server), ana, gen=7)

    with pytest.raises(Refused) as caught:
        await log_in(talk(server), ana, gen=6)
    assert caught.value.code is Code.ROLLED_BACK
    await log_in(talk(server), ana, gen=7)


async def test_second_device(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")

    phone = await add_device(talk(server), ana, now_ms=clock.now_ms())

    assert phone.tokens is not None
    login = await server.authenticator.authenticate(phone.tokens.access_token, phone.device.did)
    assert login.ck == phone.ck
    async with server.db.read() as connection:
        vers = (await connection.execute(select(device_list.c.ver).order_by(device_list.c.ver))).scalars().all()
        leaves = (await connection.execute(select(kt_leaf.c.ver, kt_leaf.c.prev_idx).order_by(kt_leaf.c.idx))).all()
    assert vers == [1, 2]
    assert [tuple(leaf) for leaf in leaves] == [(1, -1), (1, -1), (2, 0)]


async def _prepared_device(connection: Talk, ana: Person, now_ms: int) -> auth.DeviceAdd:
    answer, _, _ = await prove(connection, "ana")
    newest = verify_device_list(answer.device_list, answer.identity, uid=ana.uid)
    keys = DeviceKeys.create(ana.uid)
    following = ana.identity.add_device(newest, keys.card(ana.identity.idfp, now_ms), now_ms)
    return auth.DeviceAdd(following, "phone", keys.did, keys.first_prekeys(now_ms))


async def test_of_two_new_lists_one_wins(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    first, second = talk(server), talk(server)
    one, two = [await _prepared_device(each, ana, clock.now_ms()) for each in (first, second)]
    await first.say(one)
    before = await row_counts(server)

    assert await refusal(second, two) is Code.LIST_CONFLICT
    assert await row_counts(server) == before


async def test_list_must_add_this_device_and_nothing_else(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    good = await _prepared_device(connection, ana, clock.now_ms())
    answer, _, _ = await prove(connection, "ana")
    newest = verify_device_list(answer.device_list, answer.identity, uid=ana.uid)
    removed = ana.identity.remove_device(newest, ana.device.did, clock.now_ms())
    before = await row_counts(server)

    replace = msgspec.structs.replace
    assert await refusal(connection, replace(good, device_list=altered(good.device_list))) is Code.LIST_INVALID
    assert await refusal(connection, replace(good, device_list=removed)) is Code.LIST_INVALID
    assert await refusal(connection, replace(good, did=ana.device.did)) is Code.LIST_INVALID
    other = DeviceKeys.create(ana.uid).first_prekeys(clock.now_ms())
    assert await refusal(connection, replace(good, prekeys=other)) is Code.MALFORMED
    assert await row_counts(server) == before


@ON_SQLITE
async def test_wrong_guesses_are_limited_by_their_first_message(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None
    network = "192.0.2.0/24"
    codes = []
    for _ in range(12):
        try:
            await start(talk(server, network), "ana")
        except Refused as refused:
            codes.append((refused.code, refused.detail, refused.retry_after_ms > 0))
    assert codes == [(Code.RATE_LIMITED, "login_handle_network", True)] * 2

    # Who knows nothing about the account is limited alike.
    for _ in range(10):
        await start(talk(server, network), "nobody")
    with pytest.raises(Refused):
        await start(talk(server, network), "nobody")

    # The owner's device has its own bucket; an invented token does not.
    with pytest.raises(Refused):
        await start(talk(server, network), "ana", known=os.urandom(32))
    await start(talk(server, network), "ana", known=ana.tokens.known)
    clock.advance(3600)
    await start(talk(server, network), "ana")


@ON_SQLITE
async def test_guesses_from_many_networks_do_not_lock_the_owner_out(server: Server) -> None:
    ana = await register(server, "ana")
    refused = 0
    for number in range(120):
        try:
            await start(talk(server, f"192.0.{number}.0/24"), "ana")
        except Refused:
            refused += 1
    assert refused >= 60

    await log_in(talk(server, "192.0.2.0/24"), ana)


@pytest.mark.quick
@ON_SQLITE
async def test_garbage_closes_the_connection(server: Server) -> None:
    for data in (b"", b"\xc1", os.urandom(100), b"\x91\x00", bytes(300_000)):
        session = server.auth_session(None)
        reply = await session.on_message(data)
        assert reply.close is Close.MALFORMED
        error = auth.decode_from_server(reply.frames[0])
        assert isinstance(error, auth.AuthError)
        assert error.code == Code.MALFORMED


@ON_SQLITE
async def test_too_many_messages_close_the_connection(server: Server) -> None:
    connection = talk(server)
    for _ in range(MAX_MESSAGES):
        await connection.say(auth.CheckHandle("ana"))

    assert await refusal(connection, auth.CheckHandle("ana")) is Code.RATE_LIMITED
    assert connection.closed is Close.RATE_LIMITED


@pytest.mark.quick
@ON_SQLITE
async def test_failure_of_the_server_is_said_as_such(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(server.registration, "is_free", fail)
    connection = talk(server)

    assert await refusal(connection, auth.CheckHandle("ana")) is Code.INTERNAL
    assert connection.closed is Close.INTERNAL


async def _devices(server: Server) -> list[tuple[object, ...]]:
    async with server.db.read() as connection:
        return [tuple(row) for row in await connection.execute(select(device))]
