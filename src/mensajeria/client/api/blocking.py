"""Blocking people, and telling the operator about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mensajeria.client.api.core import Person
from mensajeria.protocol.ids import ChatId


@dataclass(frozen=True, slots=True)
class Report:
    """What the operator of the server is told about a person: this and nothing else.

    A report is a claim. The operator cannot read messages, and nothing proves that they were written.
    """

    person: Person
    text: str = field(repr=False)
    """The reporter's words and, below them, the messages that were chosen: in the clear for the operator."""
    chat_id: ChatId | None
    """The chat that the chosen messages are from; None when none were chosen."""
