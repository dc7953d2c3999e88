"""What breaks heals by itself: lost pairwise state, junk, repeated envelopes, keys that the server kept back."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from mensajeria.client.api import Cause, ConnectionChanged, ConnectionPhase, Event
from mensajeria.client.engine.healing import ANSWERS_PER_HOUR
from mensajeria.client.engine.letters import KEY_REQUEST
from mensajeria.client.store import Tx
from mensajeria.crypto.hpke import hpke_seal
from mensajeria.crypto.todevice import envelope_info
from mensajeria.protocol import frames
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Envelope
from mensajeria.protocol.prekeys import verify_pq_prekey
from mensajeria.protocol.records import KeyRequest, MessageOuter, SenderAddress, Signed, ToDeviceOuter
from tests.attacks.evil import Rule
from tests.attacks.forging import contact_of, envelope_for, list_known, now_ms
from tests.attacks.stage import PASSWORDS, Actor, Stage

A_MINUTE_S = 60.0


async def forget_pairs(actor: Actor) -> int:
    """The device loses every pairwise session; how many there were."""

    def forget(tx: Tx) -> int:
        count: int = tx.health._db.changed("DELETE FROM olm_peers")
        return count

    return await actor.change(forget)


async def new_session(actor: Actor, chat_id: bytes) -> None:
    """The next message of the actor needs a new key at everybody's."""
    await actor.change(lambda tx: tx.outbound.drop(chat_id))  # type: ignore[arg-type]


async def renewed(actor: Actor) -> int:
    return (await actor.client.health()).pairs_renewed


async def test_a_device_that_lost_its_pairwise_state_is_healed_within_a_minute(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    for n in range(2):  # both have answered: Ana's session is an established one
        await new_session(ana, stage.chat_id)
        await ana.send(stage.chat_id, f"a{n}")
        await new_session(bruno, stage.chat_id)
        await bruno.send(stage.chat_id, f"b{n}")
    await ana.shows(stage.chat_id, "bruno: b1")
    assert await forget_pairs(bruno) > 0
    await new_session(ana, stage.chat_id)
    started = time.monotonic()
    await ana.send(stage.chat_id, "te llega")
    await bruno.shows(stage.chat_id, "ana: te llega")
    assert time.monotonic() - started < A_MINUTE_S
    assert await renewed(bruno) == 1
    assert Cause.WAITING not in await bruno.places(stage.chat_id)
    await new_session(ana, stage.chat_id)
    await ana.send(stage.chat_id, "y la siguiente también")
    await bruno.shows(stage.chat_id, "ana: te llega", "ana: y la siguiente también")
    assert await renewed(bruno) == 1


class Twice(Rule):
    """Every envelope comes twice, the second time under another number."""

    def envelope(self, to: bytes, envelope: Envelope) -> Iterable[Envelope]:
        return envelope, msgspec.structs.replace(envelope, id=envelope.id + (1 << 30))


async def test_envelopes_that_come_twice_look_like_no_broken_session(stage: Stage) -> None:
    stage.evil.rule = Twice()
    ana, bruno = await stage.pair()
    for n in range(4):
        await new_session(ana, stage.chat_id)
        await ana.send(stage.chat_id, f"a{n}")
        await new_session(bruno, stage.chat_id)
        await bruno.send(stage.chat_id, f"b{n}")
    await ana.shows(stage.chat_id, *(f"{who}: {who[0]}{n}" for n in range(4) for who in ("ana", "bruno")))
    for actor in (ana, bruno):
        assert await renewed(actor) == 0
        assert actor.warnings() == []


async def junk_for(stage: Stage, actor: Actor, uid: bytes, did: bytes, curve25519: bytes, number: int) -> Envelope:
    """What anybody who knows public keys can make: an envelope that names a true sender, with nothing of theirs in."""
    verified, own = list_known(await actor.read(contact_of(actor.uid))), actor.client._context.me.did
    listed = verified.find(own)
    assert listed is not None
    with stage.evil.database() as db:
        body, sig = db.execute("SELECT pq_body, pq_sig FROM device WHERE did = ?", (own,)).fetchone()
    pq = verify_pq_prekey(Signed(body, sig), uid=actor.uid, device=listed, now_ms=now_ms())
    outer = ToDeviceOuter(1, number % 2, uid, did, curve25519, os.urandom(200))
    blob = hpke_seal(pq.key, envelope_info(actor.uid, own, pq.prekey_id), encode(outer))
    return Envelope((1 << 41) + number, pq.prekey_id, blob)


async def test_junk_in_a_true_senders_name_breaks_nothing_and_starts_one_new_session_at_most(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    listed = list_known(await bruno.read(contact_of(ana.uid))).list.devices[0]
    for number in range(8):
        junk = await junk_for(stage, bruno, ana.uid, listed.did, listed.curve25519, number)
        await stage.evil.tell(bruno.uid, frames.Batch((junk,)))
    await asyncio.sleep(0.4)
    assert await renewed(bruno) <= 1
    await new_session(ana, stage.chat_id)
    await ana.send(stage.chat_id, "como siempre")
    await bruno.shows(stage.chat_id, "ana: como siempre")


async def test_a_flood_of_questions_is_answered_twenty_times(stage: Stage) -> None:
    """Bruno's own device, turned hostile, asks again and again."""
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "hola otra vez")
    outbound = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert outbound is not None
    device, contact = await bruno.device(), await ana.read(contact_of(bruno.uid))
    await bruno.close()
    question = encode(
        KeyRequest(chat_id=stage.chat_id, session_id=outbound.session_id, uid=ana.uid, did=device.did, index=0)
    )
    address = SenderAddress(uid=bruno.uid, did=device.did, idfp=contact.idfp, dl_ver=contact.list_ver)
    before = len(written(stage, ana.uid, device.did))
    for number in range(ANSWERS_PER_HOUR + 10):
        asked = await envelope_for(stage, ana, device, address, KEY_REQUEST, question)
        await stage.evil.tell(ana.uid, frames.Batch((msgspec.structs.replace(asked, id=(1 << 42) + number),)))
    await ana.until(lambda: len(written(stage, ana.uid, device.did)) >= before + ANSWERS_PER_HOUR, "answers")
    await asyncio.sleep(0.5)
    answers = len(written(stage, ana.uid, device.did)) - before
    # Acks of the pairwise ratchet are no answers: one for every four envelopes at most.
    assert ANSWERS_PER_HOUR <= answers <= ANSWERS_PER_HOUR + (ANSWERS_PER_HOUR + 10) // 4 + 1
    counted = await ana.read(lambda tx: tx.health._db.value("SELECT count(*) FROM key_answers"))
    assert counted == ANSWERS_PER_HOUR


def written(stage: Stage, by: bytes, did: bytes) -> list[bytes]:
    """Distinct envelopes that a user has sent to a device."""
    puts = stage.evil.seen.frames_of(by, frames.PutDevice)
    return list({target.blob: None for frame in puts for target in frame.targets if target.did == did})


async def test_a_new_device_reads_what_was_said_before_it_came_while_the_other_members_are_away(
    phone_stage: Stage,
) -> None:
    """Ana is away: only what is Bruno's own can help his phone."""
    phone, bruno = await phone_stage.open("phone"), await phone_stage.open("bruno")
    await phone.shows(phone_stage.chat_id, "ana: hola", "bruno: qué tal")
    assert (await phone.client.health()).is_well
    assert bruno.warnings() == phone.warnings() == []


class KeepBack(Rule):
    """No envelope reaches one person."""

    def __init__(self, victim: bytes) -> None:
        self._victim = victim
        self.kept = 0

    def envelope(self, to: bytes, envelope: Envelope) -> Iterable[Envelope]:
        if to != self._victim:
            return [envelope]
        self.kept += 1
        return []


async def test_keys_that_the_server_kept_back_are_missed_visibly_and_healed_when_it_stops(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = KeepBack(bruno.uid)
    await new_session(ana, stage.chat_id)
    await ana.send(stage.chat_id, "sin clave")
    await bruno.has_place(stage.chat_id, Cause.WAITING)
    health = await bruno.client.health()
    assert (health.waiting, health.sessions_missing, health.is_well) == (1, 1, False)
    stage.evil.rule = Rule()
    # The mailbox still holds what was kept back only if the server says so; here it lost it for good.
    with stage.evil.database() as db:
        db.execute("DELETE FROM mailbox")
    stage.evil.drop_connections()
    await bruno.shows(stage.chat_id, "ana: sin clave")
    health = await bruno.client.health()
    assert health.healed == {"author": 1}
    assert health.is_well


@pytest.mark.parametrize("member", [True, False], ids=["of the chat", "of another chat"])
async def test_a_question_about_a_session_that_is_not_here_tells_members_only(stage: Stage, *, member: bool) -> None:
    """Whoever is in the chat learns that this device cannot help; nobody learns of other chats."""
    ana, bruno = await stage.pair()
    device, contact = await bruno.device(), await ana.read(contact_of(bruno.uid))
    await bruno.close()
    chat_id = stage.chat_id if member else os.urandom(32)
    question = KeyRequest(chat_id=chat_id, session_id=os.urandom(32), uid=ana.uid, did=device.did, index=0)
    address = SenderAddress(uid=bruno.uid, did=device.did, idfp=contact.idfp, dl_ver=contact.list_ver)
    before = len(written(stage, ana.uid, device.did))
    asked = await envelope_for(stage, ana, device, address, KEY_REQUEST, encode(question))
    await stage.evil.tell(ana.uid, frames.Batch((asked,)))
    await asyncio.sleep(0.4)
    assert len(written(stage, ana.uid, device.did)) - before == (1 if member else 0)


async def sessions_used(actor: Actor) -> int:
    sql = "SELECT count(DISTINCT session_id) FROM megolm_inbound WHERE did = ?"
    did = actor.client._context.me.did
    count: int = await actor.read(lambda tx: tx.health._db.value(sql, did))
    return count


async def test_a_session_ends_after_fifty_messages_once_somebody_has_fetched_its_key(stage: Stage) -> None:
    """Between real clients: the key of each new session arrives before its first message is read."""
    ana, bruno = await stage.pair()
    before = await sessions_used(ana)
    for n in range(120):
        await ana.send(stage.chat_id, f"n{n}", wait=n % 10 == 9)
    await bruno.shows(stage.chat_id, *(f"ana: n{n}" for n in range(90, 120)))
    assert 2 <= await sessions_used(ana) - before <= 3
    assert bruno.warnings() == ana.warnings() == []


async def test_nobody_there_to_fetch_a_key_makes_no_new_sessions(stage: Stage) -> None:
    ana = await stage.open("ana")
    await new_session(ana, stage.chat_id)
    await ana.send(stage.chat_id, "el primero")
    before = await sessions_used(ana)
    for n in range(70):
        await ana.send(stage.chat_id, f"n{n}", wait=n % 10 == 9)
    assert await sessions_used(ana) == before
    bruno = await stage.open("bruno")
    await bruno.shows(stage.chat_id, "ana: n68", "ana: n69")
    for _ in range(200):
        if await ana.read(lambda tx: tx.outbound.unfetched(stage.chat_id)) is None:
            break
        await asyncio.sleep(0.01)
    await ana.send(stage.chat_id, "otra sesión")
    await bruno.shows(stage.chat_id, "ana: otra sesión")
    assert await sessions_used(ana) == before + 1


async def test_a_copy_from_the_middle_of_a_connection_finds_its_own_messages_in_the_log_and_stops(
    stage: Stage, tmp_path: Path
) -> None:
    """The server knows the count of encryptions from the last hello only: the copy has the same, and yet it is old."""
    ana = await stage.open("ana")
    await ana.close()
    shutil.copytree(stage.folder / "ana", tmp_path / "old")
    ana = await stage.open("ana")
    for text in ("uno", "dos", "tres"):
        await ana.send(stage.chat_id, text)
    await ana.close()
    shutil.rmtree(stage.folder / "ana")
    shutil.copytree(tmp_path / "old", stage.folder / "ana")
    before = len(stage.evil.seen.frames_of(ana.uid, MessageOuter))

    again = await stage.open("ana", online=False)
    await again.send(stage.chat_id, "desde la copia", wait=False)
    assert await again.phase(ConnectionPhase.STOPPED) == Code.ROLLED_BACK
    assert len(stage.evil.seen.frames_of(ana.uid, MessageOuter)) == before
    assert (await again.client.health()).rolled_back
    old = again.client._context.me.did

    await again.client.login_again(PASSWORDS["ana"])
    bruno = await stage.open("bruno")
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres", "ana: desde la copia")
    assert again.client._context.me.did != old
    sent = {(outer.session_id, outer.idx): outer.ct for outer in stage.evil.seen.frames_of(ana.uid, MessageOuter)}
    cts = {outer.ct for outer in stage.evil.seen.frames_of(ana.uid, MessageOuter)}
    assert len(sent) == len(cts), "one index, two ciphertexts"
    assert not (await again.client.health()).rolled_back


def is_online_again(events: Sequence[Event]) -> bool:
    return any(isinstance(one, ConnectionChanged) and one.phase is ConnectionPhase.ONLINE for one in events)


async def test_what_could_not_be_read_is_counted_for_the_operator_once_and_in_bare_numbers(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = KeepBack(bruno.uid)
    await new_session(ana, stage.chat_id)
    await ana.send(stage.chat_id, "sin clave")
    await bruno.has_place(stage.chat_id, Cause.WAITING)
    stage.evil.rule = Rule()
    with stage.evil.database() as db:
        db.execute("DELETE FROM mailbox")
    for _ in range(2):
        told = len(bruno.events)
        stage.evil.drop_connections()
        await bruno.until(lambda: is_online_again(bruno.events[told:]), "online again")  # noqa: B023
        await bruno.shows(stage.chat_id, "ana: sin clave")
        bruno.client._engine._upkeep.keys_due.set()  # type: ignore[union-attr]
        await bruno.until(lambda: stage.evil.server.unreadable["healed"], "counted")
        await asyncio.sleep(0.2)
    assert dict(stage.evil.server.unreadable) == {"healed": 1}
