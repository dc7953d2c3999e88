"""When somebody came into a group: what they may have of a session depends on it."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client.engine.envelopes import EnvelopeReader
from mensajeria.client.engine.healing import Healer
from mensajeria.client.store import Tx
from tests.client.engine.circle import Log, member, seated, show
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
        healer = Healer(desk.me, desk.memberships, EnvelopeReader(desk.me, desk.rows), desk.rows)
        _, others = await desk.store.read(lambda tx: healer._everybody(tx, log.chat_id))
        assert others == [(bruno.uid, bruno.device.did)]
