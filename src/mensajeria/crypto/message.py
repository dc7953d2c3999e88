"""Messages: sealing, and opening with every check of docs/protocol/e2ee.md §7. Nothing shown is an outer field."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import vodozemac

from mensajeria.crypto.aead import derive
from mensajeria.crypto.body import BodyError, pack_body, unpack_body
from mensajeria.crypto.inbound import InboundSession, MegolmError, UnknownIndexError
from mensajeria.crypto.padding import PaddingError, pad_message, unpad_message
from mensajeria.crypto.sender import OutboundSession
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, cat, encode
from mensajeria.protocol.records import (
    SUITE_GROUP,
    LogHead,
    MembershipHead,
    MessageInner,
    MessageOuter,
    PreviousSession,
    Reference,
    TextBody,
    VoidIndex,
)

TEXT: Final = "text"
NO_DELETE: Final = bytes(32)
_MAX_OUTER: Final = limits.MAX_CIPHERTEXT + 1024


class MessageCause(StrEnum):
    """Why a row was not opened."""

    MALFORMED = "malformed"
    NEWER_VERSION = "newer_version"
    UNKNOWN_INDEX = "unknown_index"
    BAD_CIPHERTEXT = "bad_ciphertext"
    INDEX_MISMATCH = "index_mismatch"
    WRONG_CHAT = "wrong_chat"
    WRONG_SESSION = "wrong_session"
    WRONG_MID = "wrong_mid"
    WRONG_AUTHOR = "wrong_author"
    NOT_MEMBER = "not_member"
    """Not a member then, or a device that a `device` event had cut off."""
    UNKNOWN_HEAD = "unknown_head"
    REPLAYED_INDEX = "replayed_index"
    REPLAYED_MID = "replayed_mid"
    DUPLICATE = "duplicate"

    @property
    def may_open_later(self) -> bool:
        """True if a key, an event or an update may still open it: the row is kept and tried again."""
        return self in {MessageCause.UNKNOWN_INDEX, MessageCause.UNKNOWN_HEAD, MessageCause.NEWER_VERSION}


class MessageTooLargeError(ValueError):
    """The message does not fit the largest ciphertext."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sealed; `body` is the encoded body of its type."""

    type: str
    mid: bytes
    body: bytes = field(repr=False)
    head: MembershipHead
    prev: PreviousSession | None = None
    void: tuple[VoidIndex, ...] = ()
    kt: LogHead | None = None
    expire_s: int = 0
    refs: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedMessage:
    """`outer` goes into a `send` frame as it is; `session` is the outbound state to store before it leaves."""

    outer: bytes = field(repr=False)
    index: int
    session: Secret


class ReplayFacts(Protocol):
    """What the store knows of messages that were accepted before."""

    def ciphertext_hash(self, session_id: bytes, index: int) -> bytes | None:
        """SHA-256 of the ciphertext that was accepted at that index."""
        ...

    def seen_mid(self, chat_id: bytes, uid: bytes, mid: bytes) -> bytes | None:
        """SHA-256 of the ciphertext that was accepted under that mid of that author in that chat."""
        ...


MemberAt = Callable[[MembershipHead, bytes, int], bool | None]
"""(head, uid, dl_ver) -> `may_write` of the state with that head; None = no such head is known here."""


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A message that passed every check.

    To be stored in one transaction: the message, (session_id, index) -> ct_hash, (chat_id, uid, mid) -> ct_hash, and
    the inbound session if `session_changed`.
    """

    inner: MessageInner = field(repr=False)
    body: bytes = field(repr=False)
    ct_hash: bytes
    index: int
    inbound: InboundSession
    session_changed: bool
    clock_off: bool
    """The author's time is off by more than a day from the arrival: shown, never used for order."""
    unrotated: bool
    """The session is from before a membership event that its own author knew of and should have rotated for."""


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that must not be shown as anybody's."""

    cause: MessageCause


class _RefusedError(Exception):
    """Inside this module: a check failed."""

    def __init__(self, cause: MessageCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


def seal_message(
    outbound: OutboundSession,
    draft: Draft,
    *,
    now_ms: int,
    epoch: int,
    del_hash: bytes = NO_DELETE,
    ttl_bucket: int = 0,
) -> SealedMessage:
    """Encrypt the next message of a session. Changes `outbound`.

    Args:
        outbound: this device's session in the chat.
        draft: what to send.
        now_ms: time, shown to recipients.
        epoch: the chat's epoch as this device knows it; the server refuses a stale one.
        del_hash: SHA-256 of the delete token, zeros = cannot be deleted for all.
        ttl_bucket: see `MessageOuter`.

    Raises:
        MessageTooLargeError: the body does not fit; nothing has changed.
    """
    binding = outbound.binding
    plaintext = pad_message(encode(_inner(outbound, draft, now_ms)))
    if len(plaintext) > limits.MAX_CIPHERTEXT - 1024:
        raise MessageTooLargeError(f"{len(plaintext)} bytes")
    index = outbound.index
    outer = MessageOuter(
        v=limits.PROTOCOL_VERSION,
        suite=SUITE_GROUP,
        chat_id=binding.chat_id,
        epoch=epoch,
        session_id=binding.session_id,
        idx=index,
        mid=draft.mid,
        ct=outbound.encrypt(plaintext),
        del_hash=del_hash,
        ttl_bucket=ttl_bucket,
    )
    return SealedMessage(encode(outer), index, outbound.dump())


def _inner(outbound: OutboundSession, draft: Draft, now_ms: int) -> MessageInner:
    binding = outbound.binding
    return MessageInner(
        t=draft.type,
        chat_id=binding.chat_id,
        uid=binding.uid,
        did=binding.did,
        session_id=binding.session_id,
        mid=draft.mid,
        ts=now_ms,
        mhead=draft.head,
        prev=draft.prev,
        void=draft.void,
        kt=draft.kt,
        expire_s=draft.expire_s,
        refs=draft.refs,
        # What quotes somebody else mixes two authors' texts: its compressed size could tell one about the other.
        body=pack_body(draft.body, compress=not draft.refs),
    )


def decode_outer(data: bytes) -> MessageOuter:
    """A message as the server stores it; raises NewerVersionError or MalformedError."""
    return decode_array(MessageOuter, data, max_size=_MAX_OUTER)


def open_message(
    data: bytes,
    inbound: InboundSession,
    *,
    chat_id: bytes,
    facts: ReplayFacts,
    member_at: MemberAt,
    arrived_ms: int | None = None,
    last_epoch_before: Callable[[int], int] | None = None,
) -> OpenedMessage | RefusedMessage:
    """Open a row of a chat's log.

    Args:
        data: the row's bytes.
        inbound: the session that the row names, with a verified binding.
        chat_id: the chat whose log the row stands in.
        facts: what was accepted before.
        member_at: judges membership at the author's head.
        arrived_ms: the server's time of arrival, to mark clocks that are far off.
        last_epoch_before: (membership seq) -> seq of the last event up to it that asks for a new session.
    """
    try:
        outer = decode_outer(data)
        ct_hash = _check_outer(outer, inbound, chat_id, facts)
        message, plaintext, changed, session = _decrypt(outer, inbound)
        inner = decode_record(MessageInner, unpad_message(plaintext), max_size=limits.MAX_CIPHERTEXT)
        _check_inner(inner, outer, inbound)
        _check_membership(inner, inbound.binding.dl_ver, member_at)
        _check_mid(inner, ct_hash, facts)
        body = unpack_body(inner.body)
    except NewerVersionError:
        return RefusedMessage(MessageCause.NEWER_VERSION)
    except (MalformedError, PaddingError, BodyError):
        return RefusedMessage(MessageCause.MALFORMED)
    except _RefusedError as refused:
        return RefusedMessage(refused.cause)
    clock_off = arrived_ms is not None and abs(inner.ts - arrived_ms) > limits.CLOCK_TOLERANCE_MS
    unrotated = last_epoch_before is not None and inbound.binding.mhead.seq < last_epoch_before(inner.mhead.seq)
    return OpenedMessage(inner, body, ct_hash, message, session, changed, clock_off, unrotated)


def _check_outer(outer: MessageOuter, inbound: InboundSession, chat_id: bytes, facts: ReplayFacts) -> bytes:
    if outer.chat_id != chat_id or inbound.binding.chat_id != chat_id:
        raise _RefusedError(MessageCause.WRONG_CHAT)
    if outer.session_id != inbound.session_id:
        raise _RefusedError(MessageCause.WRONG_SESSION)
    ct_hash = hashlib.sha256(outer.ct).digest()
    known = facts.ciphertext_hash(outer.session_id, outer.idx)
    if known is not None:
        same = hmac.compare_digest(known, ct_hash)
        raise _RefusedError(MessageCause.DUPLICATE if same else MessageCause.REPLAYED_INDEX)
    return ct_hash


def _decrypt(outer: MessageOuter, inbound: InboundSession) -> tuple[int, bytes, bool, InboundSession]:
    try:
        message = vodozemac.MegolmMessage.from_bytes(outer.ct)
    except ValueError as error:
        raise _RefusedError(MessageCause.BAD_CIPHERTEXT) from error
    if message.message_index() != outer.idx:
        raise _RefusedError(MessageCause.INDEX_MISMATCH)
    try:
        opened = inbound.decrypt(message)
    except UnknownIndexError as error:
        raise _RefusedError(MessageCause.UNKNOWN_INDEX) from error
    except MegolmError as error:
        raise _RefusedError(MessageCause.BAD_CIPHERTEXT) from error
    return opened.index, opened.plaintext, opened.changed, opened.session


def _check_inner(inner: MessageInner, outer: MessageOuter, inbound: InboundSession) -> None:
    if inner.chat_id != outer.chat_id:
        raise _RefusedError(MessageCause.WRONG_CHAT)
    if inner.session_id != outer.session_id:
        raise _RefusedError(MessageCause.WRONG_SESSION)
    if inner.mid != outer.mid:
        raise _RefusedError(MessageCause.WRONG_MID)
    if inner.uid != inbound.binding.uid or inner.did != inbound.binding.did:
        raise _RefusedError(MessageCause.WRONG_AUTHOR)


def _check_membership(inner: MessageInner, dl_ver: int, member_at: MemberAt) -> None:
    was_member = member_at(inner.mhead, inner.uid, dl_ver)
    if was_member is None:
        raise _RefusedError(MessageCause.UNKNOWN_HEAD)
    if not was_member:
        raise _RefusedError(MessageCause.NOT_MEMBER)


def _check_mid(inner: MessageInner, ct_hash: bytes, facts: ReplayFacts) -> None:
    if facts.seen_mid(inner.chat_id, inner.uid, inner.mid) not in {None, ct_hash}:
        raise _RefusedError(MessageCause.REPLAYED_MID)


# --- bodies and delete tokens ---


def text_body(text: str) -> bytes:
    """Encoded body of the type "text"; raises MessageTooLargeError, or ValueError for an empty text."""
    if not text:
        raise ValueError("empty text")
    if len(text.encode()) > limits.TEXT_MAX_BYTES:
        raise MessageTooLargeError("text too long")
    return encode(TextBody(text=text))


def parse_text(body: bytes) -> str:
    """The text of a "text" body; raises MalformedError."""
    return decode_record(TextBody, body, max_size=limits.MAX_DECOMPRESSED).text


def delete_key(settings_key: Secret) -> Secret:
    """HKDF(SSK_n, "delete"): derive once, use for many tokens."""
    return derive(settings_key, b"delete")


def delete_token(key: Secret, chat_id: bytes, mid: bytes) -> bytes:
    """32 bytes that let the author's devices delete the message for all. `key` is from `delete_key`."""
    return hmac.digest(key.reveal(), cat(chat_id, mid), "sha256")


def delete_hash(token: bytes) -> bytes:
    """What the server keeps to recognise the token."""
    return hashlib.sha256(token).digest()
