"""What a caller can make the HTTP side hold and wait for, over real sockets: slow, endless and senseless requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from mensajeria.kit.clock import FakeClock
from mensajeria.server import http_front
from mensajeria.server.http_front import HEAD_MAX, BoundedHttp
from mensajeria.server.main import create_app
from mensajeria.server.middleware import body_limit
from mensajeria.server.realtime.first_bytes import FirstBytes
from mensajeria.server.serve import _config
from mensajeria.server.settings import Settings

SHORT_S = 0.2
VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n"
REFRESH = b"POST /v1/auth/refresh HTTP/1.1\r\nHost: x\r\n"


@dataclass
class Caller:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    unread: bytes = b""

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer.

        As much as has come is read at once: who goes on sending to a server that has closed is reset behind the answer.
        """
        while b"\r\n\r\n" not in self.unread:
            await self._read_on()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        while len(self.unread) < length:
            await self._read_on()
        body, self.unread = self.unread[:length], self.unread[length:]
        return int(status.split()[1]), headers, body

    async def _read_on(self) -> None:
        more = await asyncio.wait_for(self.reader.read(65536), 5)
        assert more, "closed in the middle of an answer"
        self.unread += more

    async def ended(self) -> bool:
        """The other side closes, without another word."""
        try:
            return self.unread + await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionResetError:
            return True

    async def drip(self, piece: bytes) -> None:
        """Send one piece after the other until the other side has enough."""
        while not self.reader.at_eof():
            self.writer.write(piece)
            await asyncio.sleep(SHORT_S / 4)


@pytest.fixture(scope="module")
def config() -> uvicorn.Config:
    """The server's own, of an application that is not started: /version asks for nothing."""
    made = _config(create_app(Settings(), FakeClock()))
    made.load()
    return made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_front, "HEAD_S", SHORT_S)
    monkeypatch.setattr(http_front, "STALLED_S", SHORT_S)
    monkeypatch.setattr(body_limit, "BODY_S", SHORT_S)


@asynccontextmanager
async def listening(config: uvicorn.Config) -> AsyncIterator[int]:
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FirstBytes(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for connection in list(state.connections):
            connection.shutdown()
        server.close()


@pytest.fixture
async def caller(config: uvicorn.Config) -> AsyncIterator[Caller]:
    async with listening(config) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        yield Caller(reader, writer)
        writer.close()


async def test_who_says_nothing_is_sent_away(caller: Caller) -> None:
    assert await caller.ended()


@pytest.mark.parametrize("piece", [b"X: a\r\n", b"a"], ids=["headers", "one header"])
async def test_a_head_that_drips_is_refused(caller: Caller, piece: bytes) -> None:
    caller.writer.write(VERSION + b"X: ")
    dripping = asyncio.create_task(caller.drip(piece))
    status, headers, body = await caller.answer()
    dripping.cancel()

    assert (status, headers["content-type"]) == (408, "application/problem+json")
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert await caller.ended()


@pytest.mark.parametrize(
    ("head", "piece"),
    [(b"Content-Length: 1000\r\n\r\n", b"a"), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n")],
    ids=["announced", "chunked"],
)
async def test_a_body_that_drips_is_refused(caller: Caller, head: bytes, piece: bytes) -> None:
    caller.writer.write(REFRESH + head)
    dripping = asyncio.create_task(caller.drip(piece))
    status, _, body = await caller.answer()
    dripping.cancel()

    assert (status, json.loads(body)["code"]) == (408, "unavailable")
    assert await caller.ended()


async def test_blank_lines_after_an_answer_keep_nothing_open(caller: Caller) -> None:
    caller.writer.write(VERSION + b"\r\n")
    assert (await caller.answer())[0] == 200
    dripping = asyncio.create_task(caller.drip(b"\r\n"))
    assert (await caller.answer())[0] == 408
    dripping.cancel()


@pytest.mark.parametrize("piece", [b"X: a\r\n" * 5000, b"a" * 30_000], ids=["many headers", "one header"])
async def test_an_endless_head_is_cut(caller: Caller, piece: bytes) -> None:
    caller.writer.write(VERSION + b"X: a")
    sent = 0
    while sent < 10 * HEAD_MAX and not caller.reader.at_eof() and not caller.writer.is_closing():
        caller.writer.write(piece)
        sent += len(piece)
        await asyncio.sleep(0.01)

    assert sent < 10 * HEAD_MAX


async def test_a_head_that_is_too_large_is_told(caller: Caller) -> None:
    caller.writer.write(VERSION + b"X: a\r\n" * (HEAD_MAX // 6 + 1))
    status, headers, body = await caller.answer()

    assert (status, headers["content-type"]) == (431, "application/problem+json")
    assert json.loads(body)["code"] == "too_large"


async def test_trailers_without_end_are_cut(caller: Caller) -> None:
    caller.writer.write(REFRESH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    for _ in range(10):
        caller.writer.write(b"X: a\r\n" * 5000)
    assert await caller.ended()


@pytest.mark.parametrize(
    "asked",
    [
        b"\x16\x03\x01 not http\r\n\r\n",
        b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        REFRESH + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        REFRESH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        VERSION + b"X: a\x00b\r\n\r\n",
    ],
    ids=["tls", "a tunnel", "two lengths", "two other lengths", "nul"],
)
async def test_what_is_no_http_gets_a_problem_document(caller: Caller, asked: bytes) -> None:
    caller.writer.write(asked)
    status, headers, body = await caller.answer()

    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(body)["code"] == "malformed"


async def test_requests_one_after_the_other_are_served(caller: Caller) -> None:
    for _ in range(3):
        caller.writer.write(VERSION + b"\r\n")
        assert (await caller.answer())[0] == 200
        await asyncio.sleep(SHORT_S * 0.7)


async def test_many_requests_in_one_piece_are_served(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_front, "HEAD_MAX", 1000)
    count = 2 * 1000 // len(VERSION)
    caller.writer.write((VERSION + b"\r\n") * count)
    for _ in range(count):
        assert (await caller.answer())[0] == 200


async def test_who_does_not_read_is_let_go() -> None:
    gone = asyncio.Event()

    async def endless(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        while not transports[0].is_closing():
            await send({"type": "http.response.body", "body": bytes(1 << 18), "more_body": True})  # type: ignore[operator]
        gone.set()

    config = uvicorn.Config(endless, lifespan="off", log_config=None, log_level="critical")
    config.load()
    transports: list[asyncio.Transport] = []

    class Remembering(BoundedHttp):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            transports.append(transport)
            super().connection_made(transport)

    server = await asyncio.get_running_loop().create_server(
        lambda: Remembering(config, uvicorn.server.ServerState(), {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1000)
    writer.write(VERSION + b"\r\n")
    assert await reader.read(10)
    await asyncio.wait_for(gone.wait(), 10)
    writer.close()
    server.close()


@dataclass
class Slow:
    """A request whose body comes piece by piece, and what it was answered."""

    pieces: asyncio.Queue[bytes]
    status: int = 0
    task: asyncio.Task[None] | None = None

    @classmethod
    def begin(cls, app: body_limit.BodyLimit, first: bytes) -> Slow:
        slow = cls(asyncio.Queue())
        slow.pieces.put_nowait(first)
        scope: dict[str, object] = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        slow.task = asyncio.create_task(app(scope, slow.receive, slow.send))
        return slow

    async def receive(self) -> dict[str, object]:
        piece = await self.pieces.get()
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def send(self, message: MutableMapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(str(message["status"]))

    async def end(self) -> int:
        self.pieces.put_nowait(b"")
        assert self.task is not None
        await self.task
        return self.status


async def test_bodies_that_nobody_has_signed_yet_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "HELD_MAX", 300_000)

    async def taking(_scope: object, receive: object, send: object) -> None:
        await receive()  # type: ignore[operator]
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]

    limited = body_limit.BodyLimit(taking)
    first = Slow.begin(limited, bytes(200_000))
    await asyncio.sleep(0)
    assert await Slow.begin(limited, bytes(200_000)).end() == 503
    assert await Slow.begin(limited, bytes(body_limit.SMALL)).end() == 204
    assert await first.end() == 204
    assert await Slow.begin(limited, bytes(200_000)).end() == 204
