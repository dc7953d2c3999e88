"""Somebody on the network, below or without TLS: changed, repeated, reordered, cut or reflected bytes do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import httpx
import pytest

from mensajeria.client.api import ConnectionPhase
from mensajeria.protocol import api
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import MessageOuter
from tests.attacks.evil import Network, flipped
from tests.attacks.stage import Actor, Stage


class Once(Network):
    """Does something to one frame of one device, after some frames have passed; then lets everything through."""

    def __init__(self, did: bytes, after: int, *, to_client: bool) -> None:
        self._did = did
        self._after = after
        self._client = to_client
        self.passed: list[bytes] = []
        self.reflected: list[bytes] = []
        self.done = 0

    def attack(self, data: bytes) -> Iterable[bytes]:
        raise AssertionError("an attack says what it does")

    def to_client(self, did: bytes, data: bytes) -> Iterable[bytes]:
        return self._step(did, data) if self._client else [data]

    def to_server(self, did: bytes, data: bytes) -> Iterable[bytes]:
        self.reflected.append(data)
        return [data] if self._client else self._step(did, data)

    def _step(self, did: bytes, data: bytes) -> Iterable[bytes]:
        if did != self._did or self.done:
            return [data]
        self.passed.append(data)
        if len(self.passed) <= self._after:
            return [data]
        self.done += 1
        return self.attack(data)


class FlipTag(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [flipped(data, 5)]


class FlipType(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [flipped(data, 32)]


class FlipSequence(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [flipped(data, 40)]


class FlipBody(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [flipped(data, -2)]


class Repeat(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [data, data]


class Older(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [data, self.passed[0]]


class Swap(Once):
    """The frame waits for the one behind it."""

    def __init__(self, did: bytes, after: int, *, to_client: bool) -> None:
        super().__init__(did, after, to_client=to_client)
        self._kept: bytes | None = None

    def _step(self, did: bytes, data: bytes) -> Iterable[bytes]:
        if did == self._did and self._kept is not None:
            kept, self._kept = self._kept, None
            return [data, kept]
        return super()._step(did, data)

    def attack(self, data: bytes) -> Iterable[bytes]:
        self._kept = data
        return []


class Drop(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return []


class Cut(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [data[: len(data) // 2]]


class Grow(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [data + b"\0"]


class Garbage(Once):
    def attack(self, data: bytes) -> Iterable[bytes]:
        return [b"\0" * 60]


class Reflect(Once):
    """The other side's own frame comes back."""

    def attack(self, data: bytes) -> Iterable[bytes]:
        return [self.reflected[-1] if self._client else self.passed[0]]


ATTACKS = [FlipTag, FlipType, FlipSequence, FlipBody, Repeat, Older, Swap, Drop, Cut, Grow, Garbage, Reflect]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("to_client", [True, False], ids=["to the client", "to the server"])
async def test_every_message_arrives_once_whatever_happens_to_one_frame(
    stage: Stage, attack: type[Once], to_client: bool
) -> None:
    ana, bruno = await stage.pair()
    victim = bruno if to_client else ana
    stage.evil.network = network = attack(victim.client._context.me.did, 1, to_client=to_client)
    written = [f"texto {number}" for number in range(8)]
    for text in written:
        await ana.send(stage.chat_id, text, wait=False)
        await asyncio.sleep(0.03)
    await victim.until(lambda: network.done, "the attack")
    await bruno.shows(stage.chat_id, *[f"ana: {text}" for text in written])
    assert (await bruno.texts(stage.chat_id)).count("ana: texto 2") == 1
    # A frame that was lost or changed ends the connection: nothing goes on as if it had not been.
    if attack is not Drop:
        await victim.until(lambda: _reconnected(victim), "the connection was closed and made again")


def _reconnected(actor: Actor) -> bool:
    phases = [event.phase for event in actor.events if hasattr(event, "phase")]
    return phases.count(ConnectionPhase.ONLINE) >= 2


async def test_frames_of_one_connection_do_not_work_on_another(stage: Stage) -> None:
    ana, bruno = await stage.pair()

    class Keep(Network):
        def __init__(self) -> None:
            self.frames: list[bytes] = []
            self.replay: list[bytes] = []

        def to_server(self, did: bytes, data: bytes) -> Iterable[bytes]:
            if did == ana.client._context.me.did:
                if self.replay:
                    replay, self.replay = self.replay, []
                    return [*replay, data]
                self.frames.append(data)
            return [data]

    stage.evil.network = keep = Keep()
    await ana.send(stage.chat_id, "una vez")
    before = len(stage.evil.seen.frames_of(ana.uid, MessageOuter))
    keep.replay = list(keep.frames)
    stage.evil.drop_connections()
    await ana.send(stage.chat_id, "otra")
    await bruno.shows(stage.chat_id, "ana: una vez", "ana: otra")
    assert len(stage.evil.seen.frames_of(ana.uid, MessageOuter)) <= before + 2
    assert (await bruno.texts(stage.chat_id)).count("ana: una vez") == 1


# ------------------------------------------------------------------------------------------------------- REST


async def signed_call(actor: Actor, method: str, target: str, body: bytes, counter: int) -> dict[str, str]:
    credentials = await actor.client._engine._keeper.credentials()
    return {
        "Authorization": f"Bearer {credentials.access_token}",
        "Content-Type": "application/json",
        api.MAC_HEADER: api.rest_mac(credentials.rest_key.reveal(), method, target, body, counter),
    }


async def test_a_request_cannot_be_replayed_altered_or_redirected(stage: Stage) -> None:
    ana = await stage.open("ana")
    target = f"/v1/chats/{b64(stage.chat_id)}/answer"
    body = b'{"accept":true}'
    await ana.client._engine.stop()  # a call of its own would use up the next counter meanwhile
    counter = await ana.client._engine._keeper.next_counter()
    headers = await signed_call(ana, "PUT", target, body, counter)
    async with httpx.AsyncClient(base_url=stage.evil.url) as http:
        altered = await http.put(target, content=b'{"accept":false}', headers=headers)
        moved = await http.put(f"/v1/chats/{b64(bytes(32))}/answer", content=body, headers=headers)
        unsigned = await http.put(target, content=body, headers={**headers, api.MAC_HEADER: ""})
        first = await http.put(target, content=body, headers=headers)
        second = await http.put(target, content=body, headers=headers)
        nobody = await http.put(target, content=body)
    assert [one.status_code for one in (altered, moved, unsigned, nobody)] == [401] * 4
    assert first.status_code == 204
    assert (second.status_code, second.json()["code"]) == (401, "replayed")
