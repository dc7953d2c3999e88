"""Changing the password: everything old is worth nothing afterwards, and nobody but a listed device can do it."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from mensajeria.crypto.password import WrongPasswordError
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth, limits
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.schema import account, refresh_family
from mensajeria.server.db.schema_access import audit
from mensajeria.server.state import Server
from tests.server.changes import NEW_PASSWORD, proven
from tests.server.enrol import Person, Refused, Talk, add_device, log_in, prove, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts


async def refusal(connection: Talk, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await connection.say(message)
    return caught.value.code


async def records(server: Server) -> list[tuple[bytes, bytes]]:
    """What stands for the passwords: unchanged after every refusal."""
    async with server.db.read() as connection:
        found = await connection.execute(select(account.c.opaque_record, account.c.wrap_password))
        return [(row.opaque_record, row.wrap_password) for row in found]


@pytest.mark.quick
async def test_new_password_replaces_the_old_and_ends_every_login(server: Server) -> None:
    ana = await register(server, "ana")
    phone = await add_device(talk(server), ana, now_ms=server.clock.now_ms())
    connection = talk(server)
    login = await proven(connection, ana)

    answer = await connection.say(await login.new_password())

    assert isinstance(answer, auth.PasswordChanged)
    with pytest.raises(WrongPasswordError):  # KE2 alone shows it to the client
        await prove(talk(server), "ana")
    for person in (ana, phone):
        assert person.tokens is not None
        with pytest.raises(ProtocolError) as ended:
            await server.authenticator.authenticate(person.tokens.access_token)
        assert ended.value.code is Code.LOGIN_REVOKED
    async with server.db.read() as db:
        assert (await db.execute(select(refresh_family))).all() == []
        assert [row.action for row in await db.execute(select(audit))] == ["password_changed"]


async def test_other_devices_come_back_as_themselves_with_the_same_root(server: Server) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    login = await proven(connection, ana)
    before = AccountRoot.unwrap_password(login.ok.wrap_password, uid=ana.uid, export_key=login.export_key)
    await connection.say(await login.new_password())

    again = await proven(connection, ana, NEW_PASSWORD)
    signed = ana.device.login(connection.info.server_id, again.transcript)
    tokens = await connection.say(auth.DeviceLoginMessage(ana.device.did, signed, 0))

    back = await server.authenticator.authenticate(tokens.access_token, ana.device.did)
    assert back.ck == again.ck
    assert again.ok.root_ver == login.ok.root_ver
    after = AccountRoot.unwrap_password(again.ok.wrap_password, uid=ana.uid, export_key=again.export_key)
    assert after.identity(ana.uid, ana.code.public).record == ana.identity.record
    assert before.backup_key(1) == after.backup_key(1)


@ON_SQLITE
async def test_proof_with_the_old_password_is_worth_nothing_after_the_change(server: Server) -> None:
    """Somebody with the old password is between KE3 and the device's login while the owner changes it."""
    ana = await register(server, "ana")
    thief = await proven(talk(server), ana)
    late = await thief.new_password()
    owner = await proven(talk(server), ana)
    await owner.talk.say(await owner.new_password())

    signed = ana.device.login(thief.talk.info.server_id, thief.transcript)
    assert await refusal(thief.talk, auth.DeviceLoginMessage(ana.device.did, signed, 0)) is Code.BAD_CREDENTIALS
    assert await refusal(thief.talk, late) is Code.BAD_CREDENTIALS
    assert await refusal(thief.talk, thief.deletion()) is Code.BAD_CREDENTIALS


@pytest.mark.quick
@ON_SQLITE
async def test_login_is_used_up(server: Server) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)
    await login.talk.say(await login.new_password())

    signed = ana.device.login(login.talk.info.server_id, login.transcript)

    assert await refusal(login.talk, auth.DeviceLoginMessage(ana.device.did, signed, 0)) is Code.UNAUTHORIZED


@ON_SQLITE
async def test_ticket_is_good_once_on_its_connection_and_for_ten_minutes(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)
    spoilt = await login.new_password()
    before = await records(server)

    assert await refusal(talk(server), spoilt) is Code.TICKET_INVALID
    wrong = msgspec.structs.replace(spoilt, approval=msgspec.structs.replace(spoilt.approval, mac=bytes(32)))
    assert await refusal(login.talk, wrong) is Code.UNAUTHORIZED
    assert await refusal(login.talk, spoilt) is Code.TICKET_INVALID
    late = await login.new_password()
    clock.advance(limits.TICKET_S)
    assert await refusal(login.talk, late) is Code.TICKET_INVALID
    assert await records(server) == before


@pytest.mark.quick
@ON_SQLITE
async def test_needs_a_proven_password(server: Server) -> None:
    await register(server, "ana")
    start = auth.PasswordChangeStart(SUITE_PASSWORD, bytes(32))

    assert await refusal(talk(server), start) is Code.UNAUTHORIZED


def _spoil_device(finish: auth.PasswordChangeFinish, _: Person) -> auth.PasswordChangeFinish:
    return msgspec.structs.replace(finish, approval=msgspec.structs.replace(finish.approval, did=bytes(16)))


def _spoil_signature(finish: auth.PasswordChangeFinish, _: Person) -> auth.PasswordChangeFinish:
    signed = finish.approval.signed
    other = msgspec.structs.replace(signed, sig=bytes(64))
    return msgspec.structs.replace(finish, approval=msgspec.structs.replace(finish.approval, signed=other))


def _spoil_transcript(finish: auth.PasswordChangeFinish, ana: Person) -> auth.PasswordChangeFinish:
    other = ana.device.login(bytes(16), bytes(32))
    return msgspec.structs.replace(finish, approval=msgspec.structs.replace(finish.approval, signed=other))


def _spoil_upload(finish: auth.PasswordChangeFinish, _: Person) -> auth.PasswordChangeFinish:
    """Somebody in between puts a password of their own here."""
    altered = finish.upload[:-1] + bytes([finish.upload[-1] ^ 1])
    return msgspec.structs.replace(finish, upload=altered)


def _spoil_wrap(finish: auth.PasswordChangeFinish, _: Person) -> auth.PasswordChangeFinish:
    return msgspec.structs.replace(finish, wrap_password=b"not a wrap")


@ON_SQLITE
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_spoil_device, Code.UNKNOWN_DEVICE),
        (_spoil_signature, Code.UNAUTHORIZED),
        (_spoil_transcript, Code.UNAUTHORIZED),
        (_spoil_upload, Code.UNAUTHORIZED),
        (_spoil_wrap, Code.MALFORMED),
    ],
)
async def test_altered_change_is_refused_and_changes_nothing(server: Server, spoil: object, code: Code) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)
    finish = await login.new_password()
    before, rows = await records(server), await row_counts(server)

    assert await refusal(login.talk, spoil(finish, ana)) is code  # type: ignore[operator]
    assert (await records(server), await row_counts(server)) == (before, rows)


@ON_SQLITE
async def test_wrap_of_another_root_version_or_method_is_refused(server: Server) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)
    root = AccountRoot.unwrap_password(login.ok.wrap_password, uid=ana.uid, export_key=login.export_key)
    following, _ = root.rotate(ana.uid)

    for wrap in (following.wrap_password(ana.uid, login.export_key), root.wrap_recovery(ana.uid, ana.code)):
        finish = await login.new_password()
        assert await refusal(login.talk, msgspec.structs.replace(finish, wrap_password=wrap)) is Code.MALFORMED


async def test_young_device_needs_the_recovery_code(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    clock.advance(3600)
    thief = await add_device(talk(server), ana, now_ms=clock.now_ms())

    async def attempt(code: RecoveryCode | None) -> Code | None:
        login = await proven(talk(server), thief)
        try:
            await login.talk.say(await login.new_password(code=code))
        except Refused as refused:
            return refused.code
        return None

    assert await attempt(None) is Code.APPROVAL_NEEDED
    assert await attempt(RecoveryCode.generate()) is Code.APPROVAL_NEEDED
    clock.advance(limits.YOUNG_DEVICE_MS / 1000 - 1)
    assert await attempt(None) is Code.APPROVAL_NEEDED
    clock.advance(1)
    assert await attempt(None) is None


async def test_young_device_with_the_recovery_code_may(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    phone = await add_device(talk(server), ana, now_ms=clock.now_ms())
    login = await proven(talk(server), phone)

    assert isinstance(await login.talk.say(await login.new_password(code=ana.code)), auth.PasswordChanged)
    await log_in_with_new(server, phone)


async def log_in_with_new(server: Server, person: Person) -> None:
    """The device takes a login with the new password."""
    connection = talk(server)
    login = await proven(connection, person, NEW_PASSWORD)
    signed = person.device.login(connection.info.server_id, login.transcript)
    assert isinstance(await connection.say(auth.DeviceLoginMessage(person.device.did, signed, 0)), auth.LoggedIn)


@ON_SQLITE
async def test_oldest_device_may_at_any_age(server: Server) -> None:
    ana = await register(server, "ana")
    await add_device(talk(server), ana, now_ms=server.clock.now_ms())
    await log_in(talk(server), ana)
    login = await proven(talk(server), ana)

    assert isinstance(await login.talk.say(await login.new_password()), auth.PasswordChanged)
