"""Messages, chats, people and their events.

Frozen and plain. Times are milliseconds since the Unix epoch, UTC. Nothing here was taken from an unverified field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mensajeria.client.api.groups import ChatKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mensajeria.client.api.files import Attachment
    from mensajeria.client.api.groups import GroupView
    from mensajeria.client.api.messages import Quote, Reaction
    from mensajeria.protocol.errors import Code
    from mensajeria.protocol.ids import ChatId, Mid, Uid

NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class MessageState(StrEnum):
    """Life of an own message (queued → sent → delivered → read, or failed); `received` is an incoming one."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    RECEIVED = "received"


class MessageKind(StrEnum):
    """What stands at a place of the timeline."""

    TEXT = "text"
    FILE = "file"
    """See `Message.attachment`; `text` is its caption."""
    DELETED = "deleted"
    """A message that its author, or an admin, deleted for everybody: see `Message.deleted_by`."""
    UNKNOWN = "unknown"
    """A type that this version does not know: kept, read again after an update."""
    UNREADABLE = "unreadable"
    """Not decrypted (yet): see `Message.cause`."""
    NOTICE = "notice"
    """Written by the client, not by a person: see `Message.cause` and `params`."""


class Cause(StrEnum):
    """Why a message is unreadable, or what a notice says. Each has a sentence in both languages (`cause.<value>`)."""

    WAITING = "waiting"
    """The key has not arrived; the client is asking for it."""
    BEFORE_JOINED = "before_joined"
    NOT_KEPT = "not_kept"
    LOST = "lost"
    """The key is not to be had; `why` (a Lost) says what was tried. It still opens if the key comes after all."""
    BLOCKED = "blocked"
    """It can be read; its author is blocked. Shown again once the block is taken back."""
    TAMPERED = "tampered"
    """The row fails verification: altered, moved, replayed or signed by somebody else. Content is not shown."""
    MISSING = "missing"
    """`count` messages of a session never arrived: the server dropped or hides them."""
    REMOVED_BY_SERVER = "removed_by_server"
    TIMER_CHANGED = "timer_changed"
    """The sender has set the chat's disappearing messages to `seconds`; 0 = off."""
    IDENTITY_CHANGED = "identity_changed"
    IDENTITY_RENEWED = "identity_renewed"
    """The person has a new identity; the old one and the recovery code have signed for it."""
    NEW_DEVICE = "new_device"
    GROUP_CREATED = "group_created"
    MEMBER_ADDED = "member_added"
    """`who` names them, the notice's sender is who did it: so in the following ones."""
    MEMBER_REMOVED = "member_removed"
    MEMBER_LEFT = "member_left"
    HISTORY_SHARED = "history_shared"
    """`who` was added and may read what was written before, as far as `choice` (a HistoryChoice) says."""
    ROLE_CHANGED = "role_changed"
    """`who` is now `role`."""
    GROUP_RENAMED = "group_renamed"
    GROUP_SUPERSEDED = "group_superseded"
    """The group is closed, another one follows it."""
    GROUP_FORKED = "group_forked"
    """The server has let two different events take one place: nothing is sent any more."""
    MEMBER_SKIPPED = "member_skipped"
    """The member's devices got no key: their list or their identity is not the one the group knows."""
    ACCOUNT_GONE = "account_gone"
    """The account of the other person does not exist any more. Who has the name later is another one."""


class Lost(StrEnum):
    """Why a message was given up. Each has a sentence in both languages (`unreadable.lost_<value>`)."""

    UNKNOWN = "unknown"
    """Every device that could have the key has said that it has not."""
    REFUSED = "refused"
    """A device has the key and may not give it to this account."""
    SILENT = "silent"
    """A device that could have it has not answered for 30 days."""


class Trust(StrEnum):
    """How sure we are who a person is: first use, verified in person or by invite, or changed since."""

    FIRST_USE = "first_use"
    VERIFIED = "verified"
    INVITE = "invite"
    """By an invite's link: it named this very identity, and was passed on outside the server."""
    CHANGED = "changed"

    @property
    def is_verified(self) -> bool:
        """Whether the person knows by other means than the server's word who this is."""
        return self in {Trust.VERIFIED, Trust.INVITE}


@dataclass(frozen=True, slots=True)
class Person:
    """A user as this client knows them."""

    uid: Uid
    handle: str
    trust: Trust = Trust.FIRST_USE


@dataclass(frozen=True, slots=True)
class Message:
    """One place of a chat's timeline.

    `order` sorts the timeline and pages through it; it grows, and changes once when a queued message is acked.
    `seq` is the row in the chat's log, None while queued or for a notice between rows.
    """

    chat_id: ChatId
    mid: Mid
    order: int
    seq: int | None
    sender: Person
    outgoing: bool
    kind: MessageKind
    text: str
    state: MessageState
    sent_ms: int
    cause: Cause | None = None
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)
    error: Code | None = None
    clock_off: bool = False
    attachment: Attachment | None = None
    """The file of a message of the kind FILE."""
    reply: Quote | None = None
    edited_ms: int = 0
    """When its author last changed it, 0 = as it was written."""
    reactions: tuple[Reaction, ...] = ()
    deleted_by: Person | None = None
    expire_s: int = 0
    """How long it stays once it was read (sent, for the author); 0 = for ever."""
    expires_ms: int | None = None
    """When it disappears from this device; None while it has no timer or is not read."""

    @property
    def edited(self) -> bool:
        """Whether its author has changed it."""
        return self.edited_ms > 0

    @property
    def deleted(self) -> bool:
        """Whether it was deleted for everybody."""
        return self.kind is MessageKind.DELETED

    @property
    def late(self) -> bool:
        """A member's message that their removal had overtaken: genuine, shown folded, not counted as unread."""
        return "late" in self.params


MUTED_FOREVER: Final = (1 << 63) - 1
"""`ChatView.muted_until_ms` of a chat that is muted until the person takes it back."""


@dataclass(frozen=True, slots=True)
class ChatView:
    """A chat as a list shows it. `accepted` False = a message request that waits for an answer."""

    chat_id: ChatId
    peer: Person | None
    """The other member of a direct chat; oneself for the note to self; None in a group."""
    note_to_self: bool
    accepted: bool
    identity_changed: bool
    last: Message | None
    unread: int
    activity_ms: int
    draft: str = ""
    group: GroupView | None = None
    """What is particular to a group; None for every other chat."""
    blocked: bool = False
    """The person has blocked the other member: nothing passes in either direction."""
    muted_until_ms: int = 0
    """Nobody is told of new messages before this time (`MUTED_FOREVER`: until it is taken back); 0 = not muted."""
    gone: bool = False
    """The other person's account does not exist any more: the chat can be read, and takes no messages."""

    @property
    def kind(self) -> ChatKind:
        """What the chat is."""
        if self.peer is None:
            return ChatKind.GROUP
        return ChatKind.NOTE if self.note_to_self else ChatKind.DIRECT

    @property
    def name(self) -> str:
        """What it is called: the other member's name, or the group's (empty while this device does not know it)."""
        if self.peer is not None:
            return self.peer.handle
        return self.group.name if self.group is not None else ""


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a timeline, oldest first."""

    messages: tuple[Message, ...]
    at_start: bool
    at_end: bool


@dataclass(frozen=True, slots=True)
class SentMessage:
    """Returned by `Chat.send_text` once the message is stored in the outbox; its fate arrives as events."""

    chat_id: ChatId
    mid: Mid


# --- events ---


@dataclass(frozen=True, slots=True)
class Event:
    """Base of everything that `Client.events()` yields."""


@dataclass(frozen=True, slots=True)
class MessageReceived(Event):
    """A message (or unreadable place, or notice) was stored. Exactly once per message and device."""

    message: Message


@dataclass(frozen=True, slots=True)
class MessageChanged(Event):
    """A stored message changed: its state, or it became readable. `previous_order` finds it in a timeline."""

    message: Message
    previous_order: int


@dataclass(frozen=True, slots=True)
class MessageStateChanged(MessageChanged):
    """An own message moved along queued → sent → delivered → read, or failed."""


@dataclass(frozen=True, slots=True)
class MessageRemoved(Event):
    """A place of the timeline is gone: deleted for oneself, expired, or it turned out to be no message of its own."""

    chat_id: ChatId
    mid: Mid
    order: int


@dataclass(frozen=True, slots=True)
class MessageDiscarded(MessageRemoved):
    """A failed message was discarded by its author."""


@dataclass(frozen=True, slots=True)
class ChatChanged(Event):
    """A chat appeared or its view changed."""

    chat: ChatView


@dataclass(frozen=True, slots=True)
class TypingChanged(Event):
    """A person started or stopped typing."""

    chat_id: ChatId
    person: Person
    typing: bool


@dataclass(frozen=True, slots=True)
class IdentityChanged(Event):
    """A contact's identity changed. `blocked`: the contact was verified, so sending waits for the answer."""

    chat_id: ChatId
    person: Person
    blocked: bool


@dataclass(frozen=True, slots=True)
class SecurityWarning(Event):
    """The server did something it must not: altered, replayed, swapped, rolled back.

    `code` keys the sentence `error.<code>`; nothing of what was received was used.
    """

    code: str
    chat_id: ChatId | None = None
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """This consumer of `Client.events()` was too slow: `count` events were dropped here. Read again what is shown."""

    count: int
