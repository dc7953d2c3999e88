"""Missing sessions without a server: who is asked, who gets an answer, what is taken of it, and what it heals."""

from __future__ import annotations

import pytest

from mensajeria.client.api import Cause, Lost, MessageChanged
from mensajeria.client.core.ladder import LOST_AFTER_MS
from mensajeria.client.engine.envelopes import HEALED, Mail
from mensajeria.client.engine.healing import FORWARDED, WITHHELD
from mensajeria.client.engine.letters import KEY_REQUEST, ROOM_KEY
from mensajeria.client.engine.waiting_rows import give_up
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import KeyRequestRow
from mensajeria.client.store.values import RowOutcome
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.records import KeyRequest
from mensajeria.protocol.records_healing import ForwardedKey, KeyWithheld
from tests.client.engine.healing_scene import Scene, as_letter, ask, due, scene, session_of, written
from tests.client.engine.stations import Station

__all__ = ["scene"]


async def counters(desk: Station) -> dict[str, int]:
    return await desk.store.read(lambda tx: tx.health.counters(HEALED))


# --- asking


async def test_a_missing_session_is_asked_for_at_the_own_devices_and_the_members(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")
    await scene.bruno_phone.read(scene.chat, 1, rows)
    letters = await due(scene.bruno_phone)
    assert {letter.type for letter in letters} == {KEY_REQUEST}
    assert letters[0].did == scene.bruno.me.did
    ana, bruno = scene.ana.me, scene.bruno.me
    assert {letter.did: letter.uid for letter in letters} == {
        bruno.did: bruno.uid, ana.did: ana.uid, scene.ana_phone.me.did: ana.uid,
    }  # fmt: skip
    for letter in letters:
        asked = decode_record(KeyRequest, letter.content)
        assert (asked.chat_id, asked.session_id, asked.index) == (scene.chat, session_of(rows[0]), 0)
        assert (asked.uid, asked.did) == (letter.uid, letter.did)


async def test_nobody_but_the_own_devices_is_asked_before_the_chat_was_accepted(scene: Scene) -> None:
    phone = scene.bruno_phone
    await phone.store.run(lambda tx: tx.chats.set_accepted(scene.chat, accepted=False))
    rows, _ = await written(scene, "hola")
    await phone.read(scene.chat, 1, rows)
    assert [letter.did for letter in await due(phone)] == [scene.bruno.me.did]


async def test_who_cannot_help_is_not_asked_again_for_a_day(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await due(phone)
    (letter,) = await ask(scene.bruno, phone.address, session_of(rows[0]), scene.chat)
    assert (letter.type, decode_record(KeyWithheld, letter.content).reason) == (WITHHELD, "unknown")
    await phone.take(scene.bruno, letter)
    assert scene.bruno.me.did not in {one.did for one in await due(phone)}
    phone.clock.advance(24 * 3600 + 1)
    assert scene.bruno.me.did in {one.did for one in await due(phone)}


# --- answers that heal


async def test_an_own_device_forwards_a_session_and_every_waiting_row_opens(scene: Scene) -> None:
    rows, keys = await written(scene, "uno", "dos", "tres")
    await scene.bruno.take(scene.ana, keys[scene.bruno.me.did])
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    assert await phone.texts(scene.chat) == ["<waiting>"] * 3
    (letter,) = await ask(scene.bruno, phone.address, session_of(rows[0]), scene.chat)
    assert letter.type == FORWARDED
    mail = await phone.take(scene.bruno, letter)
    assert await phone.texts(scene.chat) == ["uno", "dos", "tres"]
    assert [event.message.text for event in mail.events if isinstance(event, MessageChanged)] == ["uno", "dos", "tres"]
    assert await counters(phone) == {"own_device": 3}
    assert await phone.store.read(lambda tx: tx.requests.all()) == ()


async def test_the_authors_device_gives_its_signed_key(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    (letter,) = await ask(scene.ana, phone.address, session_of(rows[0]), scene.chat)
    assert letter.type == ROOM_KEY
    await phone.take(scene.ana, letter)
    assert await phone.texts(scene.chat) == ["hola"]
    assert await counters(phone) == {"author": 1}


async def test_another_members_device_may_help_with_a_session_that_is_not_its_own(scene: Scene) -> None:
    """Ana's phone has the session of her laptop and gives it to Bruno's phone."""
    rows, keys = await written(scene, "hola")
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    (letter,) = await ask(scene.ana_phone, phone.address, session_of(rows[0]), scene.chat)
    assert letter.type == FORWARDED
    await phone.take(scene.ana_phone, letter)
    assert await phone.texts(scene.chat) == ["hola"]
    assert await counters(phone) == {"member": 1}


async def test_a_key_from_a_later_index_opens_what_it_can_and_the_rest_is_asked_for_still(scene: Scene) -> None:
    rows, keys = await written(scene, "uno", "dos", "tres")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await scene.bruno.take(scene.ana, keys[scene.bruno.me.did])
    (letter,) = await ask(scene.bruno, phone.address, session_of(rows[0]), scene.chat, index=2)
    assert decode_record(ForwardedKey, letter.content).first_index == 2
    await phone.take(scene.bruno, letter)
    assert await phone.texts(scene.chat) == ["<waiting>", "<waiting>", "tres"]
    (request,) = await phone.store.read(lambda tx: tx.requests.all())
    assert request.idx == 0
    (rest,) = await ask(scene.bruno, phone.address, session_of(rows[0]), scene.chat, index=request.idx)
    await phone.take(scene.bruno, rest)
    assert await phone.texts(scene.chat) == ["uno", "dos", "tres"]


@pytest.mark.slow
async def test_more_rows_than_one_page_open_at_once(scene: Scene) -> None:
    rows, keys = await written(scene, *(str(n) for n in range(520)))
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await phone.take(scene.ana, keys[phone.me.did])
    left = await phone.store.read(lambda tx: tx.health.rows())
    assert left == {}


async def test_what_was_given_up_opens_when_the_key_comes_after_all(scene: Scene) -> None:
    rows, keys = await written(scene, "tarde")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await phone.do(lambda tx, out: give_up(tx, out, scene.chat, session_of(rows[0])))
    assert await phone.texts(scene.chat) == ["<lost>"]
    assert await phone.store.read(lambda tx: tx.health.rows()) == {RowOutcome.LOST: 1}
    await phone.take(scene.ana, keys[phone.me.did])
    assert await phone.texts(scene.chat) == ["tarde"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (("unknown", "unknown", "unknown"), Lost.UNKNOWN),
        (("unknown", "refused", "unknown"), Lost.REFUSED),
        (("unknown", "refused"), Lost.SILENT),
    ],
)
async def test_what_was_given_up_says_what_was_tried(scene: Scene, answers: tuple[str, ...], why: Lost) -> None:
    rows, _ = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await due(phone)
    for one, reason in zip((scene.bruno, scene.ana, scene.ana_phone), answers, strict=False):
        withheld = KeyWithheld(chat_id=scene.chat, session_id=session_of(rows[0]), reason=reason)
        await phone.take(one, as_letter(phone, WITHHELD, withheld))

    def lose(tx: Tx, out: Mail) -> None:
        (request,) = tx.requests.all()
        found = phone.healer.why_lost(tx, request)
        give_up(tx, out, scene.chat, session_of(rows[0]), found)

    await phone.do(lose)
    (message,) = (await phone.store.read(lambda tx: tx.messages.page(scene.chat))).messages
    assert (message.cause, message.params["why"]) == (Cause.LOST, why.value)


async def test_a_question_ends_when_everybody_has_answered(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await due(phone)

    def request(tx: Tx, _: Mail) -> tuple[KeyRequestRow, bool]:
        (row,) = tx.requests.all()
        return row, phone.healer.all_answered(tx, row)

    withheld = KeyWithheld(chat_id=scene.chat, session_id=session_of(rows[0]), reason="unknown")
    for one in (scene.bruno, scene.ana):
        await phone.take(one, as_letter(phone, WITHHELD, withheld))
        assert (await phone.do(request))[1] is False
    await phone.take(scene.ana_phone, as_letter(phone, WITHHELD, withheld))
    assert (await phone.do(request))[1] is True
    assert LOST_AFTER_MS == 7 * 24 * 3600 * 1000
