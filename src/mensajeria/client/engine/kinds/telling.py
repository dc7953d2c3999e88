"""Events about messages that look different now."""

from __future__ import annotations

from collections.abc import Iterable

from mensajeria.client.api import Message, MessageChanged
from mensajeria.client.engine.outcome import Outcome


def tell(out: Outcome, messages: Iterable[Message]) -> None:
    """One event for each message that changed at its place."""
    for message in messages:
        out.events.append(MessageChanged(message, message.order))
        out.touched.add(message.chat_id)
