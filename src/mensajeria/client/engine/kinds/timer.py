"""Type "timer": the disappearing messages of a direct chat (docs/decisions/0014). A group's timer is a signed event."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.records import MessageInner
from mensajeria.protocol.records_messages import TIMER, TimerBody


class Timer:
    """The last one in the log's order holds, for what both write from then on."""

    name: Final = TIMER

    def parse(self, inner: MessageInner, body: bytes) -> int:
        """Seconds. Raises MalformedError."""
        if inner.refs:
            raise MalformedError("a timer is about no message")
        return decode_record(TimerBody, body).seconds

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: int) -> NewMessage | None:
        """Set the timer, and say so in the timeline; without effect in a group."""
        del out
        if not arrival.direct or arrival.late:
            return None
        tx.timers.set(arrival.chat_id, body, arrival.seq)
        params = {"seconds": str(body)}
        return arrival.place(MessageKind.NOTICE, cause=Cause.TIMER_CHANGED, params=params, counted=False)
