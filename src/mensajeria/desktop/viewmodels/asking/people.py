"""What windows ask about people: who they are, blocks, reports; and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.types import Person


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


PersonRequest = (
    LookAtPerson
    | StartComparing
    | ConfirmEmoji
    | CancelComparing
    | CheckCode
    | WithdrawTrust
    | SetBlocked
    | LoadBlocked
    | DraftReport
    | SendReport
)


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
class Comparison:
    """A comparison of emoji. `phase`: incoming, asked, comparing, confirmed, done, cancelled. `emoji`: symbol, name."""

    person: Person
    phase: str
    emoji: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrustMoved:
    """A person was verified, or is not any more."""

    handle: str


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


PersonAnswer = PersonInfo | Comparison | TrustMoved | BlockMoved | Blocked | ReportDrafted | ReportSent
