"""Recovery: the code gives a new password and nothing else; a stranger learns nothing from trying."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from mensajeria.crypto.password import WrongPasswordError, password_proof
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot, WrapError
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth, limits
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.schema import SUSPENDED, account
from mensajeria.server.state import Server
from tests.server.changes import NEW_PASSWORD, proven, recovering
from tests.server.enrol import Refused, Talk, prove, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts, void


async def refusal(connection: Talk, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await connection.say(message)
    return caught.value.code


async def start(connection: Talk, handle: str) -> auth.RecoveryChallenge:
    request = password_proof(SUITE_PASSWORD).start_registration(NEW_PASSWORD).request
    answer = await connection.say(auth.RecoveryStart(SUITE_PASSWORD, handle, request))
    assert isinstance(answer, auth.RecoveryChallenge)
    return answer


@pytest.mark.quick
async def test_code_gives_a_new_password_and_ends_the_logins(server: Server) -> None:
    ana = await register(server, "ana")
    connection = talk(server)

    assert isinstance(await connection.say(await recovering(connection, "ana", ana.code)), auth.Recovered)

    assert ana.tokens is not None
    with pytest.raises(ProtocolError) as ended:
        await server.authenticator.authenticate(ana.tokens.access_token)
    assert ended.value.code is Code.LOGIN_REVOKED
    with pytest.raises(WrongPasswordError):
        await prove(talk(server), "ana")
    login = await proven(connection, ana, NEW_PASSWORD)  # on the same socket
    root = AccountRoot.unwrap_password(login.ok.wrap_password, uid=ana.uid, export_key=login.export_key)
    assert root.identity(ana.uid, ana.code.public).record == ana.identity.record
    assert login.ok.device_list == (await proven(talk(server), ana, NEW_PASSWORD)).ok.device_list
    AccountRoot.unwrap_recovery(login.ok.wrap_recovery, uid=ana.uid, code=ana.code)  # the code stays good


@ON_SQLITE
async def test_recovery_is_no_login(server: Server) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    await connection.say(await recovering(connection, "ana", ana.code))
    signed = ana.device.login(connection.info.server_id, bytes(32))

    assert await refusal(connection, auth.DeviceLoginMessage(ana.device.did, signed, 0)) is Code.UNAUTHORIZED


async def test_another_code_changes_nothing(server: Server) -> None:
    ana = await register(server, "ana")
    connection, rows = talk(server), await row_counts(server)

    finish = await recovering(connection, "ana", ana.code, signer=RecoveryCode.generate())

    assert await refusal(connection, finish) is Code.RECOVERY_INVALID
    assert await row_counts(server) == rows
    await prove(talk(server), "ana")


@ON_SQLITE
@pytest.mark.parametrize("field", ["upload", "wrap_password", "wrap_recovery"])
async def test_signature_covers_everything(server: Server, field: str) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    finish = await recovering(connection, "ana", ana.code)
    value: bytes = getattr(finish, field)
    altered = msgspec.structs.replace(finish, **{field: value[:-1] + bytes([value[-1] ^ 1])})

    assert await refusal(connection, altered) is Code.RECOVERY_INVALID


@ON_SQLITE
async def test_ticket_and_nonce_are_good_once_and_for_ten_minutes(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    first, second = talk(server), talk(server)
    finish = await recovering(first, "ana", ana.code)
    other = await start(second, "ana")

    moved = msgspec.structs.replace(finish, ticket=other.ticket)  # signed for the first connection's nonce
    assert await refusal(second, moved) is Code.RECOVERY_INVALID
    assert await refusal(second, moved) is Code.TICKET_INVALID
    await first.say(finish)
    assert await refusal(first, finish) is Code.TICKET_INVALID
    late = await recovering(first, "ana", ana.code)
    clock.advance(limits.TICKET_S)
    assert await refusal(first, late) is Code.TICKET_INVALID


async def test_unknown_handle_looks_like_a_known_one(server: Server) -> None:
    ana = await register(server, "ana")
    known, unknown = talk(server), talk(server)

    first, second = await start(known, "ana"), await start(unknown, "nobody")

    assert known.last_size == unknown.last_size
    assert first.root_ver == second.root_ver == 1
    assert decode_identity(second.identity).uid == second.uid
    with pytest.raises(WrapError):
        AccountRoot.unwrap_recovery(second.wrap_recovery, uid=second.uid, code=ana.code)
    for connection, challenge in ((known, first), (unknown, second)):
        finish = auth.RecoveryFinish(challenge.ticket, bytes(192), first.wrap_recovery, first.wrap_recovery, bytes(64))
        assert await refusal(connection, finish) is Code.RECOVERY_INVALID


@pytest.mark.quick
@ON_SQLITE
async def test_unknown_handle_is_the_same_each_time_and_unlike_others(server: Server) -> None:
    first, again = await start(talk(server), "nobody"), await start(talk(server), "nobody")
    other = await start(talk(server), "nobody2")

    assert (first.uid, first.identity, first.wrap_recovery) == (again.uid, again.identity, again.wrap_recovery)
    assert first.nonce != again.nonce
    assert {first.uid, first.identity, first.wrap_recovery}.isdisjoint({other.uid, other.identity, other.wrap_recovery})


async def test_suspended_account_is_told_only_to_who_has_the_code(server: Server) -> None:
    ana = await register(server, "ana")
    await server.db.write(lambda connection: void(connection.execute(update(account).values(status=SUSPENDED))))
    connection = talk(server)

    wrong = await recovering(connection, "ana", ana.code, signer=RecoveryCode.generate())
    assert await refusal(connection, wrong) is Code.RECOVERY_INVALID
    finish = await recovering(connection, "ana", ana.code)
    assert await refusal(connection, finish) is Code.ACCOUNT_SUSPENDED


@pytest.mark.quick
@ON_SQLITE
async def test_tries_are_limited(server: Server) -> None:
    async def until_refused() -> Refused:
        for _ in range(100):
            try:
                await start(talk(server), "nobody")
            except Refused as refused:
                return refused
        raise AssertionError("never refused")

    refused = await until_refused()
    assert (refused.code, refused.detail) == (Code.RATE_LIMITED, "recovery_handle")
    assert refused.retry_after_ms > 0
