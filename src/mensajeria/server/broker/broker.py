"""The broker: what one process tells all processes, so that devices connected anywhere hear of it.

Notes are hints. Losing one costs a device the time until its next catch-up, never a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class ItemNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Encoded batch items, in order, for every device of these accounts, but `skip` (0 = none)."""

    accounts: tuple[int, ...]
    items: tuple[bytes, ...]
    skip: int = 0


class DeviceItemNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """An encoded batch item for one device."""

    device: int
    item: bytes


class FrameNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """A whole frame for every device of these accounts, but those of account `skip`, or for one device."""

    accounts: tuple[int, ...]
    kind: int
    body: bytes
    skip: int = 0
    device: int = 0


class ChatNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """A chat has changed in a way its events do not carry: forget it; tell these accounts its new head."""

    chat_id: bytes
    accounts: tuple[int, ...]


class EndNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """These devices' logins are over."""

    devices: tuple[int, ...]
    code: str


class JoinNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """A device has connected to the process `origin`: its connections elsewhere are replaced."""

    device: int
    origin: bytes


class PresenceNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The user `account` is here, or not any more: for those of `accounts` who show themselves.

    `asks`: each of them is to be told of, back to `account`.
    """

    account: int
    uid: bytes
    accounts: tuple[int, ...]
    on: bool
    asks: bool = False


class PartNote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=8):
    """Two accounts are no contacts any more: neither shows itself to the other."""

    one: int
    other: int


Note = ItemNote | DeviceItemNote | FrameNote | ChatNote | EndNote | JoinNote | PresenceNote | PartNote
Deliver = Callable[[Note], None]


class Listener(msgspec.Struct, frozen=True):
    """What a broker calls, in the event loop.

    `delivered` follows one or more calls of `deliver`. `missed`: notes for this process may have been lost; whoever is
    connected has to catch up, and what was cached may be old.
    """

    deliver: Deliver
    delivered: Callable[[], None]
    missed: Callable[[], None]


class Broker(Protocol):
    """Carries notes to every process, this one included, in the order in which one process published them.

    `publish` never waits or fails; `flush` marks the end of what was ready together, so that it can travel as one.
    """

    @property
    def is_linked(self) -> bool:
        """False while other processes may not be heard, nor hear this one."""
        ...

    async def start(self, listener: Listener) -> None:
        """Begin to deliver."""
        ...

    async def announce(self, account: int, device: int) -> None:
        """A device is about to be connected here.

        On return, whatever a process publishes for it from then on reaches this one. What was published before was
        committed before: a device that reads the log after this misses nothing. Each call is paired with a `withdraw`.
        """
        ...

    def withdraw(self, account: int, device: int) -> None:
        """The device's connection is over."""
        ...

    def publish(self, note: Note) -> None:
        """Take one note."""
        ...

    def flush(self) -> None:
        """Send what was published."""
        ...

    async def close(self) -> None:
        """Send what was published, then deliver nothing more."""
        ...
