"""Which logins have ended while somebody was being let in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

ENTRIES: Final = 10_000


class EndedLately:
    """Remembers when the newest ends of logins were told, by device; of older ones that there were some.

    Whoever reads a login takes `now` before and asks `since` after: what was read may be older than an end that was
    told in between. In doubt the answer is yes.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        """`entries`: of how many devices the moment is known."""
        self.now = 0
        """The moment: a count that grows with everything told."""
        self._entries = entries
        self._unknown = 0
        """Up to this moment, the login of any device may have ended."""
        self._last: OrderedDict[int, int] = OrderedDict()

    def add(self, devices: Iterable[int]) -> None:
        """The logins of these devices are over."""
        self.now += 1
        for device in devices:
            self._last[device] = self.now
            self._last.move_to_end(device)
        while len(self._last) > self._entries:
            _, self._unknown = self._last.popitem(last=False)

    def add_unknown(self) -> None:
        """The login of any device may be over: news of it may have been lost."""
        self.now += 1
        self._unknown = self.now
        self._last.clear()

    def since(self, moment: int, device: int) -> bool:
        """May the device's login have ended after `moment`?"""
        return moment < self._unknown or moment < self._last.get(device, 0)
