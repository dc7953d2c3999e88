"""A network as it is outside."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import msgspec

from mensajeria.protocol.frames import Batch, BatchItem, Envelope, Event
from tests.attacks.evil import Rule


class BadWeather(Rule):
    """A network that loses and reorders what is pushed, as often as it was told to."""

    def __init__(self) -> None:
        self.lose = 0
        self.shuffle = 0
        self._chance = random.Random(1)

    def frame(self, to: bytes, frame: msgspec.Struct) -> Iterator[msgspec.Struct]:
        if isinstance(frame, Batch):
            items = list(self._left(frame.items))
            if self.shuffle and len(items) > 1:
                self.shuffle -= 1
                self._chance.shuffle(items)
            if items:
                yield Batch(tuple(items))
            return
        yield frame

    def _left(self, items: Iterable[BatchItem]) -> Iterator[BatchItem]:
        for item in items:
            if self.lose and isinstance(item, Event | Envelope):
                self.lose -= 1
            else:
                yield item
