"""What belongs to a message beside its text: what it answers, who reacted, its versions; and what changes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mensajeria.client.api.core import Event

if TYPE_CHECKING:
    from mensajeria.client.api.core import MessageKind, Person
    from mensajeria.protocol.ids import ChatId, Mid


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that a message answers, as this device has it. Nothing of it was sent along with the answer."""

    mid: Mid
    sender: Person
    kind: MessageKind | None
    """None: the original is not here (never arrived, deleted for oneself, or expired)."""
    text: str
    """The beginning of its text as it stands now."""
    order: int | None
    """Its place in the timeline."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One person's one emoji under a message."""

    person: Person
    emoji: str


@dataclass(frozen=True, slots=True)
class Version:
    """What a text said at a time, by its author's clock."""

    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ChangeSent(Event):
    """The server has stored an own edit, reaction, delete or timer. `mid` is that of the change itself."""

    chat_id: ChatId
    mid: Mid


@dataclass(frozen=True, slots=True)
class ChangeFailed(Event):
    """An own edit, reaction, delete or timer was refused for good and taken back. `code` keys a sentence."""

    chat_id: ChatId
    mid: Mid
    code: str
