"""Type "text": what a person wrote, perhaps in answer to another message."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.kinds.references import quoted_reference
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, parse_text
from mensajeria.protocol.ids import Mid, Uid
from mensajeria.protocol.records import MessageInner


class Text:
    """A text has a place of its own. What it quotes is looked up here, never taken from the message."""

    name: Final = TEXT

    def parse(self, inner: MessageInner, body: bytes) -> tuple[str, tuple[Uid, Mid] | None]:
        """The text and what it answers. Raises MalformedError."""
        return parse_text(body), quoted_reference(inner)

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: tuple[str, tuple[Uid, Mid] | None]) -> NewMessage:
        """Show it."""
        del tx, out
        text, reply = body
        return arrival.place(MessageKind.TEXT, text=text, reply=reply)
