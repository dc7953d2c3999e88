"""Olm sessions with one peer device, as a value: every step gives a new value, and a failed step changes nothing.

At most four sessions are kept; the one that last received is used for sending. Sessions that were dropped leave their
id as a tombstone, so that an old pre-key message cannot bring one back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Final

import msgspec
import vodozemac

from mensajeria.crypto.device import PICKLE_KEY_BYTES, DeviceKeys, StateError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import U32, U63, Bytes16, Bytes32
from mensajeria.protocol.records import Record
from mensajeria.protocol.signing import is_usable_curve25519

PRE_KEY: Final = 0
NORMAL: Final = 1
_TOMBSTONES: Final = 64


class OlmCause(StrEnum):
    """Why Olm refused."""

    NO_SESSION = "no_session"
    BAD_KEY = "bad_key"
    MALFORMED = "malformed"
    TOMBSTONED = "tombstoned"
    BAD_CIPHERTEXT = "bad_ciphertext"


class OlmError(ValueError):
    """An Olm step failed; no state has changed."""

    def __init__(self, cause: OlmCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class _PickledSession(Record, frozen=True, kw_only=True):
    session_id: str
    pickle_key: Bytes32
    pickle: Annotated[str, msgspec.Meta(max_length=16 << 10)]
    last_received: U63
    unanswered: U32


class _PickledPeer(Record, frozen=True, kw_only=True):
    v: int = 1
    did: Bytes16
    curve25519: Bytes32
    sessions: tuple[_PickledSession, ...]
    tombstones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OlmSessionState:
    """One session. `unanswered` counts envelopes received on it since the last one sent."""

    session_id: str
    pickle_key: bytes = field(repr=False)
    pickle: str = field(repr=False)
    last_received: int
    unanswered: int = 0

    @classmethod
    def of(cls, session: vodozemac.Session, last_received: int, unanswered: int = 0) -> OlmSessionState:
        """Pickle a session under a fresh key."""
        key = os.urandom(PICKLE_KEY_BYTES)
        return cls(session.session_id, key, session.pickle(key), last_received, unanswered)

    def open(self) -> vodozemac.Session:
        """The live session; raises StateError."""
        try:
            return vodozemac.Session.from_pickle(self.pickle, self.pickle_key)
        except ValueError as error:
            raise StateError("damaged Olm session") from error


@dataclass(frozen=True, slots=True)
class OlmPeer:
    """Everything kept about Olm with one device. `curve25519` is its key in the list the sessions were made under."""

    did: bytes
    curve25519: bytes
    sessions: tuple[OlmSessionState, ...] = ()
    tombstones: tuple[str, ...] = ()

    @classmethod
    def new(cls, did: bytes, curve25519: bytes) -> OlmPeer:
        """A device that nothing was exchanged with yet."""
        return cls(did, curve25519)

    @property
    def has_session(self) -> bool:
        """True if an envelope can be sealed without claiming a one-time key."""
        return bool(self.sessions)

    @property
    def owes_ack(self) -> bool:
        """True if the ratchet should move: several envelopes received on the session in use, none sent."""
        return bool(self.sessions) and self._current().unanswered >= limits.OLM_ACK_AFTER

    def _current(self) -> OlmSessionState:
        return max(self.sessions, key=lambda session: session.last_received)

    def start(self, device: DeviceKeys, one_time_key: bytes, now_ms: int) -> OlmPeer:
        """With a new outbound session from a verified one-time or fallback key.

        Raises:
            OlmError: BAD_KEY, one of the keys must not be used.
        """
        if not is_usable_curve25519(self.curve25519) or not is_usable_curve25519(one_time_key):
            raise OlmError(OlmCause.BAD_KEY)
        try:
            session = device.account.create_outbound_session(
                vodozemac.Curve25519PublicKey.from_bytes(self.curve25519),
                vodozemac.Curve25519PublicKey.from_bytes(one_time_key),
            )
        except ValueError as error:
            raise OlmError(OlmCause.BAD_KEY) from error
        return self._with(OlmSessionState.of(session, max(now_ms, self._newest())))

    def encrypt(self, plaintext: bytes) -> tuple[OlmPeer, int, bytes]:
        """The state after, the message's kind, and its ciphertext. Store the state before the bytes leave.

        Raises:
            OlmError: NO_SESSION.
        """
        if not self.sessions:
            raise OlmError(OlmCause.NO_SESSION)
        current = self._current()
        session = current.open()
        kind, ciphertext = session.encrypt(plaintext).to_parts()
        return self._with(OlmSessionState.of(session, current.last_received)), kind, ciphertext

    def decrypt(self, device: DeviceKeys, kind: int, ciphertext: bytes, now_ms: int) -> OlmOpened:
        """Open a message of this device, on a known session or, for a pre-key message, on a new one.

        Raises:
            OlmError: it does not open; nothing has changed.
        """
        if kind == NORMAL:
            return self._decrypt_normal(ciphertext, now_ms)
        if kind != PRE_KEY:
            raise OlmError(OlmCause.MALFORMED)
        message = _parse_pre_key(ciphertext)
        session_id = message.session_id()
        if session_id in self.tombstones:
            raise OlmError(OlmCause.TOMBSTONED)
        for state in self.sessions:
            if state.session_id == session_id:
                return self._decrypt_on(state, message.to_any(), now_ms)
        return self._accept(device, message, now_ms)

    def _decrypt_normal(self, ciphertext: bytes, now_ms: int) -> OlmOpened:
        message = _parse(NORMAL, ciphertext)
        for state in sorted(self.sessions, key=lambda session: -session.last_received):
            try:
                return self._decrypt_on(state, message, now_ms)
            except OlmError:
                continue
        raise OlmError(OlmCause.BAD_CIPHERTEXT if self.sessions else OlmCause.NO_SESSION)

    def _decrypt_on(self, state: OlmSessionState, message: vodozemac.AnyOlmMessage, now_ms: int) -> OlmOpened:
        session = state.open()
        try:
            plaintext = session.decrypt(message)
        except ValueError as error:
            raise OlmError(OlmCause.BAD_CIPHERTEXT) from error
        received = OlmSessionState.of(session, max(now_ms, self._newest()), state.unanswered + 1)
        return OlmOpened(plaintext, self._with(received), None)

    def _accept(self, device: DeviceKeys, message: vodozemac.PreKeyMessage, now_ms: int) -> OlmOpened:
        """A new inbound session with the listed key, on a copy of the account."""
        if not is_usable_curve25519(self.curve25519):
            raise OlmError(OlmCause.BAD_KEY)
        account = device.clone_account()
        sender = vodozemac.Curve25519PublicKey.from_bytes(self.curve25519)
        try:
            session, plaintext = account.create_inbound_session(sender, message)
        except ValueError as error:
            raise OlmError(OlmCause.BAD_CIPHERTEXT) from error
        received = OlmSessionState.of(session, max(now_ms, self._newest()), 1)
        return OlmOpened(plaintext, self._with(received), account)

    def _newest(self) -> int:
        """Clocks may go back; the session that received last must still come first."""
        return max((session.last_received for session in self.sessions), default=-1) + 1

    def _with(self, changed: OlmSessionState) -> OlmPeer:
        others = [session for session in self.sessions if session.session_id != changed.session_id]
        ranked = sorted([*others, changed], key=lambda session: -session.last_received)
        kept, dropped = ranked[: limits.OLM_SESSIONS_PER_PEER], ranked[limits.OLM_SESSIONS_PER_PEER :]
        tombstones = (*self.tombstones, *(session.session_id for session in dropped))[-_TOMBSTONES:]
        return replace(self, sessions=tuple(kept), tombstones=tombstones)

    def dump(self) -> Secret:
        """Everything, to be stored inside the encrypted database."""
        sessions = tuple(
            _PickledSession(
                session_id=s.session_id,
                pickle_key=s.pickle_key,
                pickle=s.pickle,
                last_received=s.last_received,
                unanswered=s.unanswered,
            )
            for s in self.sessions
        )
        peer = _PickledPeer(did=self.did, curve25519=self.curve25519, sessions=sessions, tombstones=self.tombstones)
        return Secret(encode(peer))

    @classmethod
    def load(cls, state: Secret) -> OlmPeer:
        """The inverse of `dump`; raises StateError. The sessions are unpickled when they are used."""
        try:
            peer = decode_record(_PickledPeer, state.reveal())
        except MalformedError as error:
            raise StateError("damaged Olm state") from error
        sessions = tuple(
            OlmSessionState(s.session_id, s.pickle_key, s.pickle, s.last_received, s.unanswered) for s in peer.sessions
        )
        return cls(peer.did, peer.curve25519, sessions, peer.tombstones)


@dataclass(frozen=True, slots=True)
class OlmOpened:
    """A decrypted message and the state after it; `account` is the device's account after it, if it has changed."""

    plaintext: bytes = field(repr=False)
    peer: OlmPeer
    account: vodozemac.Account | None = field(repr=False)


def _parse(kind: int, ciphertext: bytes) -> vodozemac.AnyOlmMessage:
    try:
        return vodozemac.AnyOlmMessage.from_parts(kind, ciphertext)
    except ValueError as error:
        raise OlmError(OlmCause.MALFORMED) from error


def _parse_pre_key(ciphertext: bytes) -> vodozemac.PreKeyMessage:
    message = _parse(PRE_KEY, ciphertext).to_pre_key()
    if message is None:
        raise OlmError(OlmCause.MALFORMED)
    return message
