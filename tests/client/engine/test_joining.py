"""When somebody came into a group, and events that only a newer program knows: what depends on them."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client.engine.envelopes import EnvelopeReader
from mensajeria.client.engine.healing import Healer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sealing import Plan
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Halt
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import EventKind
from mensajeria.protocol.records import Signed
from tests.client.engine.circle import Log, member, seated, show
from tests.client.engine.test_rows_and_sealing import queue
from tests.client.engine.world import Somebody


async def test_somebody_is_in_from_the_last_event_that_added_them_and_nobody_else_is(tmp_path: Path) -> None:
    ana, bruno, dora, eva = (Somebody.make(name) for name in ("ana", "bruno", "dora", "eva"))
    log = Log.create(ana, bruno)
    async with seated(ana, [bruno, dora, eva], log, tmp_path) as desk:

        def added(tx: Tx) -> list[int | None]:
            return [Healer._added_at(tx, log.chat_id, who.uid) for who in (bruno, dora, eva)]

        await show(desk, log.put(log.next(ana, "add", members=(member(dora),))))
        assert await desk.store.read(added) == [None, 2, None]
        rows = [log.put(log.next(ana, "role", who=dora.uid, role="admin"))]
        rows += [log.put(log.next(ana, "remove", who=dora.uid))]
        rows += [log.put(log.next(ana, "add", members=(member(eva),)))]
        await show(desk, *rows)
        assert await desk.store.read(added) == [None, 2, 5]
        await show(desk, log.put(log.next(ana, "add", members=(member(dora),))))
        assert await desk.store.read(added) == [None, 6, 5]


async def test_a_member_whose_list_is_not_known_is_not_asked(tmp_path: Path) -> None:
    ana, bruno, dora = (Somebody.make(name) for name in ("ana", "bruno", "dora"))
    log = Log.create(ana, bruno, dora)
    async with seated(ana, [bruno], log, tmp_path) as desk:
        healer = Healer(desk.me, desk.memberships, EnvelopeReader(desk.me, desk.rows))
        _, others = await desk.store.read(lambda tx: healer._everybody(tx, log.chat_id))
        assert others == [(bruno.uid, bruno.device.did)]


async def test_an_event_that_only_a_newer_program_knows_makes_the_group_read_only(tmp_path: Path) -> None:
    """Who is in can no longer be told: what is written here waits, what others write is still read."""
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    log = Log.create(ana, bruno)
    async with seated(ana, [bruno], log, tmp_path) as desk:
        await show(desk, log.row(EventKind.MEMBER, encode(log.next(bruno, "poll"))))
        group = await desk.store.read(lambda tx: tx.groups.get(log.chat_id))
        assert group is not None
        assert group.halted is Halt.NEWER

        def write(tx: Tx, out: Outcome) -> Plan:
            queue(tx, desk, log.chat_id, ["¿se puede?"])
            return desk.sealer.plan(tx, out, log.chat_id, 10)

        assert await desk.do(write) == Plan()
        assert len(await desk.store.read(lambda tx: tx.outbox.pending(log.chat_id, 10))) == 1


async def test_an_unknown_event_that_nobody_signed_stops_nothing(tmp_path: Path) -> None:
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    log = Log.create(ana, bruno)
    async with seated(ana, [bruno], log, tmp_path) as desk:
        signed = log.next(bruno, "poll")
        forged = Signed(signed.body, signed.sig[:-1] + bytes([signed.sig[-1] ^ 1]))
        await show(desk, log.row(EventKind.MEMBER, encode(forged)))
        group = await desk.store.read(lambda tx: tx.groups.get(log.chat_id))
        assert group is not None
        assert group.halted is Halt.NONE
