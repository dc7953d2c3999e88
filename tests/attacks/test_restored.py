"""The server is restored from yesterday's backup: declared, nothing that a client has is lost; else it is told."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from mensajeria.client import Client, SecurityError
from mensajeria.client.api import ConnectionPhase, ProfileChanged, UserProfile
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.records import Signed
from mensajeria.protocol.transparency import uid_label
from mensajeria.server.admin.backups.create import create
from mensajeria.server.admin.backups.restore import restore as put_back
from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.db.engine import Database
from mensajeria.server.settings import Settings
from tests.attacks.forging import ServeKeys, contact_of, keys_of
from tests.attacks.stage import PASSWORDS, PATIENCE_S, Actor, Stage

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
    fresh = path.with_name("fresh.db")  # a file of its own: whoever still has the old one open keeps that one
    shutil.copyfile(copy, fresh)
    fresh.replace(path)
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


def devices_with_keys(stage: Stage) -> int:
    """Devices that have one-time keys at the server."""
    with stage.evil.database() as db:
        return int(db.execute("SELECT count(DISTINCT device_id) FROM one_time_key").fetchone()[0])


async def test_the_operator_s_own_backup_put_back_loses_nothing_that_a_client_has(stage: Stage) -> None:
    """Made beside the running server, put into a new folder: its one-time keys, too, are given anew."""
    ana, bruno = await stage.pair()
    data, backup = stage.evil.data, stage.folder / "backup.tar"
    await asyncio.to_thread(create, Settings.model_validate({"data_dir": data}), backup)
    await ana.send(stage.chat_id, "perdido")
    await bruno.shows(stage.chat_id, "ana: perdido")
    for actor in (ana, bruno):
        await actor.close()
    stage.actors.clear()
    await stage.evil.stop()
    data.rename(stage.folder / "lost")
    done = await asyncio.to_thread(put_back, Settings.model_validate({"data_dir": data}), backup)
    assert done.restore_epoch == 2
    await stage.restart()
    ana, bruno = await stage.pair()
    await agree((ana, bruno), stage.chat_id, [*OLD, "ana: perdido"])
    await ana.warned("server_restored")
    await ana.until(lambda: devices_with_keys(stage) == 2, "new one-time keys")


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


def blocks(stage: Stage) -> int:
    """Blocks that the server knows."""
    with stage.evil.database() as db:
        return int(db.execute("SELECT count(*) FROM block").fetchone()[0])


async def test_a_block_that_the_backup_does_not_hold_is_told_again(stage: Stage) -> None:
    ana = await stage.open("ana")
    copy = back_up(stage)
    await ana.client.block("bruno")
    assert blocks(stage) == 1
    await restore(stage, copy)
    assert blocks(stage) == 0
    ana = await stage.open("ana")
    await ana.until(lambda: blocks(stage) == 1, "the block")


def profiles(stage: Stage) -> list[tuple[int, bytes]]:
    with stage.evil.database() as db:
        return list(db.execute("SELECT ver, sealed FROM user_profile"))


async def test_a_profile_that_the_backup_does_not_hold_comes_back_and_nobody_is_accused(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    copy = back_up(stage)
    await ana.client.set_profile(name="Ana")
    await bruno.until(lambda: ProfileChanged in map(type, bruno.events), "the profile")
    published = profiles(stage)
    assert len(published) == 1
    await restore(stage, copy)
    assert profiles(stage) == []
    ana, bruno = await stage.pair()
    await ana.until(lambda: profiles(stage) == published, "the very same bytes")
    assert await bruno.client.profile_of("ana") == UserProfile("Ana")
    assert "profile_refused" not in bruno.warnings()


async def test_an_undeclared_restore_is_shown_as_a_violation(stage: Stage) -> None:
    copy, texts, *_ = await meet(stage)
    await restore(stage, copy, declared=False)
    ana, bruno = await stage.pair()
    for actor in (ana, bruno):
        await actor.warned("log_rolled_back")
        assert await actor.texts(stage.chat_id) == texts


def lists_of(stage: Stage, actor: Actor) -> tuple[int, int, list[int]]:
    """What the server has of a person: the newest list's version, devices in use, versions in the key log."""
    query = "SELECT list_ver, id FROM account WHERE uid = ?"
    devices = "SELECT count(*) FROM device WHERE account_id = ? AND revoked_ms IS NULL"
    with stage.evil.database() as db:
        ver, account = db.execute(query, (actor.uid,)).fetchone()
        leaves = db.execute("SELECT ver FROM kt_leaf WHERE label = ? ORDER BY idx", (uid_label(actor.uid),)).fetchall()
        return ver, db.execute(devices, (account,)).fetchone()[0], [leaf for (leaf,) in leaves]


async def knows(actor: Actor, uid: bytes, ver: int) -> None:
    """Wait until that version of a person's list is known."""
    end = time.monotonic() + PATIENCE_S
    while (await actor.read(contact_of(uid))).list_ver < ver:
        assert time.monotonic() < end, actor.warnings()
        await asyncio.sleep(0.02)


async def settled(ana: Actor, bruno: Actor) -> None:
    """Everything that follows from the removal of Bruno's phone has happened: nobody asks the server any more."""
    await knows(ana, bruno.uid, 3)
    end = time.monotonic() + PATIENCE_S
    while await bruno.read(lambda tx: tx.backup.count_pending() or tx.pending_events.next_due_ms() is not None):
        assert time.monotonic() < end, bruno.warnings()
        await asyncio.sleep(0.02)
    for actor in (ana, bruno):
        await actor.client.security.look_at_log()


async def test_a_device_that_was_removed_after_the_backup_is_cut_off_again(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, bruno = await stage.pair()
    copy = back_up(stage)
    phone = next(one for one in await bruno.client.devices() if not one.current)
    await bruno.client.revoke_device(phone.did, PASSWORDS["bruno"])
    await settled(ana, bruno)
    await restore(stage, copy)
    assert lists_of(stage, bruno) == (2, 2, [1, 2])
    ana = await stage.open("ana")
    await ana.send(stage.chat_id, "nadie ha entrado")
    bruno = await stage.open("bruno")
    assert lists_of(stage, bruno) == (3, 1, [1, 2, 3])
    await agree((ana, bruno), stage.chat_id, [*OLD, "ana: nadie ha entrado"])
    for actor in (ana, bruno):
        assert await actor.client.security.look_at_log()
        assert set(actor.warnings()) <= {"server_restored", "key_log_restored"}


async def test_a_device_that_was_added_after_the_backup_comes_back_with_the_password(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    copy = back_up(stage)
    phone = await Client.login(
        stage.evil.url, "bruno", PASSWORDS["bruno"], profile=stage.folder / "phone", insecure_key_file=True
    )
    stage.actors.append(await Actor.watch(phone).online())
    await knows(bruno, bruno.uid, 2)
    await restore(stage, copy)
    ana, bruno = await stage.pair()
    assert lists_of(stage, bruno) == (2, 2, [1, 2])
    back = await stage.open("phone", online=False)
    await back.phase(ConnectionPhase.LOGIN_ENDED)
    await back.client.login_again(PASSWORDS["bruno"])
    await back.online()
    await ana.send(stage.chat_id, "los tres")
    await agree((ana, bruno, back), stage.chat_id, [*OLD, "ana: los tres"])


async def test_after_the_lists_came_back_an_older_one_is_a_rollback_as_ever(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, bruno = await stage.pair()
    before, copy = await ana.read(contact_of(bruno.uid)), back_up(stage)
    phone = next(one for one in await bruno.client.devices() if not one.current)
    await bruno.client.revoke_device(phone.did, PASSWORDS["bruno"])
    await settled(ana, bruno)
    await restore(stage, copy)
    ana, bruno = await stage.pair()
    await ana.client._engine.directory.refresh(Uid(bruno.uid))
    stage.evil.rule = ServeKeys(
        bruno.uid, keys_of(bruno.uid, before.identity, Signed(before.list_body, before.list_sig))
    )
    with pytest.raises(SecurityError, match="list_rolled_back"):
        await ana.client._engine.directory.refresh(Uid(bruno.uid))
