"""Making sure of people: comparing emoji, codes and numbers, what has happened to a chat's security, the key log."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mensajeria.client.api.core import NO_PARAMS, Event, Person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mensajeria.protocol.ids import ChatId


class VerificationPhase(StrEnum):
    """Where a comparison of emoji stands."""

    INCOMING = "incoming"
    """They ask; `Security.start` with the same person answers."""
    ASKED = "asked"
    COMPARING = "comparing"
    """`Verification.emoji` is there: the people compare, then `confirm` or `cancel`."""
    CONFIRMED = "confirmed"
    """Confirmed here, not yet there."""
    DONE = "done"
    CANCELLED = "cancelled"


class VerificationMethod(StrEnum):
    """How an identity was verified."""

    EMOJI = "emoji"
    CODE = "code"
    """Their QR code (or its text) was read."""
    NUMBER = "number"
    INVITE = "invite"
    """They came by this account's invite link, or this account by theirs."""
    DEVICE = "device"
    """On another device of this account, which has told this one."""


class SecurityKind(StrEnum):
    """What a line of a chat's security timeline tells. Each has a sentence `security.<value>` in both languages."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    IDENTITY_CHANGED = "identity_changed"
    IDENTITY_ACCEPTED = "identity_accepted"
    IDENTITY_RENEWED = "identity_renewed"
    """Proven by the former one: nothing has to be accepted."""
    DEVICE_ADDED = "device_added"
    DEVICE_REMOVED = "device_removed"
    VERIFICATION_FAILED = "verification_failed"
    MEMBERSHIP = "membership"
    """`params`: type, by, who."""
    WARNING = "warning"
    """`params`: code; its sentence is `error.<code>`."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A comparison of emoji with a person. `emoji`: seven (symbol, name) once there is something to compare.

    The name keys the words `emoji.<name>`. `reason` of a cancelled one keys `verification.<reason>`.
    """

    person: Person
    phase: VerificationPhase
    emoji: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    by_me: bool = False


@dataclass(frozen=True, slots=True)
class ContactSecurity:
    """What is known of who a person is. `verified_ms` 0 = never."""

    person: Person
    safety_number: str
    """Twelve groups of five digits, the same on both sides."""
    verified_by: VerificationMethod | None
    verified_ms: int
    sending_blocked: bool
    """The person was verified and the identity has changed since: `Chat.accept_identity` or verify again."""
    devices: int
    logged: bool | None
    """Whether the key log holds exactly these keys; None where it has not been seen yet."""


@dataclass(frozen=True, slots=True)
class SecurityEntry:
    """A line of a chat's security timeline. `person`: whom it is about, None for the chat itself."""

    at_ms: int
    kind: SecurityKind
    person: Person | None
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class VerificationChanged(Event):
    """A comparison moved along, or somebody asks for one."""

    verification: Verification


@dataclass(frozen=True, slots=True)
class TrustChanged(Event):
    """A person was verified, or is not any more."""

    chat_id: ChatId | None
    person: Person
    method: VerificationMethod | None
