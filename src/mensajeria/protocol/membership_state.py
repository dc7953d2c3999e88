"""Who is in a chat: ids of chats, and the state that a chain of events adds up to (docs/protocol/e2ee.md §8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cached_property

from mensajeria.protocol.encoding import H, encode, u32, u64
from mensajeria.protocol.records import SUITE_DIRECT_CHAT, MemberEvent, MemberRow, MembershipHead


class ChatKind(StrEnum):
    """A direct chat's members are fixed by its id; a group's follow from its events."""

    DIRECT = "direct"
    GROUP = "group"


class Role(StrEnum):
    """What a member of a group may do: see `membership`."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Row:
    """A member. Only uid, idfp, role and dl_floor are part of the state's hash."""

    uid: bytes
    idfp: bytes
    """Identity whose devices get keys; empty in a direct chat until an identity event."""
    role: Role
    dl_floor: int = 0
    """Signatures under an older device list are refused: set by `device` events."""
    dl_last: int = 0
    """List version of the member's last event: never decreases."""
    floor_seq: int = 0
    """Sequence number of the event that set the floor, 0 = none."""


@dataclass(frozen=True, slots=True)
class FormerMember:
    """What is remembered of somebody who is gone, so that being added again does not lower any floor."""

    removed_seq: int
    dl_floor: int
    dl_last: int
    floor_seq: int


@dataclass(frozen=True)
class MembershipState:
    """A chat's membership after its event `seq`."""

    chat_id: bytes
    kind: ChatKind
    seq: int
    hash: bytes
    """Hash of the last valid event's body; the chat's id before the first event of a direct chat."""
    members: Mapping[bytes, Row]
    epoch: int = 0
    """Sequence number of the last remove, leave, device or identity event: sender sessions from before are not used."""
    timer_s: int = 0
    profile_ver: int = 0
    profile: bytes = field(default=b"", repr=False)
    superseded_by: bytes = b""
    former: Mapping[bytes, FormerMember] = field(default_factory=dict)

    def is_member(self, uid: bytes) -> bool:
        """True while `uid` is in the chat."""
        return uid in self.members

    def may_write(self, uid: bytes, dl_ver: int) -> bool:
        """Could a session bound under the author's list `dl_ver` be written to in this state?

        Not by a non-member, and not under a list from before the floor: the device may be the one that was cut off.
        """
        row = self.members.get(uid)
        return row is not None and dl_ver >= row.dl_floor

    def role(self, uid: bytes) -> Role | None:
        """The member's role, None for everybody else."""
        row = self.members.get(uid)
        return None if row is None else row.role

    @cached_property
    def head(self) -> MembershipHead:
        """What every message carries: (seq, hash, hash of the canonical table, timer and profile version)."""
        table = encode(
            [
                MemberRow(row.uid, row.idfp, row.role.value, row.dl_floor)
                for row in sorted(self.members.values(), key=lambda row: row.uid)
            ]
        )
        state = H("member-state", table, u32(self.timer_s), u64(self.profile_ver))
        return MembershipHead(self.seq, self.hash, state)


class VoidReason(StrEnum):
    """Why an event has no effect, now and for ever."""

    MALFORMED = "malformed"
    OTHER_CHAT = "other_chat"
    STALE = "stale"
    WRONG_PREV = "wrong_prev"
    NOT_MEMBER = "not_member"
    OLD_DEVICE_LIST = "old_device_list"
    UNKNOWN_DEVICE = "unknown_device"
    WRONG_IDENTITY = "wrong_identity"
    BAD_SIGNATURE = "bad_signature"
    FIELDS = "fields"
    NOT_ALLOWED = "not_allowed"
    NOT_IN_DIRECT_CHAT = "not_in_direct_chat"
    CLOSED = "closed"
    TOO_MANY = "too_many"
    NO_SUCCESSION = "no_succession"
    NO_CHANGE = "no_change"


@dataclass(frozen=True, slots=True)
class Valid:
    """The event is applied: the state after it."""

    state: MembershipState
    event: MemberEvent


@dataclass(frozen=True, slots=True)
class Void:
    """The event is skipped; the chain goes on as if it did not exist."""

    reason: VoidReason


@dataclass(frozen=True, slots=True)
class Pending:
    """Not decidable yet: earlier events or a newer device list must be fetched first."""

    what: str


@dataclass(frozen=True, slots=True)
class NewerType:
    """Written by a newer program: the chat is read-only until an update."""

    type: str


Verdict = Valid | Void | Pending | NewerType


@dataclass(frozen=True, slots=True)
class Signer:
    """A device's signing key and the identity whose list vouches for it."""

    ed25519: bytes
    idfp: bytes


class Unavailable(Enum):
    """No signer: not known yet, or proven not to have been listed."""

    PENDING = "pending"
    UNKNOWN = "unknown"


SignerLookup = Callable[[bytes, bytes, int], Signer | Unavailable]
"""(uid, did, dl_ver) -> the device as it stood in that version of the user's list."""


def direct_chat_id(server_id: bytes, uid_a: bytes, uid_b: bytes) -> bytes:
    """The id of the chat of two users, or of one user's note to self: both compute it offline, in either order."""
    return H("direct", SUITE_DIRECT_CHAT, server_id, min(uid_a, uid_b), max(uid_a, uid_b))


def group_chat_id(create_body: bytes) -> bytes:
    """The id of a group: the hash of its signed create event."""
    return H("chat", create_body)


def event_hash(body: bytes) -> bytes:
    """What the next event's `prev` holds. Covers the body, not the signature."""
    return H("member-event", body)


def start_direct(chat_id: bytes, server_id: bytes, uid_a: bytes, uid_b: bytes) -> MembershipState:
    """The state of a direct chat before its first event.

    Raises:
        ValueError: `chat_id` is not the chat of these two.
    """
    if chat_id != direct_chat_id(server_id, uid_a, uid_b):
        raise ValueError("not the id of this direct chat")
    members = {uid: Row(uid, b"", Role.MEMBER) for uid in (uid_a, uid_b)}
    return MembershipState(chat_id, ChatKind.DIRECT, 0, chat_id, members)
