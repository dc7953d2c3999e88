"""The connection `/ws` without I/O: bytes in, frames out, and what either side may do when, in one table.

    client: START --hello()--> HELLO_SENT --welcome received, proof checked--> OPEN
    server: START --hello received--> AUTHENTICATING --welcome()--> WELCOMED --first sealed frame--> OPEN

A hello has no effect before the first sealed frame verifies: until then anybody who saw a token could have sent it. Any
violation closes the connection for good with a close code.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames, limits
from mensajeria.protocol.codec import (
    BadMacError,
    ChannelKeys,
    Direction,
    FrameError,
    FrameReader,
    FrameWriter,
    MalformedFrameError,
    decode_plain,
    encode_plain,
)
from mensajeria.protocol.errors import Close


class Phase(Enum):
    """Where a connection is."""

    START = auto()
    HELLO_SENT = auto()
    AUTHENTICATING = auto()
    WELCOMED = auto()
    OPEN = auto()
    CLOSED = auto()

    __hash__ = object.__hash__  # up to Python 3.11 an enum's own is slow


class Step(Enum):
    """What can happen on a connection."""

    SEND_HELLO = auto()
    RECEIVE_HELLO = auto()
    SEND_WELCOME = auto()
    RECEIVE_WELCOME = auto()
    SEND_FRAME = auto()
    RECEIVE_FRAME = auto()

    __hash__ = object.__hash__


# Every frame asks these, and up to Python 3.11 an enum gives a member for five times the price of a name.
_OPEN: Final = Phase.OPEN
_CLOSED: Final = Phase.CLOSED
_START: Final = Phase.START
_HELLO_SENT: Final = Phase.HELLO_SENT

_CLIENT: Final[dict[tuple[Phase, Step], Phase]] = {
    (Phase.START, Step.SEND_HELLO): Phase.HELLO_SENT,
    (Phase.HELLO_SENT, Step.RECEIVE_WELCOME): Phase.OPEN,
    (Phase.OPEN, Step.SEND_FRAME): Phase.OPEN,
    (Phase.OPEN, Step.RECEIVE_FRAME): Phase.OPEN,
}
_SERVER: Final[dict[tuple[Phase, Step], Phase]] = {
    (Phase.START, Step.RECEIVE_HELLO): Phase.AUTHENTICATING,
    (Phase.AUTHENTICATING, Step.SEND_WELCOME): Phase.WELCOMED,
    (Phase.WELCOMED, Step.RECEIVE_FRAME): Phase.OPEN,
    (Phase.OPEN, Step.SEND_FRAME): Phase.OPEN,
    (Phase.OPEN, Step.RECEIVE_FRAME): Phase.OPEN,
}
TRANSITIONS: Final = {Direction.CLIENT: _CLIENT, Direction.SERVER: _SERVER}


class ConnectionClosedError(Exception):
    """The connection is over; `close` says why, as a close code."""

    def __init__(self, close: Close, detail: str) -> None:
        super().__init__(f"{close.name}: {detail}")
        self.close = close
        self.detail = detail


class WrongPhaseError(RuntimeError):
    """The own program did a step that is not allowed now: its fault, not the peer's."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server has proven that it is the one that shares CK with this device."""

    restore_epoch: int


class _Connection:
    """What both roles share: the phase, and sealing and opening once there are keys."""

    __slots__ = ("_phase", "_reader", "_role", "_table", "_writer")

    def __init__(self, role: Direction) -> None:
        self._table = TRANSITIONS[role]
        self._role = role
        self._phase = Phase.START
        self._reader: FrameReader | None = None
        self._writer: FrameWriter | None = None

    @property
    def phase(self) -> Phase:
        """Where the connection is."""
        return self._phase

    def send(self, frame: msgspec.Struct) -> bytes:
        """The bytes of the next frame; raises WrongPhaseError before the connection is open."""
        return self._ready_writer().seal(frame)

    def send_body(self, kind: int, body: bytes) -> bytes:
        """As `send`, for a body that is already encoded."""
        return self._ready_writer().seal_body(kind, body)

    def _ready_writer(self) -> FrameWriter:
        if self._phase is not _OPEN:  # no look-up for every frame of an open connection
            self._advance(Step.SEND_FRAME)
        assert self._writer is not None
        return self._writer

    def _advance(self, step: Step) -> None:
        following = self._table.get((self._phase, step))
        if following is None:
            raise WrongPhaseError(f"{step.name} in {self._phase.name}")
        self._phase = following

    def _use(self, keys: ChannelKeys) -> None:
        peer = Direction.SERVER if self._role is Direction.CLIENT else Direction.CLIENT
        self._writer = FrameWriter(keys, self._role)
        self._reader = FrameReader(keys, peer)

    def _open(self, data: bytes) -> Any:
        if self._phase is not _OPEN and (self._phase, Step.RECEIVE_FRAME) not in self._table:
            raise self._refuse(Close.MALFORMED, "a frame is not allowed yet")
        assert self._reader is not None
        try:
            frame = self._reader.open(data)
        except BadMacError as error:
            raise self._refuse(Close.BAD_MAC, str(error)) from error
        except FrameError as error:
            raise self._refuse(
                Close.TOO_BIG if len(data) > limits.MAX_FRAME else Close.MALFORMED, str(error)
            ) from error
        if self._phase is not _OPEN:
            self._advance(Step.RECEIVE_FRAME)
        return frame

    def _refuse(self, close: Close, detail: str) -> ConnectionClosedError:
        self._phase = Phase.CLOSED
        return ConnectionClosedError(close, detail)

    def _check_alive(self) -> None:
        if self._phase is _CLOSED:
            raise ConnectionClosedError(Close.NORMAL, "already closed")


class ClientConnection(_Connection):
    """The client's end. `nonce` is 32 fresh random bytes; `server_id` is the pinned one."""

    __slots__ = ("_ck", "_hello", "_server_id")

    def __init__(self, ck: Secret, *, did: bytes, jwt: str, nonce: bytes, gen: int, server_id: bytes) -> None:
        super().__init__(Direction.CLIENT)
        self._ck = ck
        self._server_id = server_id
        self._hello = frames.Hello(limits.PROTOCOL_VERSION, did, jwt, nonce, gen)

    def hello(self) -> bytes:
        """The first frame."""
        self._advance(Step.SEND_HELLO)
        return encode_plain(self._hello)

    def receive(self, data: bytes) -> Welcomed | frames.ServerFrame:
        """Take one WebSocket message.

        Raises:
            ConnectionClosedError: the server, or somebody in between, broke the protocol.
        """
        self._check_alive()
        if self._phase is _HELLO_SENT:
            return self._receive_welcome(data)
        frame: frames.ServerFrame = self._open(data)
        return frame

    def _receive_welcome(self, data: bytes) -> Welcomed:
        try:
            welcome = decode_plain(data, frames.Welcome)
        except MalformedFrameError as error:
            raise self._refuse(Close.MALFORMED, str(error)) from error
        keys = ChannelKeys.derive(self._ck.reveal(), self._hello.nonce, welcome.nonce)
        proof = keys.welcome_proof(self._hello, welcome.server_id, welcome.restore_epoch, welcome.nonce)
        if not hmac.compare_digest(proof, welcome.proof):
            raise self._refuse(Close.BAD_MAC, "the server does not prove the channel key")
        if welcome.server_id != self._server_id:
            raise self._refuse(Close.BAD_MAC, "another server")
        self._use(keys)
        self._advance(Step.RECEIVE_WELCOME)
        return Welcomed(welcome.restore_epoch)


class ServerConnection(_Connection):
    """The server's end."""

    __slots__ = ("_hello",)

    def __init__(self) -> None:
        super().__init__(Direction.SERVER)
        self._hello: frames.Hello | None = None

    @property
    def established(self) -> bool:
        """True from the first sealed frame on: the peer has proven CK, the hello may have its effects."""
        return self._phase is Phase.OPEN

    def receive(self, data: bytes) -> frames.ClientFrame:
        """Take one WebSocket message; the first is a `Hello`, to be answered with `welcome` or a close.

        Raises:
            ConnectionClosedError: the client, or somebody in between, broke the protocol.
        """
        self._check_alive()
        if self._phase is _START:
            return self._receive_hello(data)
        frame: frames.ClientFrame = self._open(data)
        return frame

    def welcome(self, ck: Secret, *, server_id: bytes, restore_epoch: int, nonce: bytes) -> bytes:
        """The answer to an authenticated hello; `nonce` is 32 fresh random bytes."""
        self._advance(Step.SEND_WELCOME)
        assert self._hello is not None
        keys = ChannelKeys.derive(ck.reveal(), self._hello.nonce, nonce)
        proof = keys.welcome_proof(self._hello, server_id, restore_epoch, nonce)
        self._use(keys)
        self._hello = None  # with its token: nobody needs it again, and an idle connection should be small
        return encode_plain(frames.Welcome(server_id, restore_epoch, nonce, proof))

    def _receive_hello(self, data: bytes) -> frames.Hello:
        try:
            hello = decode_plain(data, frames.Hello)
        except MalformedFrameError as error:
            raise self._refuse(Close.MALFORMED, str(error)) from error
        if hello.v != limits.PROTOCOL_VERSION:
            raise self._refuse(Close.NEWER_VERSION, f"version {hello.v}")
        self._hello = hello
        self._advance(Step.RECEIVE_HELLO)
        return hello
