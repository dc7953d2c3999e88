"""Removing a device: at once and everywhere, by a device that may, with a list that leaves out nothing else."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import func, insert, select

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import auth, limits
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.schema import device, one_time_key
from mensajeria.server.db.schema_chats import mailbox
from mensajeria.server.state import Server
from tests.server.changes import Proof, proven
from tests.server.enrol import Person, Refused, add_device, altered, log_in, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts, void


async def two(server: Server, clock: FakeClock) -> tuple[Person, Person]:
    """A user on a laptop of two days and a phone of today."""
    ana = await register(server, "ana")
    clock.advance(2 * 24 * 3600)
    phone = await add_device(talk(server), ana, now_ms=clock.now_ms())
    return ana, phone


async def refusal(login: Proof, message: auth.ClientAuth) -> Code:
    with pytest.raises(Refused) as caught:
        await login.talk.say(message)
    return caught.value.code


async def test_removed_device_has_nothing_left(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    assert phone.tokens is not None
    await server.authenticator.authenticate(phone.tokens.access_token)
    async with server.db.read() as db:
        phone_row = (await db.execute(select(device.c.id).where(device.c.did == phone.device.did))).scalar_one()
    letter = {"device": phone_row, "id": 1, "prekey_id": 1, "ts": 1, "blob": b"x"}
    await server.db.write(lambda db: void(db.execute(insert(mailbox).values(letter))))
    login = await proven(talk(server), ana)

    answer = await login.talk.say(login.removal(phone.device.did, now_ms=clock.now_ms()))

    assert answer.ver == 3
    with pytest.raises(ProtocolError) as ended:
        await server.authenticator.authenticate(phone.tokens.access_token)
    assert ended.value.code is Code.LOGIN_REVOKED
    async with server.db.read() as db:
        row = (await db.execute(select(device).where(device.c.id == phone_row))).one()
        assert row.revoked_ms == clock.now_ms()
        assert (row.ck_sealed, row.known_hash, row.fallback_body, row.pq_body, row.mail_bytes) == (*[None] * 4, 0)
        keys = select(func.count()).select_from(one_time_key).where(one_time_key.c.device_id == phone_row)
        assert (await db.execute(keys)).scalar_one() == 0
        assert (await db.execute(select(func.count()).select_from(mailbox))).scalar_one() == 0
    newest = (await proven(talk(server), ana)).ok
    verified = verify_device_list(newest.device_list, newest.identity, uid=ana.uid)
    assert [listed.did for listed in verified.list.devices] == [ana.device.did]
    assert verified.list.backup_ver == 2


@ON_SQLITE
async def test_removed_device_cannot_come_back_with_the_password(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    login = await proven(talk(server), ana)
    await login.talk.say(login.removal(phone.device.did, now_ms=clock.now_ms()))

    with pytest.raises(Refused) as caught:
        await log_in(talk(server), phone)
    assert caught.value.code is Code.UNKNOWN_DEVICE
    revenge = await proven(talk(server), phone)
    assert await refusal(revenge, revenge.removal(ana.device.did, now_ms=clock.now_ms())) is Code.LAST_DEVICE
    assert await refusal(revenge, revenge.deletion()) is Code.UNKNOWN_DEVICE


async def test_young_device_cannot_remove_an_older_one(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    rows = await row_counts(server)

    login = await proven(talk(server), phone)
    assert await refusal(login, login.removal(ana.device.did, now_ms=clock.now_ms())) is Code.APPROVAL_NEEDED
    wrong = login.removal(ana.device.did, now_ms=clock.now_ms(), code=RecoveryCode.generate())
    assert await refusal(login, wrong) is Code.APPROVAL_NEEDED
    assert await row_counts(server) == rows
    answer = await login.talk.say(login.removal(ana.device.did, now_ms=clock.now_ms(), code=ana.code))
    assert answer.ver == 3


@ON_SQLITE
async def test_young_device_removes_younger_ones_and_itself(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    tablet = await add_device(talk(server), ana, now_ms=clock.now_ms())
    login = await proven(talk(server), phone)
    await login.talk.say(login.removal(tablet.device.did, now_ms=clock.now_ms()))

    login = await proven(talk(server), phone)
    answer = await login.talk.say(login.removal(phone.device.did, now_ms=clock.now_ms()))

    assert answer.ver == 5


@ON_SQLITE
async def test_device_of_a_day_may(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    clock.advance(limits.YOUNG_DEVICE_MS / 1000)
    login = await proven(talk(server), phone)

    assert (await login.talk.say(login.removal(ana.device.did, now_ms=clock.now_ms()))).ver == 3


@ON_SQLITE
async def test_code_signed_for_one_removal_is_good_for_no_other(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    tablet = await add_device(talk(server), ana, now_ms=clock.now_ms())
    login = await proven(talk(server), tablet)
    for_phone = login.removal(phone.device.did, now_ms=clock.now_ms(), code=ana.code)
    for_laptop = login.removal(ana.device.did, now_ms=clock.now_ms())
    mixed = msgspec.structs.replace(
        for_laptop, approval=msgspec.structs.replace(for_laptop.approval, recovery=for_phone.approval.recovery)
    )

    assert await refusal(login, mixed) is Code.APPROVAL_NEEDED
    replayed = msgspec.structs.replace(for_laptop, approval=for_phone.approval)
    assert await refusal(login, replayed) is Code.UNAUTHORIZED


@ON_SQLITE
async def test_wrong_lists_are_refused(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    login = await proven(talk(server), ana)
    newest = verify_device_list(login.ok.device_list, login.ok.identity, uid=ana.uid)
    now, identity = clock.now_ms(), ana.identity
    removed = identity.remove_device(newest, phone.device.did, now)
    swapped = identity.add_device(
        verify_device_list(removed, login.ok.identity, uid=ana.uid),
        DeviceKeys.create(ana.uid).card(identity.idfp, now),
        now,
    )
    added = identity.add_device(newest, DeviceKeys.create(ana.uid).card(identity.idfp, now), now)
    rows = await row_counts(server)

    assert await refusal(login, login.removing(altered(removed))) is Code.LIST_INVALID
    assert await refusal(login, login.removing(added)) is Code.LIST_INVALID
    assert await refusal(login, login.removing(swapped)) is Code.LIST_CONFLICT
    assert await row_counts(server) == rows
    await login.talk.say(login.removing(removed))
    assert await refusal(login, login.removing(removed)) is Code.LIST_CONFLICT


@pytest.mark.quick
@ON_SQLITE
async def test_last_device_stays(server: Server) -> None:
    ana = await register(server, "ana")
    login = await proven(talk(server), ana)

    assert await refusal(login, login.removal(ana.device.did, now_ms=server.clock.now_ms())) is Code.LAST_DEVICE


@pytest.mark.quick
@ON_SQLITE
async def test_needs_a_proven_password(server: Server, clock: FakeClock) -> None:
    ana, phone = await two(server, clock)
    login = await proven(talk(server), ana)
    login.talk = talk(server)

    assert await refusal(login, login.removal(phone.device.did, now_ms=clock.now_ms())) is Code.UNAUTHORIZED
