"""What windows ask about the own account and its devices, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mensajeria.kit.secrets import Secret


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
class RenewIdentity:
    """Move the account to another identity and password, proven by the recovery code."""

    old: Secret
    new: Secret
    code: Secret


@dataclass(frozen=True, slots=True)
class LogOut:
    """End this login, or (`everywhere`) those of all devices. What is stored here stays, unless `erase`."""

    everywhere: bool = False
    erase: bool = False


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
    """Answered by `PrivacyIs` and `NewChatsTimerIs`."""


@dataclass(frozen=True, slots=True)
class SetPrivacy:
    """Let others notice something or not: read_receipts, typing or presence; answered by `PrivacyIs`."""

    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class SetNewChatsTimer:
    """After how many seconds what is written in chats to come disappears, 0 = never; answered by `NewChatsTimerIs`."""

    seconds: int


@dataclass(frozen=True, slots=True)
class LoadHealth:
    """Answered by `HealthInfo`."""


AccountRequest = (
    LoadDevices
    | RenameDevice
    | RemoveDevice
    | ConfirmDevice
    | MakeLink
    | ChangePassword
    | RenewIdentity
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
    | SetNewChatsTimer
    | LoadHealth
)


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
class NewChatsTimerIs:
    """The timer of chats to come, seconds; 0 = none."""

    seconds: int


@dataclass(frozen=True, slots=True)
class HealthInfo:
    """Numbers of this device: each has a sentence `health.<key>`; only those that are not zero."""

    well: bool
    counts: tuple[tuple[str, int], ...]


AccountAnswer = (
    Devices
    | LinkMade
    | LinkUsed
    | BackupInfo
    | StorageIs
    | BackupMade
    | Invites
    | InviteMade
    | ProfileIs
    | PrivacyIs
    | NewChatsTimerIs
    | HealthInfo
)
