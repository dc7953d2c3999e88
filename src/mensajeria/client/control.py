"""The local socket of an open profile: another process of the same user hands work over to the one that has it open.

`control.sock` (0600, in the profile's folder 0700). One connection carries one request and one answer, each a u32
length and a msgpack value. Only where there are Unix sockets; elsewhere the profile is simply in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Final, Self, TypeVar

import msgspec

from mensajeria.client.api import SentMessage
from mensajeria.client.errors import ClientError, InputError, ProfileError
from mensajeria.protocol import limits
from mensajeria.protocol.ids import Bytes16, Bytes32, ChatId, Mid

NAME: Final = "control.sock"
MAX_BYTES: Final = limits.TEXT_MAX_BYTES + 4096
MAX_CONNECTIONS: Final = 16
REQUEST_TIMEOUT_S: Final = 5.0
_MAX_SOCKET_PATH: Final = 100
_Code = Annotated[str, msgspec.Meta(max_length=64)]
_Target = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
T = TypeVar("T")


class SendRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Send a text to a user or chat; with `wait` the answer comes once the server has it."""

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TEXT_MAX_BYTES)]
    wait: bool

    def __repr__(self) -> str:
        return "SendRequest(…)"


class SendFileRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Send a file of this machine to a user or chat."""

    to: _Target
    path: _Path
    caption: Annotated[str, msgspec.Meta(max_length=limits.TEXT_MAX_BYTES)]
    as_image: bool | None
    wait: bool

    def __repr__(self) -> str:
        return "SendFileRequest(…)"


class DownloadRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Save the file of a message of the chat with a user, or of a chat."""

    peer: _Target
    mid: Bytes16
    to: _Path


class Saved(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """The file is there."""

    path: _Path


class Sent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """The message is stored (and sent, when that was waited for)."""

    chat_id: Bytes32
    mid: Bytes16


class Failed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Why not: a `ClientError`'s code."""

    code: _Code
    detail: Annotated[str, msgspec.Meta(max_length=1024)] = ""


Request = SendRequest | SendFileRequest | DownloadRequest
Answer = Sent | Saved | Failed
Handler = Callable[[Request], Awaitable[SentMessage | Path]]
_request: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_answer: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)
_LENGTH: Final = struct.Struct(">I")


class MalformedControlError(ValueError):
    """The other side did not speak this protocol."""


def decode_request(data: bytes) -> Request:
    """Raises MalformedControlError for anything that is not one request."""
    return _decode(data, _request)


def decode_answer(data: bytes) -> Answer:
    """Raises MalformedControlError for anything that is not one answer."""
    return _decode(data, _answer)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedControlError("malformed") from error


class ControlServer:
    """Answers on `control.sock` while the profile is open. The profile's lock must be held."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._path: Path | None = None

    async def start(self, folder: Path) -> bool:
        """Listen; False where that cannot be (no Unix sockets, a path too long): the profile works without."""
        if not hasattr(socket, "AF_UNIX"):
            return False
        try:
            listener = await asyncio.to_thread(_listen, folder)
        except OSError:
            return False
        self._path = folder / NAME
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_BYTES)
        return True

    async def close(self) -> None:
        """Stop listening, drop open connections, remove the socket. May be called twice."""
        server, self._server = self._server, None
        if server is None or self._path is None:
            return
        server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS or not _same_user(writer):
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be gone
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    request = decode_request(await _read(reader))
                await _write(writer, await self._answer(request))
            except MalformedControlError:
                await _write(writer, Failed("malformed"))
            except TimeoutError:
                pass
            finally:
                writer.close()

    async def _answer(self, request: Request) -> Answer:
        try:
            done = await self._handler(request)
        except ClientError as error:
            return Failed(error.code[:64], error.detail[:1024])
        return Saved(str(done)) if isinstance(done, Path) else Sent(done.chat_id, done.mid)


async def hand_over(folder: Path, *, to: str, text: str, wait: bool) -> SentMessage:
    """Ask the process that has the profile open to send `text` to a user or chat.

    Raises:
        ProfileError: profile_in_use: nobody answers on the socket.
        ClientError: what the sending failed with, under its code.
    """
    return _sent(await _ask(folder, SendRequest(to, text, wait)))


async def hand_over_file(
    folder: Path, *, to: str, path: Path, caption: str, as_image: bool | None, wait: bool
) -> SentMessage:
    """`hand_over` for a file: the other process reads it. `path` must be absolute. Raises as `hand_over`."""
    return _sent(await _ask(folder, SendFileRequest(to, str(path), caption, as_image, wait)))


async def hand_over_download(folder: Path, *, peer: str, mid: bytes, to: Path) -> Path:
    """Ask the process that has the profile open to save a file. `to` must be absolute. Raises as `hand_over`."""
    answer = await _ask(folder, DownloadRequest(peer, mid, str(to)))
    if not isinstance(answer, Saved):
        raise ProfileError("profile_in_use", "an answer to another question")
    return Path(answer.path)


def _sent(answer: Sent | Saved) -> SentMessage:
    if not isinstance(answer, Sent):
        raise ProfileError("profile_in_use", "an answer to another question")
    return SentMessage(ChatId(answer.chat_id), Mid(answer.mid))


async def _ask(folder: Path, request: Request) -> Sent | Saved:
    try:
        async with _connected(folder) as (reader, writer):
            await _write(writer, request)
            answer = decode_answer(await _read(reader))
    except (OSError, MalformedControlError) as error:
        raise ProfileError("profile_in_use", "the process that has the profile open does not answer") from error
    if isinstance(answer, Failed):
        raise ClientError(answer.code, answer.detail)
    return answer


@contextlib.asynccontextmanager
async def _connected(folder: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("no local sockets here")
    with _reachable(folder) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_BYTES)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """One value's bytes. Raises MalformedControlError: too large, or the other side ended."""
    try:
        length: int = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
        if length > MAX_BYTES:
            raise MalformedControlError("too large")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise MalformedControlError("ended early") from error


async def _write(writer: asyncio.StreamWriter, value: Request | Answer) -> None:
    data = msgspec.msgpack.encode(value)
    if len(data) > MAX_BYTES:
        raise InputError("too_large")
    writer.write(_LENGTH.pack(len(data)) + data)
    await writer.drain()


def _listen(folder: Path) -> socket.socket:
    """A bound socket; the permissions are set before anyone can connect. A leftover is removed: we hold the lock."""
    (folder / NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(folder) as path:
            listener.bind(path)
        (folder / NAME).chmod(0o600)
        listener.listen(MAX_CONNECTIONS)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """A path of the socket that is short enough for the system (about 100 bytes), by way of an open folder on Linux."""
    path = folder / NAME
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        yield str(path)
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


def _same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the other process is of this user, where the system tells; the file's mode says the same elsewhere."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    connection: socket.socket = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid in {os.getuid(), 0}
