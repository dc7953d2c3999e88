"""Sending one chat's queued messages: in order, a bounded number in flight, every refusal answered.

The items themselves lie in the store; here is only which of them are on the wire and what a refusal means:

- refused for good: that message fails, the next ones go on;
- stale epoch: stop, fetch the log until it is stable, rotate the session once, seal again under the same mids. In a
  busy group that may happen many times in a row: as long as the log shows newer epochs it goes on, a little slower.
  A server that calls an epoch stale and has none that is newer is given up on after five rounds;
- not now: stop, wait, and go on with the oldest, byte-identical.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mensajeria.client.core.backoff import Backoff
from mensajeria.protocol.errors import MEANINGS, Code

WINDOW: Final = 64
MAX_STALE_ROUNDS: Final = 5
"""In a row: of those that brought no newer epoch before the message fails, of all before each one waits first."""
_NOT_BY_ITSELF: Final = frozenset({Code.REQUEST_LIMIT})
"""The table says "later", but only the other person can change it: the message fails and may be retried by hand."""
_RETRY: Final = frozenset(
    code.value for code, meaning in MEANINGS.items() if meaning.retry and code not in _NOT_BY_ITSELF
)


@dataclass(frozen=True, slots=True)
class Fail:
    """The message is refused for good."""

    mid: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """After `seconds` bring the chat's log level, then rotate and seal again what is not acked; report `refreshed`."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Report `resumed` after `seconds`; nothing of the chat is sent until then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Continue:
    """There is room: send what comes next."""


Effect = Fail | Refresh | Pause | Continue


@dataclass(slots=True)
class ChatOutbox:
    """What of a chat's outbox is on the wire."""

    _in_flight: dict[bytes, None] = field(default_factory=dict)
    _backoff: Backoff = field(default_factory=Backoff)
    _held: Effect | None = None
    """A Pause or Refresh that waits for the answers still in flight, so that order is kept."""
    _blocked: bool = False
    _stale_rounds: int = 0
    """Since the last ack."""
    _idle_rounds: int = 0
    """Of these, the last ones that brought no newer epoch."""

    @property
    def room(self) -> int:
        """How many more messages may go on the wire now."""
        return 0 if self._blocked or self._held is not None else WINDOW - len(self._in_flight)

    def is_in_flight(self, mid: bytes) -> bool:
        """Whether the message is on the wire, its answer not here."""
        return mid in self._in_flight

    def sent(self, mid: bytes) -> None:
        """The message's bytes left."""
        self._in_flight[mid] = None

    def acked(self, mid: bytes) -> list[Effect]:
        """The server has stored it."""
        self._in_flight.pop(mid, None)
        if self._held is None:
            self._backoff.reset()
            self._stale_rounds = self._idle_rounds = 0
        return self._after_answer()

    def nacked(self, mid: bytes, code: str, retry_after_ms: int, chance: float) -> list[Effect]:
        """The server has not stored it."""
        self._in_flight.pop(mid, None)
        if code == Code.STALE_EPOCH:
            return self._stale(mid, chance)
        if code not in _RETRY:
            return [Fail(mid, code), *self._after_answer()]
        if self._held is None:
            self._held = Pause(max(retry_after_ms / 1000, self._backoff.next_delay(chance)))
        return self._after_answer()

    def refreshed(self, *, moved: bool) -> list[Effect]:
        """The log is level, the session rotated, the unacked messages sealed again. `moved`: under a newer epoch."""
        self._blocked = False
        self._idle_rounds = 0 if moved else self._idle_rounds + 1
        return [Continue()]

    def resumed(self) -> list[Effect]:
        """The pause is over."""
        self._blocked = False
        return [Continue()]

    def disconnected(self) -> None:
        """No answer will come: everything unacked is sent again on the next connection."""
        self._in_flight.clear()
        self._held, self._blocked = None, False

    def _stale(self, mid: bytes, chance: float) -> list[Effect]:
        if isinstance(self._held, Refresh):
            return self._after_answer()
        if self._idle_rounds >= MAX_STALE_ROUNDS:
            self._stale_rounds = self._idle_rounds = 0
            return [Fail(mid, Code.STALE_EPOCH), *self._after_answer()]
        self._stale_rounds += 1
        slow = self._stale_rounds > MAX_STALE_ROUNDS
        self._held = Refresh(self._backoff.next_delay(chance) if slow else 0.0)
        return self._after_answer()

    def _after_answer(self) -> list[Effect]:
        if self._held is None:
            return [] if self._blocked else [Continue()]
        if self._in_flight:
            return []
        effect, self._held, self._blocked = self._held, None, True
        return [effect]
