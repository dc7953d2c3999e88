"""The key backup on a hostile server: history comes back whole on a new device, and what is false, old or withheld is
told in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from mensajeria.client import Client
from mensajeria.client.api import Cause, HistoryRestored, SettingChanged
from mensajeria.client.engine.account_keys import PASS_KEYS, sealer_of
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.session import Session
from mensajeria.client.store import Tx
from mensajeria.crypto.backup import BackupSealer, SealedRow, session_counter
from mensajeria.crypto.inbound import InboundSession
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Uid, b64, unb64
from mensajeria.protocol.records import Signed
from mensajeria.protocol.records_backup import BackupKeys, BackupKeysRequest, SessionBackup, SettingRecord
from mensajeria.server.admin.content import bump_restore_epoch
from tests.attacks.evil import Json, Rule
from tests.attacks.stage import PASSWORDS, PATIENCE_S, Actor, Stage

pytestmark = pytest.mark.slow
OLD: Final = ["ana: hola", "bruno: qué tal"]


async def saved(actor: Actor) -> None:
    """Wait until everything of the actor lies in the backup."""
    end = time.monotonic() + PATIENCE_S

    def open_ends(tx: Tx) -> int:
        return tx.backup.count_pending() + len(tx.settings.unsaved(tx.meta.number("backup_version"), 9))

    while await actor.read(open_ends):
        assert time.monotonic() < end, "the backup does not get ready"
        await asyncio.sleep(0.01)


async def new_device(stage: Stage, name: str, folder: str = "fresh") -> Actor:
    """The person's account on a new machine."""
    client = await Client.login(
        stage.evil.url, name, PASSWORDS[name], profile=stage.folder / folder, insecure_key_file=True
    )
    actor = Actor.watch(client)
    stage.actors.append(actor)
    return await actor.online()


async def restored(actor: Actor) -> HistoryRestored:
    """Wait until the restore is over: what it came to."""
    await actor.until(lambda: any(isinstance(event, HistoryRestored) for event in actor.events), "restored")
    return next(event for event in actor.events if isinstance(event, HistoryRestored))


async def test_a_new_device_reads_everything_own_messages_too(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await saved(ana)
    await saved(bruno)
    await ana.close()
    await bruno.close()
    for name in ("ana", "bruno"):
        fresh = await new_device(stage, name, f"fresh-{name}")
        result = await restored(fresh)
        assert await fresh.texts(stage.chat_id) == OLD
        assert Cause.WAITING not in await fresh.places(stage.chat_id)
        assert (result.missing, result.refused) == (0, 0)
        assert fresh.warnings() == []


class Rows(Rule):
    """Lies about the rows of key backups."""

    def __init__(self, lie: Callable[[list[Json]], list[Json]]) -> None:
        self._lie = lie
        self.asked = 0

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if path == "/v1/backup/rows/query" and "rows" in answer:
            self.asked += 1
            return {**answer, "rows": self._lie(answer["rows"])}
        return answer


def is_session(row: Json) -> bool:
    """Rows of sessions have counters that no page or head reaches."""
    return int(row["counter"]) > 1 << 30


def flipped(rows: list[Json]) -> list[Json]:
    return [{**row, "blob": b64(unb64(row["blob"])[:-1] + b"\x00")} if is_session(row) else row for row in rows]


def swapped(rows: list[Json]) -> list[Json]:
    """Every session's row holds the next one's content."""
    mine = [row for row in rows if is_session(row)]
    others = mine[1:] + mine[:1]
    moved = {row["row_id"]: other["blob"] for row, other in zip(mine, others, strict=True)}
    return [{**row, "blob": moved.get(row["row_id"], row["blob"])} for row in rows]


def relabelled(rows: list[Json]) -> list[Json]:
    """The content of a version under the number of a newer one."""
    return [{**row, "counter": row["counter"] + 1} if is_session(row) else row for row in rows]


def aged(rows: list[Json]) -> list[Json]:
    """An older version than the index names."""
    return [{**row, "counter": row["counter"] - 1} if is_session(row) else row for row in rows]


def without_sessions(rows: list[Json]) -> list[Json]:
    return [row for row in rows if not is_session(row)]


async def lied_to(stage: Stage, lie: Callable[[list[Json]], list[Json]]) -> tuple[Actor, HistoryRestored]:
    """Ana on a new device, at a server that lies about her backup; her other device is away."""
    ana, bruno = await stage.pair()
    await saved(ana)
    await ana.close()
    await bruno.close()
    stage.evil.rule = rule = Rows(lie)
    fresh = await new_device(stage, "ana")
    result = await restored(fresh)
    assert rule.asked
    return fresh, result


@pytest.mark.parametrize("lie", [flipped, swapped, relabelled], ids=lambda lie: lie.__name__)
async def test_rows_that_were_altered_or_moved_are_refused_and_told(
    stage: Stage, lie: Callable[[list[Json]], list[Json]]
) -> None:
    fresh, result = await lied_to(stage, lie)
    assert result.restored == 0
    assert result.refused > 0
    assert "backup_tampered" in fresh.warnings()
    assert await fresh.texts(stage.chat_id) == []


@pytest.mark.parametrize("lie", [without_sessions, aged], ids=lambda lie: lie.__name__)
async def test_rows_that_are_withheld_or_old_are_told(stage: Stage, lie: Callable[[list[Json]], list[Json]]) -> None:
    fresh, result = await lied_to(stage, lie)
    assert (result.restored, result.refused) == (0, 0)
    assert result.missing == 2
    assert "backup_incomplete" in fresh.warnings()


async def test_a_withheld_tail_of_the_index_is_told(stage: Stage) -> None:
    """The head of the index says how much there must be."""
    ana, bruno = await stage.pair()
    await saved(ana)
    page = await ana.read(lambda tx: sealed_under(tx, ana).page_id(ana.client._context.me.did, 0))
    await ana.close()
    await bruno.close()
    stage.evil.rule = Rows(lambda rows: [row for row in rows if unb64(row["row_id"]) != page])
    fresh = await new_device(stage, "ana")
    result = await restored(fresh)
    assert result.missing == 2
    assert "backup_incomplete" in fresh.warnings()


def sealed_under(tx: Tx, actor: Actor, n: int = 1) -> BackupSealer:
    sealer = sealer_of(tx, actor.client._context.me, n)
    assert sealer is not None
    return sealer


def replace_row(stage: Stage, row: SealedRow) -> None:
    with stage.evil.database() as db:
        changed = db.execute(
            "UPDATE backup_row SET blob = ?, counter = ? WHERE row_id = ?", (row.blob, row.counter, row.row_id)
        )
        assert changed.rowcount == 1


async def test_a_row_whose_binding_nobody_signed_is_refused(stage: Stage) -> None:
    """Who was removed knows the old keys, and may work with the server: the author's signature decides."""
    ana, bruno = await stage.pair()
    await saved(ana)

    def forge(tx: Tx) -> list[SealedRow]:
        sealer, rows = sealed_under(tx, ana), []
        for stored in tx.inbound.all():
            session = InboundSession.load(stored.state)
            export, first_index, _ = session.for_backup()
            skb = Signed(session.signed_binding.body, bytes(64))
            record = SessionBackup(skb=skb, export=export, first_index=first_index)
            rows.append(sealer.seal_session(record, session.binding, session_counter(0, proven=True)))
        return rows

    for row in await ana.read(forge):
        replace_row(stage, row)
    await ana.close()
    await bruno.close()
    fresh = await new_device(stage, "ana")
    result = await restored(fresh)
    assert (result.restored, result.refused) == (0, 2)
    assert "backup_tampered" in fresh.warnings()
    assert await fresh.texts(stage.chat_id) == []


async def test_removing_a_device_advances_the_keys_and_seals_everything_anew(phone_stage: Stage) -> None:
    """The devices that stay get the next version's keys by letter; what a new one reads lies under them."""
    stage = phone_stage
    bruno, phone = await stage.open("bruno"), await stage.open("phone")
    await saved(bruno)
    third = await new_device(stage, "bruno", "third")
    await restored(third)
    await bruno.client.revoke_device(third.client._context.me.did, PASSWORDS["bruno"])

    async def version(actor: Actor) -> int:
        return await actor.read(lambda tx: tx.meta.number("backup_version"))

    end = time.monotonic() + PATIENCE_S
    while await version(phone) < 2:
        assert time.monotonic() < end, "the keys did not come"
        await asyncio.sleep(0.02)
    keys = [await one.read(lambda tx: tx.own.get("backup_key")) for one in (bruno, phone)]
    assert keys[0] == keys[1]
    await saved(phone)
    await saved(bruno)
    await phone.close()
    await bruno.close()
    with stage.evil.database() as db:
        db.execute("DELETE FROM backup_row WHERE n = 1")
    fresh = await new_device(stage, "bruno")
    result = await restored(fresh)
    assert await fresh.texts(stage.chat_id) == OLD
    assert (result.missing, result.refused) == (0, 0)


async def test_a_device_that_missed_the_letter_asks_for_the_keys(phone_stage: Stage) -> None:
    stage = phone_stage
    bruno = await stage.open("bruno")
    third = await new_device(stage, "bruno", "third")
    await bruno.client.revoke_device(third.client._context.me.did, PASSWORDS["bruno"])
    await saved(bruno)
    with stage.evil.database() as db:
        db.execute("DELETE FROM mailbox")
    phone = await stage.open("phone")
    end = time.monotonic() + PATIENCE_S
    while await phone.read(lambda tx: tx.meta.number("backup_version")) < 2:
        assert time.monotonic() < end, "the keys did not come"
        await asyncio.sleep(0.02)


async def test_keys_that_became_due_while_something_else_was_told_are_passed_on(phone_stage: Stage) -> None:
    """A device is removed while the others are told of a setting; later nobody is there to ask."""
    stage = phone_stage
    bruno = await stage.open("bruno")
    third = await new_device(stage, "bruno", "third")
    removed = third.client._context.me.did
    mailer = bruno.client._engine._mailer
    deliver, done = mailer.deliver, asyncio.Event()

    async def delayed(session: Session, letters: Sequence[Letter]) -> None:
        await deliver(session, letters)
        if not done.is_set() and any(letter.type == "setting" for letter in letters):
            done.set()
            await bruno.client.revoke_device(removed, PASSWORDS["bruno"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailer, "deliver", delayed)
        await bruno.client.settings.put("color", b"azul")
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        end = time.monotonic() + PATIENCE_S
        while not await bruno.read(passed_on):
            assert time.monotonic() < end, "the keys do not leave"
            await asyncio.sleep(0.02)
    await bruno.close()
    phone = await stage.open("phone")
    end = time.monotonic() + PATIENCE_S
    while await phone.read(lambda tx: tx.meta.number("backup_version")) < 2:
        assert time.monotonic() < end, "the keys did not come"
        await asyncio.sleep(0.02)


def passed_on(tx: Tx) -> bool:
    return tx.meta.number("backup_version") == 2 and tx.meta.get(PASS_KEYS) is None


async def test_keys_and_settings_from_anybody_else_are_refused(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    before = await ana.read(lambda tx: tx.own.get("backup_key"))
    to = Uid(ana.uid), ana.client._context.me.did
    engine = bruno.client._engine
    assert engine._session is not None
    for kind, content in (
        ("backup_keys", BackupKeys(n=2, backup=b"e" * 32, settings=b"e" * 32)),
        ("backup_keys_request", BackupKeysRequest(n=1)),
        ("setting", SettingRecord(key="chat:x", value=b"evil", counter=9, did=b"d" * 16)),
    ):
        await engine._mailer.deliver(engine._session, [Letter(*to, kind, encode(content))])
    await ana.until(lambda: ana.warnings().count("key_refused") == 3, "three refusals")
    assert await ana.read(lambda tx: tx.own.get("backup_key")) == before
    assert await ana.read(lambda tx: tx.settings.get("chat:x")) is None
    assert await bruno.read(lambda tx: tx.own.get("backup_key:2")) is None


async def test_settings_reach_own_devices_at_once_and_new_ones_from_the_backup(phone_stage: Stage) -> None:
    stage = phone_stage
    bruno, phone = await stage.open("bruno"), await stage.open("phone")
    await bruno.client.settings.put("color", b"azul")
    await phone.until(lambda: any(isinstance(event, SettingChanged) for event in phone.events), "the letter")
    assert await phone.client.settings.get("color") == b"azul"
    await phone.client.settings.put("color", b"verde")
    await bruno.until(lambda: SettingChanged("color", b"verde") in bruno.events, "the answer")
    await saved(bruno)
    await saved(phone)
    await bruno.close()
    await phone.close()
    fresh = await new_device(stage, "bruno")
    await restored(fresh)
    assert await fresh.client.settings.get("color") == b"verde"


async def test_settings_of_an_older_version_are_not_taken(stage: Stage) -> None:
    """Who was removed could have written them, with the server's help."""
    ana = await stage.open("ana")
    await ana.client.settings.put("color", b"azul")
    await saved(ana)
    other = await new_device(stage, "ana", "other")
    await restored(other)
    await ana.client.revoke_device(other.client._context.me.did, PASSWORDS["ana"])
    await ana.client.settings.remove("color")
    await saved(ana)
    await ana.close()
    with stage.evil.database() as db:
        db.execute("DELETE FROM backup_row WHERE n = 2")
    fresh = await new_device(stage, "ana")
    await restored(fresh)
    assert await fresh.client.settings.get("color") is None
    assert await fresh.texts(stage.chat_id) == OLD


async def test_what_was_not_confirmed_is_sent_again_under_the_same_places(stage: Stage) -> None:
    """Killed between the upload and its note: nobody knows what the server has."""
    ana, bruno = await stage.pair()
    await saved(ana)
    await ana.change(lambda tx: tx.backup.forget_server())
    entries = await ana.read(lambda tx: tx.backup.entries(1))
    await ana.close()
    again = await stage.open("ana")
    await saved(again)
    assert await again.read(lambda tx: tx.backup.entries(1)) == entries
    await again.close()
    await bruno.close()
    fresh = await new_device(stage, "ana")
    result = await restored(fresh)
    assert (result.restored, result.missing, result.refused) == (2, 0, 0)


async def test_the_backup_holds_no_plaintext(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.client.settings.put("canario-llave", b"canario-valor")
    await saved(ana)
    await saved(bruno)
    with stage.evil.database() as db:
        blobs = [bytes(blob) for (blob,) in db.execute("SELECT blob FROM backup_row")]
        ids = [bytes(row_id) for (row_id,) in db.execute("SELECT row_id FROM backup_row")]
    sessions = await ana.read(lambda tx: [stored.key.session_id for stored in tx.inbound.all()])
    assert len(blobs) >= 8
    for secret in (b"canario", stage.chat_id, ana.uid, bruno.uid, *sessions, b"skb", b"export"):
        assert not any(secret in data for data in (*blobs, *ids))


async def test_a_declared_restore_is_told_and_what_the_server_lacks_is_sent_again(stage: Stage) -> None:
    """Honest: the operator copies an old database back and says so. One-time keys and the key backup come anew."""
    ana, bruno = await stage.pair()
    await saved(ana)
    await ana.close()
    await bruno.close()
    with stage.evil.database() as db:
        db.execute("DELETE FROM backup_row")
        db.execute("DELETE FROM backup_use")
    settings = stage.evil._settings
    assert await asyncio.to_thread(bump_restore_epoch, settings) == 2
    await stage.restart()
    again = await stage.open("ana")
    await again.warned("server_restored")
    await saved(again)
    with stage.evil.database() as db:
        count = "SELECT count(*) FROM one_time_key k JOIN device d ON d.id = k.device_id WHERE d.did = ?"
        did = again.client._context.me.did
        end = time.monotonic() + PATIENCE_S
        while db.execute(count, (did,)).fetchone()[0] < 50:
            assert time.monotonic() < end, "no new one-time keys"
            await asyncio.sleep(0.05)
    await again.close()
    fresh = await new_device(stage, "ana")
    result = await restored(fresh)
    assert (result.restored, result.missing, result.refused) == (2, 0, 0)
    assert await fresh.texts(stage.chat_id) == OLD
