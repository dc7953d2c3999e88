"""One conversation on `/auth/ws`: typed questions and answers, refusals as errors."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self, TypeVar

from mensajeria.client.errors import NetworkError, RefusedError
from mensajeria.client.transport.address import ServerAddress
from mensajeria.client.transport.websocket import ConnectionLostError, WebSocket, connect
from mensajeria.protocol import auth, limits
from mensajeria.protocol.encoding import MalformedError

ANSWER_TIMEOUT_S: Final = 30.0
T = TypeVar("T")


class AuthChannel:
    """An open `/auth/ws`. `info` is what the server said of itself; the caller compares it with what it knows."""

    def __init__(self, socket: WebSocket, info: auth.ServerInfo) -> None:
        self._socket = socket
        self.info = info

    @classmethod
    async def open(cls, address: ServerAddress, tls: ssl.SSLContext | None) -> Self:
        """Connect and read the server's introduction. Raises NetworkError."""
        socket = await connect(address.websocket("/auth/ws"), tls=tls, max_message=limits.MAX_AUTH_FRAME)
        try:
            return cls(socket, await _receive(socket, auth.ServerInfo))
        except BaseException:
            socket.close()
            raise

    async def ask(self, question: auth.ClientAuth, expect: type[T]) -> T:
        """Send one message and return its answer.

        Raises:
            RefusedError: the server answered with an error code; the conversation may go on.
            NetworkError: network, timeout, or not_a_server when the answer is another one than the protocol's.
        """
        self._socket.send(auth.encode_auth(question))
        return await _receive(self._socket, expect)

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _receive(socket: WebSocket, expect: type[T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = auth.decode_from_server(await socket.receive())
    except TimeoutError as error:
        raise NetworkError("timeout", "no answer") from error
    except ConnectionLostError as error:
        raise NetworkError("network", str(error)) from error
    except MalformedError as error:
        raise NetworkError("not_a_server", "malformed answer") from error
    if isinstance(answer, auth.AuthError):
        raise RefusedError(answer.code, answer.detail, retry_after_ms=answer.retry_after_ms)
    if not isinstance(answer, expect):
        raise NetworkError("not_a_server", f"unexpected {type(answer).__name__}")
    return answer
