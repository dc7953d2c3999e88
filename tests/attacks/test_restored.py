"""The server is restored from yesterday's backup: declared, nothing that a client has is lost; else it is told."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.db.engine import Database
from tests.attacks.stage import PATIENCE_S, Actor, Stage

OLD = ["ana: hola", "bruno: qué tal"]


def back_up(stage: Stage) -> Path:
    """What a careful operator does every night."""
    copy = stage.folder / "yesterday.db"
    with stage.evil.database() as db, closing(sqlite3.connect(copy)) as target:
        db.backup(target)
    return copy


async def restore(stage: Stage, copy: Path, *, epoch: int = 2, declared: bool = True) -> None:
    """Everybody leaves, the server stops, its database is put back, and it starts again."""
    for actor in stage.actors:
        await actor.close()
    stage.actors.clear()
    await stage.evil.stop()
    path = stage.evil.data / "mensajeria.db"
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    shutil.copyfile(copy, path)
    if declared:
        db = Database(f"sqlite:///{path}")
        while await db.write(raise_restore_epoch) < epoch:
            pass
        await db.close()
    await stage.restart()


async def agree(actors: Iterable[Actor], chat_id: bytes, texts: Sequence[str]) -> None:
    """Everybody shows these, each once and in one order, and nobody was told of anything but the restore."""
    orders = []
    for actor in actors:
        end = time.monotonic() + PATIENCE_S
        while await unsettled(actor, chat_id) or sorted(found := await actor.texts(chat_id)) != sorted(texts):
            assert time.monotonic() < end, (await actor.texts(chat_id), actor.warnings())
            await asyncio.sleep(0.02)
        orders.append(found)
        assert await actor.places(chat_id) == []
        assert set(actor.warnings()) <= {"server_restored", "key_log_restored"}, actor.warnings()
    assert all(order == orders[0] for order in orders), orders


async def unsettled(actor: Actor, chat_id: bytes) -> int:
    """Messages without a row: waiting to be sent, or for their author to send them again."""
    return sum(1 for one in await actor.timeline(chat_id) if one.seq is None)


async def meet(stage: Stage) -> tuple[Path, list[str], Actor, Actor]:
    """A backup, then messages that it does not hold: it, all texts, both people."""
    ana, bruno = await stage.pair()
    copy = back_up(stage)
    lost = [f"ana: perdido {number}" for number in range(3)]
    for text in lost:
        await ana.send(stage.chat_id, text.removeprefix("ana: "))
    await bruno.shows(stage.chat_id, *lost)
    await bruno.send(stage.chat_id, "también")
    await ana.shows(stage.chat_id, *lost, "bruno: también")
    return copy, [*OLD, *lost, "bruno: también"], ana, bruno


async def test_a_declared_restore_loses_nothing_that_a_client_has(stage: Stage) -> None:
    copy, texts, *_ = await meet(stage)
    await restore(stage, copy)
    ana, bruno = await stage.pair()
    await agree((ana, bruno), stage.chat_id, texts)
    await ana.send(stage.chat_id, "hoy")
    await bruno.shows(stage.chat_id, "ana: hoy")
    assert "server_restored" in ana.warnings()
    await agree((ana, bruno), stage.chat_id, [*texts, "ana: hoy"])


async def test_who_comes_after_others_have_written_on_finds_where_the_logs_part(stage: Stage) -> None:
    """The log is as long again as it was known: its length says nothing."""
    copy, texts, *_ = await meet(stage)
    await restore(stage, copy)
    ana = await stage.open("ana")
    for number in range(4):
        await ana.send(stage.chat_id, f"hoy {number}")
    bruno = await stage.open("bruno")
    await agree((ana, bruno), stage.chat_id, [*texts, *(f"ana: hoy {number}" for number in range(4))])


async def test_who_had_not_seen_the_lost_messages_gets_them(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    copy = back_up(stage)
    await bruno.close()
    mid = await ana.send(stage.chat_id, "perdido")
    answer = await ana.client.chat(stage.chat_id).send_text("respuesta", reply_to=mid)
    await ana.client.wait_sent(answer.mid)
    await restore(stage, copy)
    ana, bruno = await stage.pair()
    await agree((ana, bruno), stage.chat_id, [*OLD, "ana: perdido", "ana: respuesta"])
    last = (await bruno.timeline(stage.chat_id))[-1]
    assert last.reply is not None
    assert last.reply.mid == mid


async def test_a_second_restore_is_healed_as_well(stage: Stage) -> None:
    copy, texts, *_ = await meet(stage)
    await restore(stage, copy)
    ana, bruno = await stage.pair()
    await agree((ana, bruno), stage.chat_id, texts)
    await restore(stage, copy, epoch=3)
    ana, bruno = await stage.pair()
    await agree((ana, bruno), stage.chat_id, texts)


async def test_an_undeclared_restore_is_shown_as_a_violation(stage: Stage) -> None:
    copy, texts, *_ = await meet(stage)
    await restore(stage, copy, declared=False)
    ana, bruno = await stage.pair()
    for actor in (ana, bruno):
        await actor.warned("log_rolled_back")
        assert await actor.texts(stage.chat_id) == texts
