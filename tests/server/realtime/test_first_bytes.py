"""Upgrades go straight to the WebSocket's protocol, and only what uvicorn would have read as the same upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest

from mensajeria.server import http_front
from mensajeria.server.http_front import BoundedHttp
from mensajeria.server.realtime import first_bytes
from mensajeria.server.realtime.first_bytes import UPGRADE_MAX, FirstBytes, is_upgrade
from mensajeria.server.realtime.picows_front import protocol_class

HEADERS = (
    b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HEADERS + b"\r\n"
HELLO = b"\x82\x85\x00\x00\x00\x00hello"
"""A masked binary frame of a client."""


class Echo(WSListener):
    """Sends back what it gets."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


@dataclass
class Front:
    """A server that echoes, at `port`; who read what it got first."""

    state: Any
    port: int = 0
    by_uvicorn: int = 0
    asked: list[WSUpgradeRequest] = field(default_factory=list)

    async def talk(self, *pieces: bytes, count: int = 1 << 16) -> bytes:
        """What comes back, up to `count` bytes or the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            got = b""
            while len(got) < count and (more := await asyncio.wait_for(reader.read(count), 5)):
                got += more
            return got
        finally:
            writer.close()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - uvicorn's set tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def front(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    async with serving(monkeypatch) as made:
        yield made


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    made = Front(uvicorn.server.ServerState())

    def listener(_transport: asyncio.BaseTransport, request: WSUpgradeRequest) -> WSListener:
        made.asked.append(request)
        return Echo()

    class Counted(BoundedHttp):
        def __init__(self, *arguments: Any) -> None:
            made.by_uvicorn += 1
            super().__init__(*arguments)

    monkeypatch.setattr(first_bytes, "BoundedHttp", Counted)
    config = uvicorn.Config(FastAPI(openapi_url=None), http=FirstBytes, ws=protocol_class(listener), log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(lambda: FirstBytes(config, made.state, {}), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        for connection in list(made.state.connections):
            connection.shutdown()
        server.close()


async def test_an_upgrade_goes_straight(front: Front) -> None:
    got = await front.talk(UPGRADE, count=100)
    assert got.startswith(b"HTTP/1.1 101 ")
    assert front.by_uvicorn == 0


async def test_what_follows_is_the_websockets(front: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HELLO)
    assert await reader.readexactly(7) == b"\x82\x05hello"
    writer.close()


async def test_an_upgrade_in_pieces_takes_the_other_way_to_the_same_place(front: Front) -> None:
    got = await front.talk(UPGRADE[:30], UPGRADE[30:], count=100)
    assert got.startswith(b"HTTP/1.1 101 ")
    assert front.by_uvicorn == 1


async def test_an_upgrade_that_is_too_large_takes_the_other_way(front: Front) -> None:
    padded = UPGRADE[:-2] + b"X-Padding: " + b"x" * UPGRADE_MAX + b"\r\n\r\n"
    assert (await front.talk(padded, count=100)).startswith(b"HTTP/1.1 101 ")
    assert front.by_uvicorn == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_any_other_request_is_uvicorns(front: Front, request_: bytes) -> None:
    assert (await front.talk(request_, count=40)).startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
    assert front.by_uvicorn == 1


async def test_who_says_nothing_is_closed(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_front, "HEAD_S", 0.1)
    assert await front.talk() == b""
    assert not front.state.connections


async def test_a_server_that_ends_closes_who_has_said_nothing(front: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    await until(lambda: bool(front.state.connections))
    for connection in list(front.state.connections):
        connection.shutdown()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_who_leaves_without_a_word_is_forgotten(front: Front) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    await until(lambda: bool(front.state.connections))
    writer.close()
    await until(lambda: not front.state.connections)


class Parsed:
    """What uvicorn's parser makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.whole = self.upgrades = False
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgrades = True
        self.method = parser.get_method()
        self.version = parser.get_http_version()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.whole = True


def read_by_picows(data: bytes) -> tuple[WSUpgradeRequest | None, bytes]:
    """The request as the WebSocket's protocol reads it, and its answer."""

    async def read() -> tuple[WSUpgradeRequest | None, bytes]:
        found: list[WSUpgradeRequest] = []
        loop = asyncio.get_running_loop()

        def listener(_transport: asyncio.BaseTransport, request: WSUpgradeRequest) -> WSListener:
            found.append(request)
            return Echo()

        made = protocol_class(listener)
        server = await loop.create_server(lambda: Feeding(made, data), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        answer = await asyncio.wait_for(reader.read(1 << 12), 5)
        writer.close()
        server.close()
        return (found[0] if found else None), answer

    return asyncio.run(read())


class Feeding(asyncio.Protocol):
    """Gives `data` to a new protocol of this class, as if it had come."""

    def __init__(self, made: type[asyncio.Protocol], data: bytes) -> None:
        self._made, self._data = made, data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._made()
        protocol.connection_made(transport)
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.data_received(self._data)


_LINES = st.sampled_from(
    [
        *(line + b"\r\n" for line in HEADERS.split(b"\r\n")[:-1]),
        b"upgrade:websocket\r\n",
        b"UPGRADE: WebSocket\r\n",
        b"Upgrade: h2c\r\n",
        b"Upgrade: websocket, h2c\r\n",
        b"Connection: close\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-Forwarded-For: 10.0.0.1\r\n",
        b"Origin: https://evil.example\r\n",
        b" folded: yes\r\n",
        b"No colon\r\n",
        b"Bare: cr\r \n",
        b"Space : before\r\n",
        b"High: \xff\r\n",
        b"Null: \x00\r\n",
        b"Empty:\r\n",
        b"\r\n",
        b"\n",
    ]
)
_FIRST = st.sampled_from(
    [b"GET /ws", b"GET /auth/ws", b"GET /ws?a=b", b"GET /wsx", b"GET  /ws", b"get /ws", b"GET /ws#x"]
)
_REQUESTS = st.builds(
    lambda first, version, lines, end: first + version + b"".join(lines) + end,
    _FIRST,
    st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"\r\n"]),
    st.lists(_LINES, max_size=8),
    st.sampled_from([b"\r\n", b"", b"\r\nmore"]),
)


_NEARLY = st.builds(
    lambda first, lines: first + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n",
    st.sampled_from([b"GET /ws", b"GET /auth/ws", b"GET /ws?a=b%20c", b"GET /ws?"]),
    st.permutations(HEADERS.splitlines(keepends=True)).flatmap(
        lambda lines: st.lists(_LINES, max_size=2).map(lambda more: [*more, *lines])
    ),
)


@given(_NEARLY)
@example(UPGRADE)
@example(UPGRADE + HELLO)
def test_what_goes_straight_is_what_uvicorn_reads(data: bytes) -> None:
    """No request is an upgrade to one of the two and something else to the other."""
    if not is_upgrade(data):
        return
    parsed, (request, answer) = Parsed(data), read_by_picows(data)
    assert (parsed.whole, parsed.method, parsed.version) == (True, b"GET", "1.1")
    assert parsed.upgrades or not answer.startswith(b"HTTP/1.1 101 ")
    if request is not None:
        assert request.path == parsed.url
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        assert headers == [(name, value.strip()) for name, value in parsed.headers]


@given(st.binary(max_size=300) | _REQUESTS)
def test_the_upgrade_is_the_whole_request(data: bytes) -> None:
    if is_upgrade(data):
        assert data.count(b"\r\n\r\n") == 1
        assert data.endswith(b"\r\n\r\n")


def test_many_upgrades_in_one_request_cost_no_more_than_it_is_long() -> None:
    lines = b"upgrade: websocket\r\n" * (UPGRADE_MAX // 20 - 1)
    assert not is_upgrade((b"GET /ws HTTP/1.1\r\n" + lines)[: UPGRADE_MAX - 1] + b"\x00")
