"""One open connection to `/ws`: frames out, answers matched with their questions, everything else to the owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from mensajeria.client.engine.context import SLICE_PAUSE_S
from mensajeria.client.errors import RefusedError
from mensajeria.client.transport.websocket import NO_CLOSE_FRAME, ConnectionLostError, WebSocket
from mensajeria.protocol import frames, limits
from mensajeria.protocol.connection import ClientConnection, ConnectionClosedError, Welcomed
from mensajeria.protocol.errors import Close

T = TypeVar("T", bound=msgspec.Struct)
SLICE_S: Final = 0.003
ANSWER_TIMEOUT_S: Final = 30.0
SILENCE_S: Final = limits.PING_EVERY_S + limits.PONG_TIMEOUT_S + 15.0
"""The server pings a quiet connection; one that is quiet for longer is dead."""
_ANSWERS: Final = (frames.SyncPage, frames.Events, frames.PutResult, frames.MailPage)


class Session:
    """Frames of one connection. `read` runs until the connection is over and raises ConnectionLostError then."""

    def __init__(self, socket: WebSocket, channel: ClientConnection) -> None:
        self._socket = socket
        self._channel = channel
        self._answers: dict[int, asyncio.Future[msgspec.Struct]] = {}
        self._next_rid = 1
        self._lost: ConnectionLostError | None = None
        self.reconnect_after_s = 0.0
        """What the server asked for before a restart."""

    async def welcome(self) -> Welcomed:
        """Say hello and check the server's proof. Raises ConnectionLostError."""
        self._socket.send(self._channel.hello())
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = self._open(await self._socket.receive())
        assert isinstance(answer, Welcomed), "the connection's first answer is the welcome"
        return answer

    def send(self, frame: msgspec.Struct) -> None:
        """Send a frame; without effect when the connection is over, which `read` tells."""
        if self._lost is None:
            self._socket.send(self._channel.send(frame))

    def send_body(self, kind: int, body: bytes) -> None:
        """Send a frame whose body is already encoded."""
        if self._lost is None:
            self._socket.send(self._channel.send_body(kind, body))

    async def drained(self) -> None:
        """Wait until the system takes more data."""
        await self._socket.drained()

    async def request(self, question: Callable[[int], msgspec.Struct], expect: type[T]) -> T:
        """Send a question and wait for its answer.

        Raises:
            RefusedError: the server answered with an error.
            ConnectionLostError: the connection ended first, or the answer was another one than asked for.
        """
        if self._lost is not None:
            raise self._lost
        rid, self._next_rid = self._next_rid, self._next_rid % 0xFFFF_FFFF + 1
        future = self._answers[rid] = asyncio.get_running_loop().create_future()
        try:
            self.send(question(rid))
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await future
        except TimeoutError as error:
            raise self.end(Close.MALFORMED) from error
        finally:
            self._answers.pop(rid, None)
        if not isinstance(answer, expect):
            raise self.end(Close.MALFORMED)
        return answer

    async def read(self, deliver: Callable[[frames.ServerFrame], None]) -> None:
        """Hand out what arrives. Ends only by ConnectionLostError."""
        watch = asyncio.get_running_loop().call_later(SILENCE_S, self._silent)
        try:
            while True:
                data = await self._socket.receive()
                watch.cancel()
                watch = asyncio.get_running_loop().call_later(SILENCE_S, self._silent)
                await self._read_slice(data, deliver)
        except ConnectionLostError as error:
            self._fail(error)
            raise
        finally:
            watch.cancel()

    def end(self, close: Close = Close.NORMAL) -> ConnectionLostError:
        """Close the connection; the error is what others should raise."""
        self._socket.close(close)
        error = self._lost or ConnectionLostError(close)
        self._fail(error)
        return error

    async def _read_slice(self, first: bytes, deliver: Callable[[frames.ServerFrame], None]) -> None:
        """Everything that is here, with a pause so that nothing else has to wait for long."""
        started, data = time.perf_counter(), first
        while True:
            self._take(data, deliver)
            following = self._socket.receive_now()
            if following is None:
                return
            data = following
            if time.perf_counter() - started > SLICE_S:
                await asyncio.sleep(SLICE_PAUSE_S)
                started = time.perf_counter()

    def _take(self, data: bytes, deliver: Callable[[frames.ServerFrame], None]) -> None:
        frame = self._open(data)
        if isinstance(frame, Welcomed):
            raise self.end(Close.MALFORMED)
        if isinstance(frame, _ANSWERS) or (isinstance(frame, frames.Error) and frame.rid):
            self._answer(frame)
        elif isinstance(frame, frames.Ping):
            self.send(frames.Pong(frame.n))
        elif isinstance(frame, frames.Drain):
            self.reconnect_after_s = frame.after_ms / 1000
        else:
            deliver(frame)

    def _answer(
        self, frame: frames.SyncPage | frames.Events | frames.PutResult | frames.MailPage | frames.Error
    ) -> None:
        future = self._answers.get(frame.rid)
        if future is None or future.done():
            return
        if isinstance(frame, frames.Error):
            future.set_exception(RefusedError(frame.code, frame.detail, retry_after_ms=frame.retry_after_ms))
        else:
            future.set_result(frame)

    def _open(self, data: bytes) -> Welcomed | frames.ServerFrame:
        try:
            return self._channel.receive(data)
        except ConnectionClosedError as error:
            raise self.end(error.close) from error

    def _silent(self) -> None:
        self._socket.close(Close.GOING_AWAY)
        self._fail(ConnectionLostError(NO_CLOSE_FRAME))

    def _fail(self, error: ConnectionLostError) -> None:
        self._lost = self._lost or error
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # looked at: whoever asked may have gone
