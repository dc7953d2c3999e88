"""Type "text": what a person wrote."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, parse_text
from mensajeria.protocol.records import MessageInner


class Text:
    """A text has a place of its own."""

    name: Final = TEXT

    def parse(self, inner: MessageInner, body: bytes) -> str:
        """The text. Raises MalformedError."""
        del inner
        return parse_text(body)

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: str) -> NewMessage:
        """Show it."""
        del tx, out
        return arrival.place(MessageKind.TEXT, text=body)
