"""What the store keeps besides what people see: frozen rows. Key material is wrapped, plaintext is not in a repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mensajeria.client.api import NO_PARAMS, Cause, Message, MessageKind, MessageState, Trust
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Idfp, Mid, SessionId, Uid

ORDER_SHIFT: Final = 16
"""`order` of the log's row n is n << 16; what the client itself puts after that row takes the places above it."""
PENDING_BASE: Final = 1 << 62
"""Orders of queued messages start here, so that they stand after every row of the log."""
MAX_SEQ: Final = (PENDING_BASE >> ORDER_SHIFT) - 1
"""A log's seq above this is no real server's: 2^46 rows."""
MAX_NOTICES: Final = 256
"""Notices that may stand after one row; further ones are dropped."""


# --- people ---


@dataclass(frozen=True, slots=True)
class Contact:
    """A user whose identity and newest device list were verified (oneself too).

    `announced_ver` above `list_ver` means that the list must be fetched before the next send.
    """

    uid: Uid
    handle: str
    identity: bytes
    """Encoded IdentityRecord."""
    idfp: Idfp
    list_ver: int
    list_hash: bytes
    list_body: bytes
    """Encoded DeviceList."""
    list_sig: bytes
    updated_ms: int
    trust: Trust = Trust.FIRST_USE
    announced_ver: int = 0
    sending_blocked: bool = False
    """A verified contact's identity changed: nothing is encrypted before the person answers."""
    former_idfp: Idfp | None = None
    """The identity before the last change."""


# --- own device ---


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the last login gave."""

    access: Secret
    access_expires_ms: int
    refresh: Secret
    known: Secret


# --- chats ---


@dataclass(frozen=True, slots=True)
class Chat:
    """Everything about a chat but its messages. Sequence numbers are the log's; 0 = none."""

    chat_id: ChatId
    peer: Uid | None
    """The other member of a direct chat, oneself in the note to self, nobody in particular in a group."""
    note_to_self: bool
    accepted: bool
    declined: bool
    cursor: int
    """Rows up to here are decided (shown, kept as unreadable, or void)."""
    cursor_sent: int
    last_seq: int
    epoch: int
    member_seq: int
    mhead: bytes | None
    """Encoded MembershipHead."""
    membership: bytes | None
    """What the membership rule needs to go on; opaque here."""
    prev_session: SessionId | None
    prev_idx: int | None
    peer_delivered: int
    peer_read: int
    read_seq: int
    read_sent: int
    unread: int
    identity_changed: bool
    draft: str = field(repr=False)
    activity_ms: int

    @property
    def is_group(self) -> bool:
        """Whether who is in it follows from its events; see `tx.groups`."""
        return self.peer is None


class Halt(StrEnum):
    """Why nothing is written into a group any more, though one is in it."""

    NONE = ""
    FORKED = "forked"
    """The server has let two different events take one place: both are kept, see `Groups.forks`."""
    NEWER = "newer_version"
    """An event of a type that this version does not know: who is in the group cannot be told."""


@dataclass(frozen=True, slots=True)
class Group:
    """What is kept of a group besides its chain. `role` is one's own, empty for who is not in it (any more)."""

    chat_id: ChatId
    role: str
    name: str = field(repr=False)
    description: str = field(repr=False)
    profile_ver: int
    """Version of the event that name, description and picture are from."""
    halted: Halt
    leaving: bool
    """The person has left; the server has not taken it yet."""
    supersedes: ChatId | None
    superseded_by: ChatId | None
    joined_seq: int
    """The log's row by which one came in: what stands before it is from before."""
    skipped_from: int = 0
    """The first row before it that this device has never decided: it may be given some of those."""

    @property
    def is_writable(self) -> bool:
        """Whether something can be written into it."""
        return bool(self.role) and not self.leaving and self.superseded_by is None and self.halted is Halt.NONE


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group, and up to which row they say to have read it."""

    uid: Uid
    role: str
    read_seq: int


@dataclass(frozen=True, slots=True)
class MemberEventRow:
    """A valid membership event; `chat_seq` is its row in the log."""

    seq: int
    hash: bytes
    body: bytes
    sig: bytes
    chat_seq: int


class RowOutcome(StrEnum):
    """Why a raw row is still kept."""

    NEW = "new"
    """Stored, not looked at yet."""
    WAITING = "waiting"
    """No key for its session."""
    HELD = "held"
    """Its membership head is not known yet."""
    TAMPERED = "tampered"
    """Evidence: it failed verification."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row of the log exactly as it came, kept until it is verified."""

    chat_id: ChatId
    seq: int
    kind: int
    """protocol.frames.EventKind."""
    server_ms: int
    body: bytes = field(repr=False)
    session_id: SessionId | None = None
    outcome: RowOutcome = RowOutcome.NEW


# --- messages ---


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to put into a timeline. Without `seq` it is queued and stands at the end.

    `counted`: raises the chat's unread number. `inner` keeps the decrypted body of an unknown type for a later version.
    """

    chat_id: ChatId
    mid: Mid
    sender: Uid
    outgoing: bool
    kind: MessageKind
    state: MessageState
    sent_ms: int
    seq: int | None = None
    server_ms: int = 0
    text: str = field(default="", repr=False)
    counted: bool = False
    clock_off: bool = False
    cause: Cause | None = None
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)
    inner: bytes | None = field(default=None, repr=False)
    file: bytes | None = field(default=None, repr=False)
    """Encoded FileBody of the kind FILE."""
    reply: tuple[Uid, Mid] | None = None
    """Author and id of the message that it answers."""
    session_id: SessionId | None = None
    idx: int | None = None
    """Where it stands in its author's sender session."""
    expire_s: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A stored message after a change, and where it stood before."""

    message: Message
    previous_order: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """The ciphertext made for an outbox item: its retries are byte-identical."""

    outer: bytes
    session_id: SessionId
    idx: int
    epoch: int


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A message that is not acked yet. `position` grows over the whole outbox; items of a chat leave in its order."""

    chat_id: ChatId
    mid: Mid
    position: int
    type: str
    body: bytes = field(repr=False)
    """Canonical body of `type`, plaintext, kept until the ack."""
    created_ms: int
    tries: int
    sealed: Sealed | None
    failed: str | None
    """A protocol.errors.Code: refused for good, waits for `requeue` or `remove`."""
    refs: tuple[tuple[Uid, Mid], ...] = ()
    """Messages that it is about."""
    expire_s: int = 0


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A security warning as it was shown."""

    code: str
    chat_id: ChatId | None
    params: Mapping[str, str]
    at_ms: int
