"""Edits, reactions, deletes and timers against members who overstep and a server that lies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from mensajeria.client.api import Cause, Message, MessageKind
from mensajeria.client.store import Tx
from mensajeria.crypto.message import decode_outer
from mensajeria.kit.ids import random16
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.records_messages import DELETE, EDIT, REACTION, DeleteBody, EditBody, ReactionBody
from tests.attacks.evil import Rule
from tests.attacks.stage import PATIENCE_S, Actor, Stage
from tests.attacks.test_rows import copy_row


async def one(actor: Actor, chat_id: bytes, mid: bytes) -> Message:
    return next(message for message in await actor.timeline(chat_id) if message.mid == mid)


async def becomes(actor: Actor, chat_id: bytes, mid: bytes, text: str) -> None:
    """Wait until a message says this."""
    end = time.monotonic() + PATIENCE_S
    while (found := await one(actor, chat_id, mid)).text != text:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)


async def deleted(actor: Actor, chat_id: bytes) -> list[Message]:
    """Wait until something is shown as deleted."""
    end = time.monotonic() + PATIENCE_S
    while not (found := [m for m in await actor.timeline(chat_id) if m.kind is MessageKind.DELETED]):
        assert time.monotonic() < end, await actor.timeline(chat_id)
        await asyncio.sleep(0.01)
    return found


async def forge(actor: Actor, chat_id: ChatId, kind: str, body: object, about: tuple[bytes, bytes]) -> None:
    """What a member's changed client sends: any change about any message, properly signed."""
    mid, refs = Mid(random16()), ((Uid(about[0]), Mid(about[1])),)
    await actor.change(lambda tx: tx.outbox.add(chat_id, mid, kind, encode(body), 1, refs=refs))
    actor.client._engine.sending.wake(chat_id)
    await asyncio.wait_for(actor.client.wait_sent(mid), PATIENCE_S)


async def hear(speaker: Actor, listener: Actor, chat_id: bytes, text: str) -> None:
    """Whatever was sent before has arrived once this has."""
    await speaker.send(chat_id, text)
    await listener.shows(chat_id, f"{speaker.client.me.handle}: {text}")


async def test_a_member_changes_nobody_elses_message(stage: Stage) -> None:
    """Bruno edits and deletes what Ana wrote, in her name and in his own."""
    ana, bruno = await stage.pair()
    mid = await ana.send(stage.chat_id, "de ana")
    await bruno.shows(stage.chat_id, "ana: de ana")
    for author in (ana.uid, bruno.uid):
        await forge(bruno, stage.chat_id, EDIT, EditBody(text="de bruno"), (author, mid))
        await forge(bruno, stage.chat_id, DELETE, DeleteBody(), (author, mid))
    await hear(bruno, ana, stage.chat_id, "y ahora")
    message = await one(ana, stage.chat_id, mid)
    assert (message.text, message.edited, message.kind) == ("de ana", False, MessageKind.TEXT)


async def test_an_edit_from_another_chat_has_no_effect(stage: Stage) -> None:
    """Ana's own message, but named in a group that Bruno is in, too."""
    ana, bruno = await stage.pair()
    mid = await ana.send(stage.chat_id, "en el chat")
    await bruno.shows(stage.chat_id, "ana: en el chat")
    group = await ana.client.create_group("otro", ["bruno"])
    await forge(ana, group.chat_id, EDIT, EditBody(text="desde otro"), (ana.uid, mid))
    await forge(ana, group.chat_id, DELETE, DeleteBody(), (ana.uid, mid))
    await hear(ana, bruno, group.chat_id, "fin")
    message = await one(bruno, stage.chat_id, mid)
    assert (message.text, message.edited, message.kind) == ("en el chat", False, MessageKind.TEXT)


async def test_reactions_to_what_does_not_exist_have_no_effect_and_are_bounded(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    before = len(await ana.timeline(stage.chat_id))
    for _ in range(5):
        await forge(bruno, stage.chat_id, REACTION, ReactionBody(emoji="👍"), (ana.uid, random16()))
    await hear(bruno, ana, stage.chat_id, "hola")
    assert len(await ana.timeline(stage.chat_id)) == before + 1
    assert await ana.read(lambda tx: tx.changes.waiting(stage.chat_id)) == 5


async def test_a_replayed_edit_does_not_bring_an_old_text_back(stage: Stage) -> None:
    """The server appends the first edit's row once more, behind the second one."""
    ana = await stage.open("ana")
    mid = await ana.send(stage.chat_id, "uno")
    for text in ("dos", "tres"):
        sent = await ana.client.chat(stage.chat_id).edit(mid, text)
        await asyncio.wait_for(ana.client.wait_sent(sent.mid), PATIENCE_S)
    await ana.close()
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat").fetchone()
        copy_row(db, last - 1)
    await stage.restart()
    bruno = await stage.open("bruno")
    await bruno.warned("row_tampered")
    assert (await one(bruno, stage.chat_id, mid)).text == "tres"


async def test_deleted_for_all_is_erased_on_the_server_and_everybody_knows_who_did_it(stage: Stage) -> None:
    """Bruno sees the message first; the ciphertext leaves the server's database; nothing is blamed on the server."""
    ana, bruno = await stage.pair()
    mid = await ana.send(stage.chat_id, "me arrepiento")
    await bruno.shows(stage.chat_id, "ana: me arrepiento")
    sent = await ana.client.chat(stage.chat_id).delete(mid, for_all=True)
    assert sent is not None
    [gone] = await deleted(bruno, stage.chat_id)
    assert (gone.mid, gone.text, gone.deleted_by and gone.deleted_by.handle) == (mid, "", "ana")
    end = time.monotonic() + PATIENCE_S
    while _kind_of(stage, mid) != EventKind.TOMBSTONE:
        assert time.monotonic() < end, "not erased"
        await asyncio.sleep(0.01)
    assert Cause.REMOVED_BY_SERVER not in await bruno.places(stage.chat_id)


async def test_what_one_own_device_wrote_another_one_erases_on_the_server(phone_stage: Stage) -> None:
    bruno, phone = await phone_stage.open("bruno"), await phone_stage.open("phone")
    mid = await bruno.send(phone_stage.chat_id, "desde el portátil")
    await phone.shows(phone_stage.chat_id, "bruno: desde el portátil")
    await phone.client.chat(phone_stage.chat_id).delete(mid, for_all=True)
    end = time.monotonic() + PATIENCE_S
    while _kind_of(phone_stage, mid) != EventKind.TOMBSTONE:
        assert time.monotonic() < end, "not erased"
        await asyncio.sleep(0.01)
    [gone] = await deleted(bruno, phone_stage.chat_id)
    assert gone.mid == mid


def _kind_of(stage: Stage, mid: bytes) -> int:
    with stage.evil.database() as db:
        kind: int = db.execute("SELECT kind FROM event WHERE mid = ?", (mid,)).fetchone()[0]
    return kind


async def test_who_never_saw_a_deleted_message_sees_that_its_author_deleted_it(stage: Stage) -> None:
    ana = await stage.open("ana")
    mid = await ana.send(stage.chat_id, "nunca leído")
    sent = await ana.client.chat(stage.chat_id).delete(mid, for_all=True)
    assert sent is not None
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), PATIENCE_S)
    end = time.monotonic() + PATIENCE_S
    while _kind_of(stage, mid) != EventKind.TOMBSTONE:
        assert time.monotonic() < end, "not erased"
        await asyncio.sleep(0.01)
    bruno = await stage.open("bruno")
    [gone] = await deleted(bruno, stage.chat_id)
    assert (gone.mid, gone.sender.handle) == (mid, "ana")
    assert Cause.REMOVED_BY_SERVER not in await bruno.places(stage.chat_id)
    assert bruno.warnings() == []


class EraseToo(Rule):
    """A second message is served as a tombstone as well: the server's own deed."""

    def __init__(self, victim: bytes, text_mid: bytes) -> None:
        self._victim = victim
        self._mid = text_mid

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if to == self._victim and event.kind == EventKind.MESSAGE:
            outer = decode_outer(bytes(event.body))
            if outer.mid == self._mid:
                body = encode([outer.session_id, outer.idx, 1])
                yield msgspec.structs.replace(event, kind=EventKind.TOMBSTONE, body=body)
                return
        yield event


async def test_a_delete_excuses_only_the_message_that_it_names(stage: Stage) -> None:
    """Ana deletes one; the server takes another and says that its author did it."""
    ana = await stage.open("ana")
    deleted_mid = await ana.send(stage.chat_id, "borrado")
    stolen = await ana.send(stage.chat_id, "robado")
    sent = await ana.client.chat(stage.chat_id).delete(deleted_mid, for_all=True)
    assert sent is not None
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), PATIENCE_S)
    stage.evil.rule = EraseToo(Uid(await stage_uid(stage, "bruno")), stolen)
    bruno = await stage.open("bruno")
    [gone] = await deleted(bruno, stage.chat_id)
    assert gone.mid == deleted_mid
    await bruno.has_place(stage.chat_id, Cause.REMOVED_BY_SERVER)


async def stage_uid(stage: Stage, name: str) -> bytes:
    """A person's id before their client is open."""
    with stage.evil.database() as db:
        uid: bytes = db.execute("SELECT uid FROM account WHERE handle = ?", (name,)).fetchone()[0]
    return uid


async def test_a_server_that_hides_a_delete_is_told_by_the_gap(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    mid = await ana.send(stage.chat_id, "se queda")
    await bruno.shows(stage.chat_id, "ana: se queda")

    class Hide(Rule):
        """Rows for Bruno are dropped; later ones close the gap."""

        dropped = 0
        hide = True

        def event(self, to: bytes, event: Event) -> Iterable[Event]:
            if to != bruno.uid:
                yield event
            elif self.hide:
                self.dropped += 1
            else:
                yield msgspec.structs.replace(event, seq=event.seq - self.dropped)

    stage.evil.rule = rule = Hide()
    sent = await ana.client.chat(stage.chat_id).delete(mid, for_all=True)
    assert sent is not None
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), PATIENCE_S)
    rule.hide = False
    await ana.send(stage.chat_id, "otra cosa")
    await bruno.warned("messages_missing")


async def test_changes_made_offline_arrive_later_in_their_order(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    ana = await stage.open("ana")
    mid = await ana.send(stage.chat_id, "uno")
    await bruno.shows(stage.chat_id, "ana: uno")
    await ana.client._engine.stop()
    chat = ana.client.chat(stage.chat_id)
    await chat.edit(mid, "dos")
    await chat.react(mid, "🎉")
    answer = await chat.send_text("y respondo", reply_to=mid)
    await chat.set_timer(3600)
    await chat.send_text("con tiempo")
    ana.client._engine.start()
    await becomes(bruno, stage.chat_id, mid, "dos")
    await bruno.shows(stage.chat_id, "ana: y respondo", "ana: con tiempo")
    message, reply = await one(bruno, stage.chat_id, mid), await one(bruno, stage.chat_id, answer.mid)
    assert [(r.person.handle, r.emoji) for r in message.reactions] == [("ana", "🎉")]
    assert reply.reply is not None
    assert (reply.reply.mid, reply.reply.text) == (mid, "dos")
    assert (await bruno.timeline(stage.chat_id))[-1].expire_s == 3600
    assert await bruno.client.chat(stage.chat_id).timer() == 3600


async def test_a_read_message_disappears_from_both_devices(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.client.chat(stage.chat_id).set_timer(1)
    await ana.send(stage.chat_id, "un segundo")
    await bruno.shows(stage.chat_id, "ana: un segundo")
    place = (await bruno.timeline(stage.chat_id))[-1]
    await bruno.client.chat(stage.chat_id).mark_read(place.order)

    def left(tx: Tx) -> int:
        count: int = tx.meta._db.value("SELECT count(*) FROM messages WHERE text = 'un segundo'")
        return count

    for actor in (ana, bruno):
        end = time.monotonic() + PATIENCE_S
        while await actor.read(left):
            assert time.monotonic() < end, "still there"
            await asyncio.sleep(0.05)


async def test_an_admin_deletes_for_all_and_a_member_does_not(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    group = await ana.client.create_group("admins", ["bruno"])
    await hear(ana, bruno, group.chat_id, "de ana")
    await hear(bruno, ana, group.chat_id, "de bruno")
    anas, brunos = [m.mid for m in await ana.timeline(group.chat_id) if m.kind is MessageKind.TEXT]
    await forge(bruno, group.chat_id, DELETE, DeleteBody(), (ana.uid, anas))
    sent = await ana.client.chat(group.chat_id).delete(brunos, for_all=True)
    assert sent is not None
    [gone] = await deleted(bruno, group.chat_id)
    assert (gone.mid, gone.deleted_by and gone.deleted_by.handle) == (brunos, "ana")
    await hear(ana, bruno, group.chat_id, "fin")
    for actor in (ana, bruno):
        assert (await one(actor, group.chat_id, anas)).text == "de ana"
    end = time.monotonic() + PATIENCE_S
    while _kind_of(stage, brunos) != EventKind.TOMBSTONE:
        assert time.monotonic() < end, "not erased"
        await asyncio.sleep(0.01)


async def test_a_groups_timer_is_an_event_that_its_owner_signs(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    group = await ana.client.create_group("efímeros", ["bruno"])
    assert await ana.client.chat(group.chat_id).set_timer(3600) is None
    await hear(ana, bruno, group.chat_id, "con tiempo")
    assert (await bruno.timeline(group.chat_id))[-1].expire_s == 3600
    assert await bruno.client.chat(group.chat_id).timer() == 3600
    await bruno.send(group.chat_id, "también")
    assert (await bruno.timeline(group.chat_id))[-1].expire_s == 3600
