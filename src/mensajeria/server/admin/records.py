"""What the operator's commands return: values to print, or to turn into JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import b64
from mensajeria.server.findings import Found


@dataclass(frozen=True, slots=True)
class Migrated:
    """`before` is None for an empty database."""

    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Initialised:
    """A server that can be started. `invite` only if this call made it and it needs invites: told once."""

    server_id: bytes
    registration: str
    created: bool
    invite: Secret | None


@dataclass(frozen=True, slots=True)
class AllowedReset:
    """An account may get a new identity. The token is told once, the database keeps its hash."""

    handle: str
    token: Secret
    expires_ms: int

    @property
    def text(self) -> str:
        """The token as the operator passes it on, 22 characters of base64url. A secret."""
        return b64(self.token.reveal())


@dataclass(frozen=True, slots=True)
class CreatedInvite:
    """A new invite; the token is told once, the database keeps its hash."""

    id: int
    token: Secret
    uses: int
    expires_ms: int

    @property
    def text(self) -> str:
        """The token as people pass it on, 22 characters of base64url. A secret."""
        return b64(self.token.reveal())


@dataclass(frozen=True, slots=True)
class UserRow:
    """An account as the operator sees it. Times in milliseconds UTC; `last_seen_ms` 0 = never.

    `id`: where the next page goes on.
    """

    id: int
    uid: bytes
    handle: str
    status: str
    created_ms: int
    devices: int
    last_seen_ms: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in effect; the value of a secret one is not shown."""

    name: str
    value: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device of an account; `revoked_ms` None while it is listed, `mail_bytes` wait for it."""

    did: bytes
    name: str
    created_ms: int
    last_seen_ms: int
    revoked_ms: int | None
    logged_in: bool
    mail_bytes: int


@dataclass(frozen=True, slots=True)
class UserDetails:
    """An account with its devices. `invited_by`: the handle of a member, None for the operator's invites."""

    uid: bytes
    handle: str
    status: str
    created_ms: int
    list_ver: int
    invited_by: str | None
    chats: int
    devices: tuple[DeviceRow, ...]


class Subject(StrEnum):
    """What `doctor` looks at, in its order."""

    DATA_FOLDER = "data_folder"
    DISK = "disk"
    DATABASE = "database"
    MIGRATIONS = "migrations"
    IDENTITY = "identity"
    CLOCK = "clock"
    LAST_BACKUP = "last_backup"
    SECRETS = "secrets"
    REDIS = "redis"
    FILES = "files"
    PUBLIC_ADDRESS = "public_address"


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that `doctor` looked at: how it is, and what was found."""

    name: Subject
    state: State
    found: Found
