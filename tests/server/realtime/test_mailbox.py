"""To-device envelopes, through a real server and real sockets."""

from __future__ import annotations

import os

from mensajeria.protocol.errors import Close
from mensajeria.protocol.frames import (
    Envelope,
    MailAck,
    MailFetch,
    MailPage,
    PutDevice,
    PutOutcome,
    PutResult,
    PutTarget,
)
from tests.server.people import PREKEY_ID, Person, insert_device
from tests.server.process import World
from tests.server.realtime.device import Device


def to(person: Person, blob: bytes = b"blob", prekey_id: int = PREKEY_ID) -> PutTarget:
    return PutTarget(person.did, prekey_id, blob)


async def put(device: Device, *targets: PutTarget, gen: int = 0) -> tuple[PutOutcome, ...]:
    device.send(PutDevice(1, targets, gen))
    return (await device.expect(PutResult)).outcomes


async def mail(device: Device, after: int = 0) -> tuple[Envelope, ...]:
    device.send(MailFetch(2, after))
    return (await device.expect(MailPage)).envelopes


async def test_an_envelope_is_pushed_and_stays_until_acked(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    assert await put(a, to(bruno, b"one"), to(bruno, b"two")) == (PutOutcome.OK, PutOutcome.OK)
    pushed = [await b.expect(Envelope), await b.expect(Envelope)]
    assert [(one.id, one.prekey_id, one.blob) for one in pushed] == [(1, PREKEY_ID, b"one"), (2, PREKEY_ID, b"two")]
    assert [one.blob for one in await mail(b)] == [b"one", b"two"]
    b.send(MailAck((1, 77)))
    while len(rest := await mail(b)) > 1:
        pass
    assert [one.blob for one in rest] == [b"two"]
    assert await mail(b, after=2) == ()


async def test_a_copy_made_before_its_device_put_envelopes_is_told_so(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a = await Device.online(world, ana, gen=10)
    await put(a, to(bruno), gen=11)
    await a.disconnect()
    copy = await Device.connect(world, ana, gen=10)
    copy.raw(copy.channel.hello())
    assert (await copy.closed()).code == Close.ROLLED_BACK
    await (await Device.online(world, ana, gen=11)).ping()


async def test_what_a_copy_puts_after_its_original_is_not_stored(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    await put(a, to(bruno, b"original"), gen=11)
    a.send(PutDevice(1, (to(bruno, b"copy"),), 10))
    assert (await a.closed()).code == Close.ROLLED_BACK
    assert [one.blob for one in await mail(b)] == [b"original"]


async def test_each_target_has_its_own_outcome(world: World) -> None:
    ana, bruno, _ = await world.pair()
    (stranger,) = await world.people(1)
    tablet = await world.server.db(lambda db: insert_device(db, ana.account_id, ana.uid, world.sealer))
    unknown = Person(0, b"", 0, os.urandom(16), ana.ck)
    a = await Device.online(world, ana)
    outcomes = await put(a, to(bruno), to(stranger), to(unknown), to(tablet), to(bruno, prekey_id=PREKEY_ID - 1))
    assert outcomes == (
        PutOutcome.OK,
        PutOutcome.REFUSED,
        PutOutcome.STALE,
        PutOutcome.OK,
        PutOutcome.STALE,
    )


async def test_a_request_lets_its_sender_put_and_not_the_receiver(world: World) -> None:
    """The keys of the first messages must arrive; whoever has not accepted sends nothing."""
    ana, bruno, _ = await world.pair(accepted=False)
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    assert await put(a, to(bruno)) == (PutOutcome.OK,)
    assert await put(b, to(ana)) == (PutOutcome.REFUSED,)


async def test_a_full_mailbox_drains_in_pages(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    sent = [number.to_bytes(4, "big") * 5000 for number in range(128)]
    for start in range(0, 128, 32):
        assert set(await put(a, *(to(bruno, blob) for blob in sent[start : start + 32]))) == {PutOutcome.OK}
    got: list[bytes] = []
    while page := await mail(b):
        got += [one.blob for one in page]
        b.send(MailAck(tuple(one.id for one in page)))
        if len(got) < len(sent):
            assert page[-1].id == len(got)
        while (again := await mail(b)) and again[0].id <= page[-1].id:
            pass  # the ack is on its way
    assert got == sent


async def test_the_daily_allowance_is_per_sender_and_device(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a = await Device.online(world, ana)
    outcomes: list[PutOutcome] = []
    for _ in range(32):
        outcomes += await put(a, *([to(bruno, b"x")] * 64))
    assert outcomes.count(PutOutcome.OK) == 2000
    assert set(outcomes[2000:]) == {PutOutcome.QUOTA}
