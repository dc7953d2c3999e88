"""Values that cross between the bridge, the view models and the widgets.

Frozen, plain, without Qt and without the client.

Identifiers are opaque strings (the bridge chooses hexadecimal); times are milliseconds since the Unix epoch, UTC.
Texts are what a person wrote, already decrypted and authenticated; they are still untrusted and are only ever painted
as plain text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mensajeria.desktop.viewmodels.parts import FileRow, QuoteRow, ReactionRow
    from mensajeria.kit.secrets import Secret

PENDING_BASE = 1 << 62
"""First ``MessageRow.position`` of messages that have no ``seq`` yet: they always stand after the log's rows."""

NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Phase(Enum):
    """Which window the person sees."""

    SIGNED_OUT = auto()
    RECOVERY_CODE = auto()
    READY = auto()


class MessageState(Enum):
    """Life of an own message; ``NONE`` is an incoming one."""

    NONE = auto()
    SENDING = auto()
    SENT = auto()
    DELIVERED = auto()
    READ = auto()
    FAILED = auto()


class Unreadable(Enum):
    """Why a message has no text (docs/protocol/e2ee.md §10: undecryptable is never silent)."""

    WAITING = auto()
    BEFORE_JOINED = auto()
    NOT_KEPT = auto()
    BLOCKED = auto()
    LOST = auto()
    LOST_UNKNOWN = auto()
    LOST_REFUSED = auto()
    LOST_SILENT = auto()
    DELETED = auto()
    """By its author or an admin, for everybody."""
    UNKNOWN = auto()
    """Readable, but of a kind that only a newer version shows."""


class ServiceKind(Enum):
    """Rows that nobody wrote; ``MessageRow.service_params`` fills the sentence's placeholders (name, count)."""

    ENCRYPTED = auto()
    IDENTITY_CHANGED = auto()
    IDENTITY_RENEWED = auto()
    MESSAGES_MISSING = auto()
    REMOVED_BY_SERVER = auto()
    TAMPERED = auto()
    NEW_DEVICE = auto()
    GROUP_CREATED = auto()
    MEMBER_ADDED = auto()
    MEMBER_REMOVED = auto()
    MEMBER_LEFT = auto()
    HISTORY_SHARED = auto()
    ROLE_CHANGED = auto()
    GROUP_RENAMED = auto()
    TIMER_CHANGED = auto()
    GROUP_SUPERSEDED = auto()
    GROUP_FORKED = auto()
    MEMBER_SKIPPED = auto()
    ACCOUNT_GONE = auto()


class ConnectionPhase(Enum):
    """State of the link to the server."""

    ONLINE = auto()
    CONNECTING = auto()
    CATCHING_UP = auto()
    OFFLINE = auto()
    SESSION_EXPIRED = auto()
    SECURITY = auto()


class Told(Enum):
    """What a notification says; anybody who sees the screen reads it."""

    HIDDEN = "hidden"
    """That something has come."""
    SENDER = "sender"
    """From whom."""
    FULL = "full"
    """From whom, and what."""


class ThemeChoice(Enum):
    """The theme setting."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class CheckState(Enum):
    """Progress of a live check of a field."""

    IDLE = auto()
    RUNNING = auto()
    OK = auto()
    BAD = auto()


@dataclass(frozen=True, slots=True)
class Person:
    """A user. ``hue`` is sha256(user id)[0] % 8 and selects the avatar's gradient."""

    uid: str
    handle: str
    name: str
    hue: int
    verified: bool = False

    @property
    def shown_name(self) -> str:
        """The display name, or the handle where there is none."""
        return self.name or self.handle


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One row of the chat list.

    ``sort_ms`` orders the list (newest first). ``last_state`` is ``NONE`` unless the last message is one's own.
    ``request`` marks a chat started by a stranger and not yet accepted. ``identity_changed`` raises the banner until
    it is dismissed.
    """

    chat_id: str
    title: str
    hue: int
    handle: str = ""
    preview: str = ""
    preview_kind: ServiceKind | Unreadable | None = None
    preview_outgoing: bool = False
    time_ms: int = 0
    sort_ms: int = 0
    unread: int = 0
    last_state: MessageState = MessageState.NONE
    verified: bool = False
    online: bool = False
    draft: str = ""
    typing: bool = False
    request: bool = False
    identity_changed: bool = False
    note_to_self: bool = False
    group: bool = False
    members: int = 0
    """Of a group."""
    role: str = ""
    """One's own in a group: owner, admin or member; empty for who is not in it."""
    typist: str = ""
    """Who is writing in a group."""
    author: str = ""
    """Who wrote the last message of a group, unless it was oneself."""
    blocked: bool = False
    """The person of the chat was blocked."""
    muted_until_ms: int = 0
    """Nobody is told of new messages before this time."""
    closed: str = ""
    """Why nothing can be written into the chat: the sentence is ``error.<closed>``."""
    peer: str = ""
    """User id of the person of the chat; empty in a group."""
    picture: bytes = field(default=b"", repr=False)
    """Of a group: a small JPEG, empty = none."""

    @property
    def face(self) -> str:
        """Whose picture stands for the chat: see ``ProfilesModel``."""
        return self.chat_id if self.group else self.peer

    @property
    def administers(self) -> bool:
        """Whether one may change the group and delete what others wrote in it."""
        return self.role in {"owner", "admin"}


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One row of a timeline.

    ``key`` never changes; ``position`` orders rows inside a chat (``seq`` of the log, or ``PENDING_BASE + n`` for the
    outbox' n-th) and
    may change once, when a pending row is acknowledged. ``error`` is a code of the public error table, for ``FAILED``
    rows.
    ``clock_off`` marks a sender's time that is more than 24 h off.
    """

    key: str
    position: int
    sender: Person
    outgoing: bool
    time_ms: int
    text: str = ""
    state: MessageState = MessageState.NONE
    error: str = ""
    unreadable: Unreadable | None = None
    service: ServiceKind | None = None
    service_params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)
    clock_off: bool = False
    edited: bool = False
    mid: str = ""
    """The message's id, for what is done with it; empty for rows that nobody wrote."""
    quote: QuoteRow | None = None
    reactions: tuple[ReactionRow, ...] = ()
    file: FileRow | None = None
    """``text`` is its caption then."""
    expire_s: int = 0
    """How long it stays once it was read; 0 = for ever."""

    @property
    def position_is_final(self) -> bool:
        """Whether the row has its place in the log: before that, nothing can refer to it."""
        return self.position < PENDING_BASE

    @property
    def is_message(self) -> bool:
        """Whether it is a readable message that can be answered, reacted to and deleted."""
        return bool(self.mid) and self.service is None and self.unreadable is None

    @property
    def is_editable(self) -> bool:
        """Whether it is an own text that can be worded anew."""
        failed = self.state is MessageState.FAILED
        return self.outgoing and self.is_message and self.file is None and bool(self.text) and not failed


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a timeline, in ascending ``position``; ``at_start``/``at_end``: nothing older/newer is stored."""

    chat_id: str
    rows: tuple[MessageRow, ...]
    at_start: bool
    at_end: bool


@dataclass(frozen=True, slots=True)
class OpenedChat:
    """First page of a chat that was just opened.

    The divider stands above ``first_unread`` (a row's key) when it is not empty.
    """

    page: Page
    first_unread: str = ""
    unread: int = 0
    group: bool = False
    """Several people write here."""
    target: str = ""
    """The row (its key) that was asked for: it is shown and flashes."""


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """Link to the server. ``retry_at_ms`` is 0 when no retry is planned.

    ``error`` is a code of the public error table or empty.
    """

    phase: ConnectionPhase
    server: str = ""
    retry_at_ms: int = 0
    pending: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """Answer to ``check_server`` for exactly this ``address``. ``error`` is a code when ``state`` is ``BAD``."""

    address: str
    state: CheckState
    version: str = ""
    registration_open: bool = False
    secure: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class NameCheck:
    """Answer to ``check_name`` for exactly this ``handle``.

    ``suggestions`` are free-looking alternatives to a taken name.
    """

    handle: str
    state: CheckState
    suggestions: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class PasswordStrength:
    """``score`` 0 (very weak) to 4 (very strong); ``advice`` is a key of the string catalogue or empty.

    ``accepted``: may be used.
    """

    score: int
    advice: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What the login form holds when it is sent."""

    server: str
    handle: str
    password: Secret


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """What the registration form holds when it is sent; ``invite`` may be empty."""

    server: str
    handle: str
    password: Secret
    invite: str


@dataclass(frozen=True, slots=True)
class RecoverRequest:
    """What the form for people without their password holds when it is sent."""

    server: str
    handle: str
    code: Secret
    password: Secret
    """The new one."""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """What the form of who has lost password and recovery code holds when it is sent; `code` is the operator's."""

    server: str
    handle: str
    code: Secret
    password: Secret
    """The new one."""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What the form for a new device of an account holds when it is sent; `code` is what another device shows."""

    code: Secret
    password: Secret


SignIn = LoginRequest | RegisterRequest | RecoverRequest | ResetRequest | LinkRequest
"""A way into an account."""


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """Answer to ``check_link``: whom and where the code names, or why it is none."""

    state: CheckState
    server: str = ""
    handle: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ErrorNotice:
    """An error for a person: the sentence is ``error.<code>`` of the catalogue with ``params``."""

    code: str
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class Preferences:
    """Settings that live on this computer. ``text_size`` is one of ``TEXT_SIZES`` (px).

    ``language`` is ``es`` or ``en``.
    """

    language: str = "es"
    theme: ThemeChoice = ThemeChoice.SYSTEM
    text_size: int = 14
    reduce_motion: bool = False
    enter_sends: bool = True
    notify: bool = True
    told: Told = Told.HIDDEN
    do_not_disturb: bool = False


TEXT_SIZES = (12, 13, 14, 15, 16, 18, 20)
"""Allowed sizes of message text, px."""
