"""Frames that nobody's program would send: the server and the client stay whole, and say so with a close code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mensajeria.client.api import Cause
from mensajeria.client.transport.websocket import ConnectionLostError, WebSocket, connect
from mensajeria.protocol import auth, frames, limits
from mensajeria.protocol.auth import decode_from_server
from mensajeria.protocol.connection import ClientConnection
from mensajeria.protocol.errors import Close
from mensajeria.server.realtime.connection import Connection
from tests.attacks.fuzzing import bodies_of, values_of
from tests.attacks.stage import Actor, Stage, staged

EXAMPLES = 60
LATER = {f"ana: de vuelta {number}" for number in range(10)}
_quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Attack = Callable[[Stage], Coroutine[Any, Any, None]]


class Fuzz:
    """A stage that lives through all examples of one test: hypothesis is no coroutine, the stage is nothing else."""

    def __init__(self, snapshot: Path, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._context = staged(snapshot, folder)
        self.stage = self.run(self._context.__aenter__())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        try:
            self.run(self._context.__aexit__(None, None, None))
        finally:
            self._runner.close()


@pytest.fixture
def fuzz(snapshot: Path, tmp_path: Path) -> Any:
    made = Fuzz(snapshot, tmp_path)
    yield made
    made.close()


async def healthy(stage: Stage) -> None:
    """The server answers, and people can still write to each other."""
    async with httpx.AsyncClient(base_url=stage.evil.url) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200


async def open_socket(stage: Stage, path: str) -> WebSocket:
    return await connect(f"ws://127.0.0.1:{stage.evil.port}{path}", tls=None, max_message=limits.MAX_FRAME)


async def ending(socket: WebSocket) -> int:
    """Let the server answer what it wants, then the code of its close."""
    try:
        async with asyncio.timeout(5):
            while True:
                await socket.receive()
    except ConnectionLostError as lost:
        return lost.code


# --------------------------------------------------------------------------------------------------- the server


def test_bytes_from_nobody_close_the_connection(fuzz: Fuzz) -> None:
    """Before the hello was proven: everything but a hello is refused."""

    async def attack(data: bytes) -> None:
        socket = await open_socket(fuzz.stage, "/ws")
        socket.send(data)
        assert await ending(socket) in {Close.MALFORMED, Close.LOGIN_ENDED, Close.NEWER_VERSION}

    @_quickly
    @given(st.binary(max_size=300) | bodies_of(frames.Hello).map(_as_first_frame))
    def check(data: bytes) -> None:
        fuzz.run(attack(data))

    check()
    fuzz.run(healthy(fuzz.stage))


def _as_first_frame(body: bytes) -> bytes:
    return bytes(32) + b"\x01" + bytes(8) + len(body).to_bytes(4, "big") + body


def test_every_kind_of_frame_with_any_body_under_a_right_mac(fuzz: Fuzz) -> None:
    """A client that has been taken over: it may close its own connection, and no more than that."""
    ana, bruno = fuzz.run(fuzz.stage.pair())
    known = [fuzz.stage.chat_id, ana.uid, bruno.uid, bruno.client._context.me.did]

    async def attack(kind: int, body: bytes) -> None:
        socket, channel = await _device(fuzz.stage, ana)
        socket.send(channel.send_body(kind, await _not_ahead(ana, kind, body)))
        socket.send(channel.send(frames.Ping(7)))
        answer = await _until_pong_or_end(socket, channel)
        assert answer in {None, Close.MALFORMED, Close.TOO_BIG, Close.RATE_LIMITED, Close.ROLLED_BACK}
        socket.close()

    any_frame = st.one_of([st.tuples(st.just(kind), bodies_of(frame, known)) for kind, frame in frames.FRAMES.items()])

    @_quickly
    @given(any_frame | st.tuples(st.integers(0, 255), st.binary(max_size=100)))
    def check(frame: tuple[int, bytes]) -> None:
        fuzz.run(attack(*frame))

    check()
    fuzz.run(healthy(fuzz.stage))
    fuzz.run(ana.send(fuzz.stage.chat_id, "y sigue"))
    fuzz.run(bruno.shows(fuzz.stage.chat_id, "ana: y sigue"))
    texts = fuzz.run(bruno.texts(fuzz.stage.chat_id))
    assert texts == ["ana: hola", "bruno: qué tal", "ana: y sigue"]


async def _not_ahead(actor: Actor, kind: int, body: bytes) -> bytes:
    """The body; a count of encryptions that is ahead of the device's own would end the device itself."""
    if frames.FRAMES.get(kind) is not frames.PutDevice:
        return body
    try:
        put = msgspec.msgpack.decode(body, type=frames.PutDevice)
    except msgspec.DecodeError:
        return body
    gen = await actor.read(lambda tx: tx.own.gen())
    return msgspec.msgpack.encode(msgspec.structs.replace(put, gen=min(put.gen, gen)))


async def _device(stage: Stage, actor: Actor) -> tuple[WebSocket, ClientConnection]:
    """A second connection of the actor's device, past its welcome."""
    keeper, me = actor.client._engine._keeper, actor.client._context.me
    channel = ClientConnection(
        await keeper.channel_key(),
        did=me.did,
        jwt=(await keeper.credentials()).access_token,
        nonce=os.urandom(32),
        gen=await actor.read(lambda tx: tx.own.gen()),
        server_id=me.server_id,
    )
    socket = await open_socket(stage, "/ws")
    socket.send(channel.hello())
    channel.receive(await socket.receive())
    return socket, channel


async def _until_pong_or_end(socket: WebSocket, channel: ClientConnection) -> int | None:
    try:
        async with asyncio.timeout(10):
            while not isinstance(channel.receive(await socket.receive()), frames.Pong):
                pass
    except ConnectionLostError as lost:
        return lost.code
    return None


async def _converse(socket: WebSocket, messages: list[bytes]) -> int | None:
    """Say everything and take the answers; the code of the close if there was one."""
    try:
        async with asyncio.timeout(10):
            await socket.receive()
            for message in messages:
                socket.send(message)
                decode_from_server(await socket.receive())
    except ConnectionLostError as lost:
        return lost.code
    return None


def test_every_message_of_a_login_in_any_order_with_any_content(fuzz: Fuzz) -> None:
    kinds: list[type[msgspec.Struct]] = [
        auth.RegisterFinish,
        auth.LoginStart,
        auth.LoginFinish,
        auth.DeviceAdd,
        auth.DeviceLoginMessage,
    ]
    any_message = st.one_of([bodies_of(kind) for kind in kinds])

    async def attack(messages: list[bytes]) -> None:
        socket = await open_socket(fuzz.stage, "/auth/ws")
        assert await _converse(socket, messages) in {None, Close.MALFORMED, Close.RATE_LIMITED}
        socket.close()

    @_quickly
    @given(st.lists(any_message, min_size=1, max_size=4))
    def check(messages: list[bytes]) -> None:
        fuzz.run(attack(messages))

    check()
    fuzz.run(healthy(fuzz.stage))
    with fuzz.stage.evil.database() as db:
        assert db.execute("SELECT count(*) FROM account").fetchone() == (2,)


# --------------------------------------------------------------------------------------------------- the client


def test_a_client_survives_any_frame_that_a_lying_server_sends(fuzz: Fuzz) -> None:
    """Well-formed, under a right MAC, about real chats and people, and false: nothing of it is shown as genuine."""
    ana, bruno = fuzz.run(fuzz.stage.pair())
    known = [fuzz.stage.chat_id, ana.uid, bruno.uid, bruno.client._context.me.did]
    pushed = [frames.Batch, frames.Typing, frames.ListChanged, frames.OtkLow, frames.Ping, frames.Pong, frames.Error]
    answers = [frames.SyncPage, frames.Events, frames.PutResult, frames.MailPage, frames.SessionEnded, frames.Drain]

    async def attack(frame: Any) -> None:
        for connection in fuzz.stage.evil.connections(bruno.uid):
            Connection.send(connection, frame)
        await asyncio.sleep(0.01)
        task = bruno.client._engine._task
        assert task is not None
        assert not task.done()
        if not fuzz.stage.evil.connections(bruno.uid):
            bruno.client.retry_now()
            await asyncio.sleep(0.05)

    @settings(_quickly, max_examples=3 * EXAMPLES)
    @given(st.one_of([values_of(kind, known) for kind in pushed] * 2 + [values_of(kind, known) for kind in answers]))
    def check(frame: Any) -> None:
        fuzz.run(attack(frame))

    check()
    genuine = {"ana: hola", "bruno: qué tal"}
    assert set(fuzz.run(bruno.texts(fuzz.stage.chat_id))) == genuine
    bruno.check()
    again = fuzz.run(_honest_again(fuzz.stage, ana, bruno))
    shown = set(fuzz.run(again.texts(fuzz.stage.chat_id)))
    assert genuine <= shown <= genuine | LATER
    if LATER - shown:
        told = {Cause.MISSING, Cause.TAMPERED, Cause.WAITING}
        assert told & set(fuzz.run(again.places(fuzz.stage.chat_id))) or "log_rolled_back" in again.warnings()


async def _honest_again(stage: Stage, ana: Actor, bruno: Actor) -> Actor:
    """From its own log: what is genuine arrives, or the client says that false rows stood in its place."""
    await bruno.close()
    for text in sorted(LATER):
        await ana.send(stage.chat_id, text.removeprefix("ana: "))
    again = await stage.open("bruno")
    for _ in range(1000):
        if max(LATER) in await again.texts(stage.chat_id) or "log_rolled_back" in again.warnings():
            return again
        await asyncio.sleep(0.01)
    raise AssertionError(await again.timeline(stage.chat_id))
