"""The harness itself: with no hostile rule everything works, so that what fails elsewhere is the attack's doing."""

from __future__ import annotations

from mensajeria.client.api import MessageState
from tests.attacks.stage import Stage, check_words


async def test_without_a_rule_messages_arrive_and_nobody_is_warned(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    mid = await ana.send(stage.chat_id, "uno")
    await bruno.shows(stage.chat_id, "ana: hola", "bruno: qué tal", "ana: uno")
    await bruno.send(stage.chat_id, "dos")
    await ana.shows(stage.chat_id, "ana: uno", "bruno: dos")
    await ana.state(stage.chat_id, mid, MessageState.DELIVERED)
    assert ana.warnings() == bruno.warnings() == []
    assert await bruno.places(stage.chat_id) == []


async def test_with_a_second_device_every_device_gets_every_message(phone_stage: Stage) -> None:
    ana, bruno = await phone_stage.pair()
    phone = await phone_stage.open("phone")
    await ana.send(phone_stage.chat_id, "a los dos")
    await bruno.shows(phone_stage.chat_id, "ana: a los dos")
    await phone.shows(phone_stage.chat_id, "ana: a los dos")
    assert ana.warnings() == bruno.warnings() == phone.warnings() == []


def test_every_cause_has_a_sentence_in_both_languages() -> None:
    check_words()
