"""The local socket: a text is handed over, and nothing that talks to it can harm the profile's process."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client import control
from mensajeria.client.api import SentMessage
from mensajeria.client.control import (
    MAX_BYTES,
    ControlServer,
    DownloadRequest,
    Failed,
    MalformedControlError,
    Request,
    SendFileRequest,
    SendRequest,
    Sent,
    decode_answer,
    decode_request,
    hand_over,
    hand_over_download,
    hand_over_file,
)
from mensajeria.client.errors import ClientError, ProfileError, StateError
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Mid
from tests.support.examples import examples

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets here")
SENT = SentMessage(ChatId(b"c" * 32), Mid(b"m" * 16))


class Handler:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.error: ClientError | None = None
        self.asked = asyncio.Semaphore(0)
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, request: Request) -> SentMessage | Path:
        self.requests.append(request)
        self.asked.release()
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        return Path(request.to) / "foto.jpg" if isinstance(request, DownloadRequest) else SENT


@pytest.fixture
async def handler(tmp_path: Path) -> AsyncIterator[Handler]:
    """A listening socket in `tmp_path`."""
    handler = Handler()
    async with ControlServer(handler) as server:
        assert await server.start(tmp_path)
        yield handler


async def in_use(folder: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        await hand_over(folder, to="bruno", text="hola", wait=True)
    assert caught.value.code == "profile_in_use"


async def test_a_text_is_handed_over(tmp_path: Path, handler: Handler) -> None:
    assert await hand_over(tmp_path, to="bruno", text="hola\nñ", wait=True) == SENT
    assert handler.requests == [SendRequest("bruno", "hola\nñ", True)]
    assert "hola" not in repr(handler.requests)


async def test_a_file_is_handed_over_by_its_path(tmp_path: Path, handler: Handler) -> None:
    path = Path("/casa/ana/foto.jpg")
    assert await hand_over_file(tmp_path, to="bruno", path=path, caption="mira", as_image=None, wait=True) == SENT
    assert handler.requests == [SendFileRequest("bruno", "/casa/ana/foto.jpg", "mira", None, True)]
    assert "mira" not in repr(handler.requests)


async def test_a_download_is_handed_over(tmp_path: Path, handler: Handler) -> None:
    saved = await hand_over_download(tmp_path, peer="bruno", mid=b"m" * 16, to=Path("/casa/ana"))
    assert saved == Path("/casa/ana/foto.jpg")
    assert handler.requests == [DownloadRequest("bruno", b"m" * 16, "/casa/ana")]


async def test_only_the_owner_may_connect(tmp_path: Path, handler: Handler) -> None:
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600


async def test_the_largest_text_passes_and_a_larger_one_is_refused_before_it_is_sent(
    tmp_path: Path, handler: Handler
) -> None:
    text = "x" * limits.TEXT_MAX_BYTES
    assert await hand_over(tmp_path, to="bruno", text=text, wait=False) == SENT
    with pytest.raises(ClientError) as caught:
        await hand_over(tmp_path, to="bruno", text="ñ" * 40000, wait=False)
    assert caught.value.code == "too_large"
    assert len(handler.requests) == 1


async def test_an_error_comes_back_under_its_code(tmp_path: Path, handler: Handler) -> None:
    handler.error = StateError("identity_changed", "bruno")
    with pytest.raises(ClientError) as caught:
        await hand_over(tmp_path, to="bruno", text="hola", wait=True)
    assert (caught.value.code, caught.value.detail) == ("identity_changed", "bruno")


async def test_nobody_there_means_that_the_profile_is_in_use(tmp_path: Path) -> None:
    await in_use(tmp_path)
    (tmp_path / "control.sock").write_bytes(b"")
    await in_use(tmp_path)


async def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    await in_use(tmp_path)
    async with ControlServer(Handler()) as server:
        assert await server.start(tmp_path)
        assert await hand_over(tmp_path, to="bruno", text="hola", wait=True) == SENT
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux' way to an open folder")
async def test_a_long_path_works_too(tmp_path: Path) -> None:
    folder = tmp_path / ("n" * 120)
    folder.mkdir()
    async with ControlServer(Handler()) as server:
        assert await server.start(folder)
        assert await hand_over(folder, to="bruno", text="hola", wait=True) == SENT


async def test_where_it_cannot_listen_the_profile_works_without(tmp_path: Path) -> None:
    server = ControlServer(Handler())
    assert not await server.start(tmp_path / "missing")
    await server.close()


async def raw(folder: Path, data: bytes, *, end: bool = True) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(folder / "control.sock"))
    writer.write(data)
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


MALFORMED = framed(msgspec.msgpack.encode(Failed("malformed")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", MAX_BYTES + 1),
        struct.pack(">I", 100) + b"short",
        framed(b""),
        framed(b"\xff" * 50),
        framed(msgspec.msgpack.encode([1, "bruno", "", True])),
        framed(msgspec.msgpack.encode([1, "bruno", "hola", True, "more"])),
        framed(msgspec.msgpack.encode([2, b"c" * 32, b"m" * 16])),
        framed(b"\x91" * 5000),
    ],
    ids=[
        "nothing",
        "one-byte",
        "http",
        "too-large",
        "short",
        "empty",
        "garbage",
        "no-text",
        "extra",
        "an-answer",
        "deep",
    ],
)
async def test_garbage_gets_the_error_and_changes_nothing(tmp_path: Path, handler: Handler, data: bytes) -> None:
    assert await raw(tmp_path, data) == MALFORMED
    assert handler.requests == []
    assert await hand_over(tmp_path, to="bruno", text="hola", wait=True) == SENT


async def test_a_silent_connection_is_dropped(
    tmp_path: Path, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.05)
    assert await raw(tmp_path, b"\x00\x00", end=False) == b""


async def test_too_many_connections_are_dropped_and_service_goes_on(tmp_path: Path, handler: Handler) -> None:
    handler.hold.clear()
    waiting = [
        asyncio.create_task(hand_over(tmp_path, to="bruno", text="hola", wait=True))
        for _ in range(control.MAX_CONNECTIONS)
    ]
    for _ in waiting:
        await handler.asked.acquire()
    await in_use(tmp_path)
    handler.hold.set()
    assert await asyncio.gather(*waiting) == [SENT] * control.MAX_CONNECTIONS
    assert await hand_over(tmp_path, to="bruno", text="hola", wait=True) == SENT


async def test_closing_drops_who_waits(tmp_path: Path) -> None:
    handler = Handler()
    handler.hold.clear()
    server = ControlServer(handler)
    await server.start(tmp_path)
    waiting = asyncio.create_task(hand_over(tmp_path, to="bruno", text="hola", wait=True))
    await handler.asked.acquire()
    await server.close()
    await server.close()
    with pytest.raises(ProfileError):
        await waiting


async def test_who_asks_and_goes_away_does_no_harm(tmp_path: Path, handler: Handler) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(framed(msgspec.msgpack.encode(SendRequest("bruno", "x", False))))
        writer.transport.abort()
    assert await hand_over(tmp_path, to="bruno", text="hola", wait=True) == SENT


@examples(400)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_the_declared_error(data: bytes) -> None:
    for decode in (decode_request, decode_answer):
        try:
            value = decode(data)
        except MalformedControlError:
            continue
        assert isinstance(value, SendRequest | Sent | Failed)


def test_every_altered_request_is_a_value_or_the_declared_error() -> None:
    good = msgspec.msgpack.encode(SendRequest("bruno", "hola", True))
    chance = random.Random(5)
    for _ in range(2000):
        data = bytearray(good)
        data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            request = decode_request(bytes(data))
        except MalformedControlError:
            continue
        assert isinstance(request, DownloadRequest | SendFileRequest) or request.text
