"""A server that lies about prekeys: without the recipient device's own signed hybrid key nothing is sealed for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mensajeria.client.api import Cause
from mensajeria.crypto.device import DeviceKeys
from mensajeria.protocol.ids import Uid, b64, unb64
from mensajeria.protocol.membership import direct_chat_id
from tests.attacks.evil import Json, Rule, flipped
from tests.attacks.forging import Member, model, now_ms
from tests.attacks.stage import Stage

DAY_MS = 24 * 3600 * 1000


class Claims(Rule):
    """Changes every claimed bundle."""

    def __init__(self, change: Callable[[Json], Json]) -> None:
        self._change = change
        self.claimed = 0

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if path != "/v1/prekeys/claim":
            return answer
        self.claimed += 1
        return {"keys": [self._change(keys) for keys in answer["keys"]]}


def with_altered(name: str, part: str) -> Callable[[Json], Json]:
    def change(keys: Json) -> Json:
        signed = keys[name] or keys["fallback"]
        return {**keys, name: {**signed, part: b64(flipped(unb64(signed[part]), -1))}}

    return change


def _prekeys_of_the_server(name: str) -> Callable[[Json], Json]:
    """Keys whose private half the server has, signed by a device that it made."""
    eve = DeviceKeys.create(b"e" * 16).first_prekeys(now_ms())
    made: dict[str, Any] = {"one_time": eve.one_time[0], "fallback": eve.fallback, "pq": eve.pq}
    return lambda keys: {**keys, name: model(made[name])}


ATTACKS = {
    "hybrid key left out": lambda keys: {**keys, "pq": None},
    "hybrid key of the server": _prekeys_of_the_server("pq"),
    "hybrid key altered": with_altered("pq", "body"),
    "hybrid key badly signed": with_altered("pq", "sig"),
    "one-time key of the server": _prekeys_of_the_server("one_time"),
    "one-time key altered": with_altered("one_time", "body"),
    "fallback of the server": lambda keys: _prekeys_of_the_server("fallback")({**keys, "one_time": None}),
    "hybrid key shown as one-time key": lambda keys: {**keys, "one_time": keys["pq"]},
    "one-time key shown as fallback": lambda keys: {**keys, "fallback": keys["one_time"], "one_time": None},
    "nothing at all": lambda keys: {**keys, "pq": None, "one_time": None, "fallback": None},
    "another device's bundle": lambda keys: {**keys, "did": b64(b"x" * 16)},
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_false_prekeys_are_not_used(phone_stage: Stage, attack: str) -> None:
    """Bruno's new device is skipped; his other device gets the message all the same."""
    stage = phone_stage
    ana, bruno = await stage.pair()
    phone = await stage.open("phone")
    did = phone.client._context.me.did
    stage.evil.rule = rule = Claims(ATTACKS[attack])
    await ana.client._engine.directory.refresh(Uid(bruno.uid))
    await ana.change(lambda tx: tx.outbound.drop(stage.chat_id))  # the phone has the old session from the backup
    await ana.send(stage.chat_id, "¿me lees?")
    await bruno.shows(stage.chat_id, "ana: ¿me lees?")
    await asyncio.sleep(0.1)
    assert rule.claimed
    assert did not in stage.evil.seen.written_to(ana.uid)


async def test_a_device_that_was_skipped_gets_the_key_once_the_server_is_honest(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, bruno = await stage.pair()
    phone = await stage.open("phone")
    stage.evil.rule = Claims(ATTACKS["hybrid key left out"])
    await ana.client._engine.directory.refresh(Uid(bruno.uid))
    await bruno.close()  # it would hand the key on
    await ana.change(lambda tx: tx.outbound.drop(stage.chat_id))  # the phone has the old session from the backup
    await ana.send(stage.chat_id, "más tarde")
    await phone.has_place(stage.chat_id, Cause.WAITING)
    stage.evil.rule = Rule()
    stage.evil.drop_connections()  # it asks on reconnect, and is answered
    await phone.shows(stage.chat_id, "ana: más tarde")


async def test_an_expired_hybrid_key_is_not_used(stage: Stage) -> None:
    """The server keeps a key from long ago whose private half may have been stolen since."""
    eva = Member()
    ana = await stage.open("ana")
    stage.evil.rule = eva.rule
    await eva.enter_log(stage)
    chat = await _chat_with(stage, ana, eva)
    old = eva.device.first_prekeys(now_ms() - 60 * DAY_MS)
    stage.evil.rule = rule = Claims(lambda keys: keys)
    bundle = {"did": b64(eva.device.did), "one_time": model(old.one_time[0]), "fallback": None}
    assert old.pq is not None
    rule.rest = lambda to, method, path, answer: (  # type: ignore[method-assign]
        {"keys": [{**bundle, "pq": model(old.pq)}]} if path == "/v1/prekeys/claim" else answer  # type: ignore[arg-type]
    )
    await ana.client.chat(chat).send_text("con clave vieja")
    await asyncio.sleep(0.4)
    assert eva.device.did not in stage.evil.seen.written_to(ana.uid)


async def _chat_with(stage: Stage, ana: Any, eva: Member) -> bytes:
    """Ana has a chat with the member; the server, which helps, has not even registered it."""
    chat_id = direct_chat_id(ana.client._context.me.server_id, ana.uid, eva.uid)
    await ana.client._engine.directory.by_handle(eva.handle)
    await ana.change(
        lambda tx: tx.chats.ensure_direct(chat_id, Uid(eva.uid), accepted=True, note_to_self=False, now_ms=now_ms())
    )
    return chat_id


async def test_claims_without_end_get_the_fallback_key_and_lock_nobody_out(stage: Stage) -> None:
    """One-time keys are for people who are in a chat; over the limit the fallback key is given, never an error."""
    ana, bruno = await stage.pair()
    did = bruno.client._context.me.did
    answers = [(await ana.client._context.rest.prekeys.claim([did]))[0] for _ in range(14)]
    assert [answer.one_time is not None for answer in answers].count(True) <= 10
    assert all(answer.one_time or answer.fallback for answer in answers)
    assert all(answer.pq is not None for answer in answers)
    await ana.send(stage.chat_id, "sigue yendo")
    await bruno.shows(stage.chat_id, "ana: sigue yendo")
