"""A device on a real socket that does exactly what a test says: the protocol's own client end, without a client."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport, ws_connect

from mensajeria.protocol import frames, limits
from mensajeria.protocol.connection import ClientConnection, Welcomed
from mensajeria.protocol.records import MessageOuter
from tests.server.people import Person
from tests.server.process import World

F = TypeVar("F")
TIMEOUT_S = 10.0


class Closed(Exception):  # noqa: N818 - an event, not an error
    """The server has closed the connection."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def close_code(frame: WSFrame) -> int:
    """The code as a number; picows gives its enumeration only for the codes that it knows."""
    code: Any = frame.get_close_code()
    return int(code)


class _Socket(WSListener):
    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[bytes | Closed] = asyncio.Queue()
        self.close: Closed | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self.messages.put_nowait(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close = Closed(close_code(frame), frame.get_close_reason() or "")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.messages.put_nowait(self.close or Closed(1006))


class Device:
    """One connection."""

    opened: ClassVar[list[Device]] = []
    """All of the running test: the fixture `no_socket_left` closes them."""

    def __init__(self, transport: WSTransport, socket: _Socket, channel: ClientConnection) -> None:
        Device.opened.append(self)
        self.transport = transport
        self.channel = channel
        self._socket = socket
        self.items: list[Any] = []
        """Batch items and frames that came while something else was awaited."""

    @classmethod
    async def connect(cls, world: World, person: Person, *, gen: int = 0, jwt: str | None = None) -> Device:
        """Open the socket; nothing is sent yet."""
        channel = ClientConnection(
            person.ck,
            did=person.did,
            jwt=world.token(person) if jwt is None else jwt,
            nonce=secrets.token_bytes(32),
            gen=gen,
            server_id=world.facts.server_id,
        )
        transport, socket = await ws_connect(_Socket, world.server.websocket)
        assert isinstance(socket, _Socket)
        return cls(transport, socket, channel)

    @classmethod
    async def online(cls, world: World, person: Person, *, gen: int = 0) -> Device:
        """Connect, say hello, and send one frame, so that the hello has its effect."""
        device = await cls.connect(world, person, gen=gen)
        await device.welcome()
        await device.ping()
        return device

    async def welcome(self) -> None:
        """Hello and its answer."""
        self.raw(self.channel.hello())
        assert isinstance(self.channel.receive(await self.receive_raw()), Welcomed)

    async def ping(self) -> None:
        """Wait until the server has handled everything sent so far."""
        number = secrets.randbits(32)
        self.send(frames.Ping(number))
        pong = await self.expect(frames.Pong)
        assert pong.n == number

    def send(self, frame: msgspec.Struct) -> bytes:
        """Send a frame; the bytes that were sent."""
        data = self.channel.send(frame)
        self.raw(data)
        return data

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transport.send(WSMsgType.BINARY, data)

    async def receive_raw(self, within_s: float = TIMEOUT_S) -> bytes:
        """The next message; raises Closed."""
        message = await asyncio.wait_for(self._socket.messages.get(), within_s)
        if isinstance(message, Closed):
            raise message
        return message

    async def expect(self, kind: type[F], where: Callable[[F], bool] = lambda _one: True) -> F:
        """The next batch item or frame of a kind; others are kept in `items` for a later `expect`. Raises Closed."""
        while True:
            for index, item in enumerate(self.items):
                if isinstance(item, kind) and where(item):
                    del self.items[index]
                    return item
            frame = self.channel.receive(await self.receive_raw())
            self.items += frame.items if isinstance(frame, frames.Batch) else [frame]

    async def closed(self) -> Closed:
        """Wait for the close."""
        while True:
            try:
                await self.receive_raw()
            except Closed as closed:
                return closed

    async def is_quiet(self) -> bool:
        """True if, when everything sent was handled, nothing has come that nobody asked for."""
        await self.ping()
        return not self.items

    async def disconnect(self) -> None:
        """Drop the connection."""
        self.transport.disconnect(graceful=False)
        with contextlib.suppress(WSProtocolError):  # of a message that a test cut off
            await self.transport.wait_disconnected()


def outer(chat_id: bytes, mid: int | bytes, ct: bytes = b"c" * 100, *, epoch: int = 0) -> MessageOuter:
    """A message as the server sees it."""
    return MessageOuter(
        limits.PROTOCOL_VERSION,
        1,
        chat_id,
        epoch,
        bytes(32),
        0,
        mid if isinstance(mid, bytes) else mid.to_bytes(16, "big"),
        ct,
        bytes(32),
        0,
    )


@pytest.fixture(autouse=True)
async def no_socket_left() -> AsyncIterator[None]:
    """Close what the test has opened, in the loop it was opened in: for the conftest of every folder with devices."""
    yield
    while Device.opened:
        await Device.opened.pop().disconnect()
    await asyncio.sleep(0)
