"""A new identity on an old account: only by the old one and its recovery code, or by the operator's leave, once."""

from __future__ import annotations

import os
from dataclasses import replace as replaced
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.password import password_proof
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth
from mensajeria.protocol.approval import Action, renewal_digest
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.encoding import H
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.succession import verify_succession
from mensajeria.protocol.transparency import uid_label
from mensajeria.server.accounts.identities import allow_reset, successions_after
from mensajeria.server.admin.audit import Act
from mensajeria.server.db.schema import SUSPENDED, account, device, kt_leaf
from mensajeria.server.db.schema_access import audit
from mensajeria.server.db.schema_content import backup_row
from mensajeria.server.state import Server
from tests.server.changes import NEW_PASSWORD, Proof, proven
from tests.server.enrol import Person, Refused, Talk, add_device, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts, void

TOKEN = bytes(range(16))
HOUR_MS = 3_600_000


async def refusal(connection: Talk, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await connection.say(message)
    return caught.value.code


# --- by succession


async def renewal(
    login: Proof, now_ms: int, *, code: RecoveryCode | None = None, old: Identity | None = None
) -> auth.IdentityRenew:
    """The message that moves the account. `code`, `old`: others than the account's own, for attacks."""
    person = login.person
    newest = verify_device_list(login.ok.device_list, login.ok.identity, uid=person.uid)
    started = password_proof(SUITE_PASSWORD).start_registration(NEW_PASSWORD)
    challenge = await login.talk.say(auth.PasswordChangeStart(SUITE_PASSWORD, started.request))
    proof = started.finish(challenge.response)
    root = AccountRoot.generate(login.ok.root_ver + 1)
    following = root.identity(person.uid, person.code.public)
    listed = newest.find(person.device.did)
    assert listed is not None
    signed = following.take_over(newest, person.device.card(following.idfp, listed.created), now_ms)
    wraps = root.wrap_password(person.uid, proof.export_key), root.wrap_recovery(person.uid, person.code)
    digest = renewal_digest(challenge.ticket, proof.upload, wraps, signed)
    return auth.IdentityRenew(
        challenge.ticket,
        proof.upload,
        *wraps,
        following.record,
        signed,
        (old or person.identity).succession(following.record, code or person.code, now_ms),
        login.approve(Action.IDENTITY_RENEW, digest, code=person.code),
    )


async def accounts(server: Server, person: Person) -> Any:
    query = select(account).where(account.c.uid == person.uid)
    async with server.db.read() as connection:
        return (await connection.execute(query)).one()


@pytest.mark.quick
async def test_a_succession_moves_the_account_and_cuts_off_every_other_device(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    phone = await add_device(talk(server), ana, now_ms=clock.now_ms())
    login = await proven(talk(server), ana)
    message = await renewal(login, clock.now_ms())

    answer = await login.talk.say(message)

    assert answer == auth.IdentityRenewed(3)
    row = await accounts(server, ana)
    assert (row.identity, row.idfp, row.root_ver) == (message.identity, H("identity", message.identity), 2)
    for one in (ana, phone):
        assert one.tokens is not None
        with pytest.raises(ProtocolError) as ended:
            await server.authenticator.authenticate(one.tokens.access_token)
        assert ended.value.code is Code.LOGIN_REVOKED
    async with server.db.read() as db:
        gone = (await db.execute(select(device.c.did).where(device.c.revoked_ms.is_not(None)))).scalars().all()
        leaf = select(func.max(kt_leaf.c.ver)).where(kt_leaf.c.label == uid_label(ana.uid))
        assert (await db.execute(leaf)).scalar_one() == 3
    assert gone == [phone.device.did]
    newest = (await proven(talk(server), ana, NEW_PASSWORD)).ok
    verified = verify_device_list(newest.device_list, newest.identity, uid=ana.uid)
    assert [one.did for one in verified.list.devices] == [ana.device.did]
    [proof] = await server.db.query(lambda db: successions_after(db, ana.uid, 2, 8))
    assert verify_succession(proof).new_idfp == row.idfp
    assert await server.db.query(lambda db: successions_after(db, ana.uid, 3, 8)) == []


@ON_SQLITE
@pytest.mark.parametrize("lie", ["the code", "the identity", "neither is the account's", "another list", "no approval"])
async def test_what_is_not_signed_by_both_changes_nothing(server: Server, clock: FakeClock, lie: str) -> None:
    ana, eva = await register(server, "ana"), await register(server, "eva")
    login, rows = await proven(talk(server), ana), await row_counts(server)
    code = RecoveryCode.generate() if lie == "the code" else None
    old = {
        "the identity": AccountRoot.generate().identity(ana.uid, ana.code.public),
        "neither is the account's": eva.identity,
    }.get(lie)
    message = await renewal(login, clock.now_ms(), code=eva.code if old is eva.identity else code, old=old)
    if lie == "another list":
        first = verify_device_list(login.ok.device_list, login.ok.identity, uid=ana.uid)
        other = DeviceKeys.create(ana.uid)
        moved = AccountRoot.generate(2).identity(ana.uid, ana.code.public)
        signed = moved.take_over(first, other.card(moved.idfp, 1), 1)
        message = msgspec.structs.replace(
            message,
            identity=moved.record,
            device_list=signed,
            succession=ana.identity.succession(moved.record, ana.code, 1),
        )
    if lie == "no approval":
        message = msgspec.structs.replace(message, approval=msgspec.structs.replace(message.approval, mac=bytes(32)))

    assert await refusal(login.talk, message) in {Code.LIST_INVALID, Code.UNAUTHORIZED}
    assert await row_counts(server) == rows
    assert (await accounts(server, ana)).identity == ana.identity.record


@ON_SQLITE
async def test_a_succession_of_somebody_else_is_not_taken_twice(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)
    message = await renewal(login, clock.now_ms())
    await login.talk.say(message)

    again = await proven(talk(server), ana, NEW_PASSWORD)
    started = password_proof(SUITE_PASSWORD).start_registration(NEW_PASSWORD)
    challenge = await again.talk.say(auth.PasswordChangeStart(SUITE_PASSWORD, started.request))
    replayed = msgspec.structs.replace(message, ticket=challenge.ticket)
    assert await refusal(again.talk, replayed) in {Code.LIST_CONFLICT, Code.LIST_INVALID}


# --- by the operator's leave


async def allow(server: Server, person: Person, *, hours: int = 1) -> None:
    row, now = await accounts(server, person), server.clock.now_ms()
    await server.db.write(lambda db: allow_reset(db, row.id, TOKEN, now, now + hours * HOUR_MS))


async def start(connection: Talk, handle: str, token: bytes = TOKEN) -> tuple[Any, auth.ResetChallenge]:
    started = password_proof(SUITE_PASSWORD).start_registration(NEW_PASSWORD)
    challenge = await connection.say(auth.ResetStart(SUITE_PASSWORD, handle, token, started.request))
    return started, challenge


async def resetting(connection: Talk, handle: str, now_ms: int) -> tuple[Person, auth.ResetFinish]:
    """Start a reset; who the account is then, and the message that finishes it."""
    started, challenge = await start(connection, handle)
    proof = started.finish(challenge.response)
    current = verify_device_list(challenge.device_list, challenge.identity, uid=challenge.uid)
    root, code = AccountRoot.generate(challenge.root_ver + 1), RecoveryCode.generate()
    identity, keys = root.identity(challenge.uid, code.public), DeviceKeys.create(challenge.uid)
    finish = auth.ResetFinish(
        challenge.ticket,
        proof.upload,
        root.wrap_password(challenge.uid, proof.export_key),
        root.wrap_recovery(challenge.uid, code),
        identity.record,
        identity.take_over(current, keys.card(identity.idfp, now_ms), now_ms),
        "tablet",
        keys.first_prekeys(now_ms),
    )
    return Person(handle, challenge.uid, identity, keys, code), finish


@pytest.mark.quick
async def test_a_reset_replaces_everything_but_uid_and_name(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    row = await accounts(server, ana)
    kept = {"account": row.id, "n": 1, "row_id": bytes(16), "counter": 1, "blob": b"x"}
    await server.db.write(lambda db: void(db.execute(insert(backup_row).values(kept))))
    await allow(server, ana)
    connection = talk(server)
    anew, finish = await resetting(connection, "ana", clock.now_ms())

    assert await connection.say(finish) == auth.IdentityReset(2)

    assert anew.uid == ana.uid
    assert ana.tokens is not None
    with pytest.raises(ProtocolError) as ended:
        await server.authenticator.authenticate(ana.tokens.access_token)
    assert ended.value.code is Code.LOGIN_REVOKED
    login = await proven(connection, anew, NEW_PASSWORD)
    signed = anew.device.login(connection.info.server_id, login.transcript)
    await connection.say(auth.DeviceLoginMessage(anew.device.did, signed, 0))
    verified = verify_device_list(login.ok.device_list, login.ok.identity, uid=ana.uid)
    assert [one.did for one in verified.list.devices] == [anew.device.did]
    assert [one.did for one in verified.list.former] == [ana.device.did]
    async with server.db.read() as db:
        assert (await db.execute(select(func.count()).select_from(backup_row))).scalar_one() == 0
        acts = (await db.execute(select(audit.c.action))).scalars().all()
    assert Act.IDENTITY_RESET in acts
    assert await server.db.query(lambda db: successions_after(db, ana.uid, 0, 8)) == []


@ON_SQLITE
async def test_the_operators_code_is_good_once_and_for_its_hours(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    connection = talk(server)
    for wrong in (("ana", TOKEN), ("nobody", TOKEN)):
        with pytest.raises(Refused) as caught:
            await start(connection, *wrong)
        assert caught.value.code is Code.RESET_INVALID
    await allow(server, ana)
    with pytest.raises(Refused) as caught:
        await start(connection, "ana", os.urandom(16))
    assert caught.value.code is Code.RESET_INVALID
    _, finish = await resetting(connection, "ana", clock.now_ms())
    _, second = await resetting(talk(server), "ana", clock.now_ms())
    await connection.say(finish)
    assert await refusal(connection, finish) is Code.TICKET_INVALID
    assert await refusal(talk(server), second) is Code.TICKET_INVALID
    with pytest.raises(Refused) as caught:
        await start(connection, "ana")
    assert caught.value.code is Code.RESET_INVALID
    await allow(server, ana)
    clock.advance(3600)
    with pytest.raises(Refused) as caught:
        await start(connection, "ana")
    assert caught.value.code is Code.RESET_INVALID


@ON_SQLITE
async def test_a_code_that_was_replaced_meanwhile_changes_nothing(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    await allow(server, ana)
    connection = talk(server)
    _, finish = await resetting(connection, "ana", clock.now_ms())
    row = await accounts(server, ana)
    await server.db.write(lambda db: allow_reset(db, row.id, bytes(16), 1, 1 << 50))

    assert await refusal(connection, finish) is Code.RESET_INVALID
    assert (await accounts(server, ana)).identity == ana.identity.record


@ON_SQLITE
@pytest.mark.parametrize("lie", ["keeps a device", "of another user", "same identity", "wrap of the old root"])
async def test_a_reset_takes_only_a_new_identity_with_one_new_device(
    server: Server, clock: FakeClock, lie: str
) -> None:
    ana = await register(server, "ana")
    await allow(server, ana)
    connection = talk(server)
    anew, finish = await resetting(connection, "ana", clock.now_ms())
    started, challenge = await start(connection, "ana")
    proof = started.finish(challenge.response)
    current = verify_device_list(challenge.device_list, challenge.identity, uid=ana.uid)
    finish = msgspec.structs.replace(finish, ticket=challenge.ticket, upload=proof.upload)
    if lie == "keeps a device":
        signed = anew.identity.take_over(
            current, ana.device.card(anew.identity.idfp, current.list.devices[0].created), 1
        )
        finish = msgspec.structs.replace(finish, device_list=signed)
    elif lie == "of another user":
        other = AccountRoot.generate(2).identity(os.urandom(16), anew.code.public)
        keys = replaced(anew, uid=other.uid).device
        finish = msgspec.structs.replace(
            finish, identity=other.record, device_list=other.take_over(current, keys.card(other.idfp, 1), 1)
        )
    elif lie == "same identity":
        signed = ana.identity.take_over(current, anew.device.card(ana.identity.idfp, 1), 1)
        finish = msgspec.structs.replace(finish, identity=ana.identity.record, device_list=signed)
    else:
        finish = msgspec.structs.replace(
            finish, wrap_recovery=AccountRoot.generate(1).wrap_recovery(ana.uid, anew.code)
        )

    assert await refusal(connection, finish) in {Code.LIST_INVALID, Code.MALFORMED}
    assert (await accounts(server, ana)).identity == ana.identity.record


@ON_SQLITE
async def test_a_suspended_account_is_not_reset(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    await allow(server, ana)
    connection = talk(server)
    _, finish = await resetting(connection, "ana", clock.now_ms())

    def suspend(db: Connection) -> None:
        db.execute(account.update().values(status=SUSPENDED))

    await server.db.write(suspend)
    assert await refusal(connection, finish) is Code.ACCOUNT_SUSPENDED
