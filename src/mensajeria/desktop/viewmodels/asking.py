"""What windows ask about groups, people and the account, and what they are told: one door for all of it.

`AskModel.ask` takes a frozen request and emits ``asked``; the bridge does the work and ends every request with exactly
one ``finish`` (an error or None). Answers that carry something to show come before that through ``put``; each kind of
answer has a signal of its own. Nothing here waits, and nothing here knows a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, pyqtSignal

from mensajeria.desktop.viewmodels.types import NO_PARAMS, ErrorNotice, Person

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mensajeria.kit.secrets import Secret


HISTORY: Final = ("none", "24h", "7d", "all")
"""How much of the past new members of a group may read."""

# ---- requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FindPerson:
    """Whether somebody has this name; answered by `Found`."""

    handle: str


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Make a group; answered by `GroupMade`."""

    name: str
    handles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookAtChat:
    """Who is in a chat and what happened to its security; answered by `ChatInfo`."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class SearchChat:
    """Where in a chat these words are; answered by `ChatFound`."""

    chat_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Add people to a group. `history`: what they may read of the past, one of `HISTORY`."""

    chat_id: str
    handles: tuple[str, ...]
    history: str = "none"


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member of a group."""

    chat_id: str
    handle: str


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Give a member another role: owner, admin or member."""

    chat_id: str
    handle: str
    role: str


@dataclass(frozen=True, slots=True)
class RenameGroup:
    """Give a group another name and description."""

    chat_id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class SetGroupPicture:
    """Give a group a picture; None takes it away."""

    chat_id: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Leave a group."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class RecreateGroup:
    """The way out of a group that the server lied about; answered by `GroupMade`."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class LookAtPerson:
    """Number, code and trust of a person; answered by `PersonInfo`, and by `Comparison` when one runs."""

    handle: str


@dataclass(frozen=True, slots=True)
class StartComparing:
    """Compare emoji with a person, or answer when they have asked; answered by `Comparison`."""

    handle: str


@dataclass(frozen=True, slots=True)
class ConfirmEmoji:
    """The emoji are the same."""

    handle: str


@dataclass(frozen=True, slots=True)
class CancelComparing:
    """End the comparison; `mismatch`: the emoji differ."""

    handle: str
    mismatch: bool = False


@dataclass(frozen=True, slots=True)
class CheckCode:
    """Verify a person by their code's text or by the number that both see."""

    handle: str
    text: str


@dataclass(frozen=True, slots=True)
class WithdrawTrust:
    """Do not take a person for verified any more."""

    handle: str


@dataclass(frozen=True, slots=True)
class SetBlocked:
    """Block a person, or take it back; answered by `BlockMoved`."""

    handle: str
    on: bool


@dataclass(frozen=True, slots=True)
class Mute:
    """Do not tell of new messages in a chat: for so many seconds, None: until it is taken back, 0: take it back."""

    chat_id: str
    for_s: int | None


@dataclass(frozen=True, slots=True)
class LoadBlocked:
    """Whom the account has blocked; answered by `Blocked`."""


@dataclass(frozen=True, slots=True)
class DraftReport:
    """What the operator would be told about a person; answered by `ReportDrafted`. Nothing is sent."""

    handle: str
    words: str
    chat_id: str = ""
    mids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendReport:
    """Tell the operator exactly what was drafted and shown; answered by `ReportSent`."""

    handle: str
    text: str


@dataclass(frozen=True, slots=True)
class LoadDevices:
    """Answered by `Devices`."""


@dataclass(frozen=True, slots=True)
class RenameDevice:
    """Give an own device another name."""

    did: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveDevice:
    """Cut an own device off, for good. `code`: the recovery code, which a young device needs."""

    did: str
    password: Secret
    code: Secret | None = None


@dataclass(frozen=True, slots=True)
class ConfirmDevice:
    """A new device is one's own."""

    did: str


@dataclass(frozen=True, slots=True)
class MakeLink:
    """A code for a new device; answered by `LinkMade`, and by `LinkUsed` once a device has used it."""


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Replace the password. `code`: the recovery code, which a young device needs."""

    old: Secret
    new: Secret
    code: Secret | None = None


@dataclass(frozen=True, slots=True)
class LogOut:
    """End this login, or (`everywhere`) those of all devices. What is stored here stays."""

    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class LoadStorage:
    """How much of this computer the profile takes; answered by `StorageIs`."""


@dataclass(frozen=True, slots=True)
class LoadBackup:
    """Answered by `BackupInfo`."""


@dataclass(frozen=True, slots=True)
class MakeBackup:
    """Write everything into an encrypted file; answered by `BackupMade`."""

    path: Path
    passphrase: Secret


@dataclass(frozen=True, slots=True)
class LoadInvites:
    """Answered by `Invites`."""


@dataclass(frozen=True, slots=True)
class MakeInvite:
    """Answered by `InviteMade` and `Invites`."""

    uses: int
    days: int


@dataclass(frozen=True, slots=True)
class RevokeInvite:
    """End an invite."""

    number: int


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """What the own profile says; answered by `ProfileIs`."""


@dataclass(frozen=True, slots=True)
class SetProfile:
    """Change the own profile; answered by `ProfileIs`. `picture`: another one; `no_picture`: take it away."""

    name: str
    status: str
    picture: Path | None = None
    no_picture: bool = False


@dataclass(frozen=True, slots=True)
class LoadPrivacy:
    """Answered by `PrivacyIs`."""


@dataclass(frozen=True, slots=True)
class SetPrivacy:
    """Let others notice something or not: read_receipts, typing or presence; answered by `PrivacyIs`."""

    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class LoadHealth:
    """Answered by `HealthInfo`."""


Request = (
    FindPerson
    | CreateGroup
    | LookAtChat
    | SearchChat
    | AddMembers
    | RemoveMember
    | ChangeRole
    | RenameGroup
    | SetGroupPicture
    | LeaveGroup
    | RecreateGroup
    | LookAtPerson
    | StartComparing
    | ConfirmEmoji
    | CancelComparing
    | CheckCode
    | WithdrawTrust
    | SetBlocked
    | Mute
    | LoadBlocked
    | DraftReport
    | SendReport
    | LoadDevices
    | RenameDevice
    | RemoveDevice
    | ConfirmDevice
    | MakeLink
    | ChangePassword
    | LogOut
    | LoadStorage
    | LoadBackup
    | MakeBackup
    | LoadInvites
    | MakeInvite
    | RevokeInvite
    | LoadProfile
    | SetProfile
    | LoadPrivacy
    | SetPrivacy
    | LoadHealth
)


# ---- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody has this name (`person`), or nobody."""

    handle: str
    person: Person | None


@dataclass(frozen=True, slots=True)
class GroupMade:
    """A group is there; its row was put before."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a chat. `role`: owner, admin or member."""

    person: Person
    role: str
    me: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class SecurityLine:
    """One event of a chat's security; `kind` keys its sentence `security.<kind>`."""

    at_ms: int
    kind: str
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class PersonInfo:
    """What is known of who a person is. `code` are the rows of this account's own QR code, True = dark."""

    person: Person
    number: str
    verified_by: str = ""
    verified_ms: int = 0
    changed: bool = False
    devices: int = 0
    logged: bool | None = None
    code: tuple[tuple[bool, ...], ...] = ()
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class ChatInfo:
    """What the info panel shows. `role` is one's own in a group, empty for who is not in it."""

    chat_id: str
    members: tuple[Member, ...] = ()
    role: str = ""
    description: str = ""
    person: PersonInfo | None = None
    timeline: tuple[SecurityLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatFound:
    """The places of the messages in which all words are, the newest first. `whole`: there are no more of them."""

    chat_id: str
    text: str
    positions: tuple[int, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of emoji. `phase`: incoming, asked, comparing, confirmed, done, cancelled. `emoji`: symbol, name."""

    person: Person
    phase: str
    emoji: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BlockMoved:
    """A person was blocked, or is not any more."""

    handle: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Whom the account has blocked, by name."""

    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class ReportDrafted:
    """The whole text that the operator would read."""

    handle: str
    text: str


@dataclass(frozen=True, slots=True)
class ReportSent:
    """The operator knows; `number` is what they know it under."""

    number: int


@dataclass(frozen=True, slots=True)
class TrustMoved:
    """A person was verified, or is not any more."""

    handle: str


@dataclass(frozen=True, slots=True)
class Device:
    """An own device."""

    did: str
    name: str
    created_ms: int
    last_seen_ms: int
    current: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class Devices:
    """All own devices."""

    rows: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class LinkMade:
    """A code for a new device: as text, and as rows of a QR code's modules, True = dark."""

    text: Secret
    code: tuple[tuple[bool, ...], ...]
    expires_ms: int


@dataclass(frozen=True, slots=True)
class LinkUsed:
    """A new device has read the code."""

    name: str


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """What of the keys lies on the server; `used` and `quota` are None while offline."""

    version: int
    current: bool
    saved: int
    pending: int
    restoring: bool
    used: int | None = None
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class StorageIs:
    """The profile's folder, and the bytes of everything in it."""

    folder: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BackupMade:
    """The file is written."""

    name: str
    messages: int


@dataclass(frozen=True, slots=True)
class Invite:
    """An invite that was made before. `state`: valid, revoked, expired or used."""

    number: int
    uses_left: int
    expires_ms: int
    state: str
    joined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invites:
    """The own invites, newest first."""

    rows: tuple[Invite, ...]


@dataclass(frozen=True, slots=True)
class InviteMade:
    """The link of a new invite, told once."""

    link: Secret


@dataclass(frozen=True, slots=True)
class ProfileIs:
    """The own profile as it was last wanted; it may not be published yet."""

    name: str
    status: str
    has_picture: bool


@dataclass(frozen=True, slots=True)
class PrivacyIs:
    """What others are let notice."""

    read_receipts: bool = True
    typing: bool = True
    presence: bool = False


@dataclass(frozen=True, slots=True)
class HealthInfo:
    """Numbers of this device: each has a sentence `health.<key>`; only those that are not zero."""

    well: bool
    counts: tuple[tuple[str, int], ...]


Answer = (
    Found
    | GroupMade
    | ChatInfo
    | ChatFound
    | PersonInfo
    | Comparison
    | TrustMoved
    | BlockMoved
    | Blocked
    | ReportDrafted
    | ReportSent
    | Devices
    | LinkMade
    | LinkUsed
    | BackupInfo
    | StorageIs
    | BackupMade
    | Invites
    | InviteMade
    | ProfileIs
    | PrivacyIs
    | HealthInfo
)


class AskModel(QObject):
    """Requests out, answers in. See the module's docstring."""

    asked = pyqtSignal(object)
    finished = pyqtSignal(object, object)
    """(request, `ErrorNotice` or None)"""
    answered = pyqtSignal(object)
    """Any `Answer`; whoever shows one looks at its type."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._comparisons: dict[str, Comparison] = {}
        self._new_devices: tuple[Device, ...] = ()

    def ask(self, request: Request) -> None:
        """Ask for something."""
        self.asked.emit(request)

    def put(self, answer: Answer) -> None:
        """Something to show has come."""
        if isinstance(answer, Comparison):
            self._comparisons[answer.person.handle] = answer
        elif isinstance(answer, Devices):
            self._new_devices = tuple(row for row in answer.rows if row.is_new and not row.current)
        self.answered.emit(answer)

    def finish(self, request: Request, error: ErrorNotice | None = None) -> None:
        """A request is done, or has failed."""
        self.finished.emit(request, error)

    def comparison(self, handle: str) -> Comparison | None:
        """The newest step of a comparison with this person."""
        return self._comparisons.get(handle)

    @property
    def new_devices(self) -> tuple[Device, ...]:
        """Own devices that nobody has confirmed."""
        return self._new_devices
