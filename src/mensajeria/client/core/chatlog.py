"""Catching up with one chat's log: every row exactly once, in order, whatever is pushed, fetched, late or twice.

The log is the truth and a push is a hint: seq <= position is dropped, position + 1 is applied, more starts a fetch.
What is fetched must be gapless; a server that answers otherwise is told on, and asked again. When it goes on so, the
rows that it does not give are passed over (`Pass`): what follows says itself what it needs of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from mensajeria.protocol.frames import Event

MAX_HELD: Final = 1024
"""Pushed rows held while earlier ones are fetched; above this they are dropped and fetched later."""
MAX_USELESS_FETCHES: Final = 3
MAX_PASSED: Final = 64 * 1024
"""Rows that are passed over at once: a number from nowhere must not move a device to the end of all numbers.

So many are remembered, too, and taken in where they come later: an honest server heals what a number has done.
"""


@dataclass(frozen=True, slots=True)
class Apply:
    """Store these rows; they follow the position without a gap."""

    chat_id: bytes
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask for the rows after `after`."""

    chat_id: bytes
    after: int


@dataclass(frozen=True, slots=True)
class Violation:
    """The server broke the log's promise. `code` keys the sentence `error.<code>`."""

    chat_id: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Pass:
    """The server does not give the rows `first` to `upto`: go on behind them."""

    chat_id: bytes
    first: int
    upto: int


Effect = Apply | Fetch | Violation | Pass


@dataclass(slots=True)
class ChatLog:
    """Where this device stands in a chat's log. `position` counts rows handed out, acked as own, or passed over."""

    chat_id: bytes
    position: int = 0
    last_seq: int = 0
    """Highest row the server has spoken of."""
    fetching: bool = False
    _held: dict[int, Event] = field(default_factory=dict)
    _own: set[int] = field(default_factory=set)
    _useless: int = 0

    @property
    def level(self) -> bool:
        """Whether every row the server has spoken of was handed out."""
        return self.position >= self.last_seq or self._useless >= MAX_USELESS_FETCHES

    def head(self, last_seq: int) -> list[Effect]:
        """What the server says is the log's end, at connect."""
        if last_seq < self.position:
            return [Violation(self.chat_id, "log_rolled_back")]
        self.last_seq = max(self.last_seq, last_seq)
        return self._fetch_if_behind()

    def pushed(self, event: Event) -> list[Effect]:
        """A row came by itself."""
        self.last_seq = max(self.last_seq, event.seq)
        if event.seq <= self.position:
            return []
        if len(self._held) < MAX_HELD:
            self._held.setdefault(event.seq, event)
        return [*self._release(), *self._fetch_if_behind()]

    def own_acked(self, seq: int) -> list[Effect]:
        """Row `seq` is a message of this device, whose content needs no fetching."""
        self.last_seq = max(self.last_seq, seq)
        if seq > self.position:
            self._own.add(seq)
        return [*self._release(), *self._fetch_if_behind()]

    def fetched(self, events: Sequence[Event], last_seq: int) -> list[Effect]:
        """The answer to `Fetch`."""
        self.fetching = False
        if last_seq < self.position:
            return [Violation(self.chat_id, "log_rolled_back")]
        if any(event.chat_id != self.chat_id for event in events) or not _is_ascending(events):
            return self._refuse_fetch((), last_seq)
        fresh = [event for event in events if event.seq > self.position]
        # Nothing new although the server has spoken of more: asking on and on would get the same answer.
        if (fresh and fresh[0].seq != self.position + 1) or (
            not fresh and max(last_seq, self.last_seq) > self.position
        ):
            return self._refuse_fetch(fresh, last_seq)
        self.last_seq = max(self.last_seq, last_seq)
        self._useless = 0
        self._hold(fresh)
        return [*self._release(), *self._fetch_if_behind()]

    def disconnected(self) -> None:
        """Nothing that was asked will be answered."""
        self.fetching = False
        self._useless = 0

    def _release(self) -> list[Effect]:
        ready: list[Event] = []
        while True:
            following = self.position + 1
            event = self._held.pop(following, None)
            if event is not None:
                ready.append(event)
            elif following not in self._own:
                break
            self._own.discard(following)
            self.position = following
        return [Apply(self.chat_id, tuple(ready))] if ready else []

    def _fetch_if_behind(self) -> list[Effect]:
        if self.position >= self.last_seq or self.fetching:
            return []
        if self._useless >= MAX_USELESS_FETCHES:
            if self._next_here() is None:
                return []
            self._useless -= 1  # something is behind the hole now: once more, and over it
        self.fetching = True
        return [Fetch(self.chat_id, self.position)]

    def _hold(self, events: Sequence[Event]) -> None:
        """Keep rows up to the first gap among them: what is behind it is asked for again, from there."""
        for at, event in enumerate(events):
            if event.seq != events[0].seq + at:
                return
            self._held[event.seq] = event

    def _refuse_fetch(self, fresh: Sequence[Event], last_seq: int) -> list[Effect]:
        """The answer does not go on where this device stands; `fresh` is what it has of later rows."""
        self._useless += 1
        told = Violation(self.chat_id, "log_gap")
        if self._useless < MAX_USELESS_FETCHES:
            return [told, *self._fetch_if_behind()]
        return [told, *self._pass_over(fresh, last_seq)]

    def _pass_over(self, fresh: Sequence[Event], last_seq: int) -> list[Effect]:
        """Go on with the next row that is here, if there is one and it is not too far."""
        following = self._next_here(fresh)
        if following is None:
            return []
        first, upto = self.position + 1, following - 1
        self._hold(fresh)
        self.position, self._useless, self.last_seq = upto, 0, max(self.last_seq, last_seq)
        return [Pass(self.chat_id, first, upto), *self._release(), *self._fetch_if_behind()]

    def _next_here(self, fresh: Sequence[Event] = ()) -> int | None:
        """The next row that is here, unless it is too far."""
        here = min([*self._held, *self._own, *(event.seq for event in fresh)], default=None)
        return None if here is None or here > self.position + 1 + MAX_PASSED else here


def _is_ascending(events: Sequence[Event]) -> bool:
    return all(second.seq > first.seq for first, second in pairwise(events))
