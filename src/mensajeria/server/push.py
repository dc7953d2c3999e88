"""What the services tell connected devices after a commit: hints. The database is the truth; devices catch up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event

__all__ = ["Push", "Relay", "Silent"]


class Push(Protocol):
    """The way to connected devices, on this process or another. No method raises because nobody listens."""

    async def notify_list_changed(self, account_ids: Iterable[int], uid: bytes, ver: int) -> None:
        """Tell every device of these accounts that the list of `uid` has version `ver`."""
        ...

    async def end_login(self, device_ids: Iterable[int], code: Code) -> None:
        """Close the connections of these devices: their login is over, because of `code`."""
        ...

    async def otk_low(self, device_id: int, left: int) -> None:
        """Tell a device how few one-time keys are left."""
        ...

    async def chat_created(self, chat_id: bytes, account_ids: Sequence[int]) -> None:
        """Tell the members of a new chat."""
        ...

    async def chat_answered(self, chat_id: bytes, account_id: int, *, accepted: bool) -> None:
        """An account has accepted or declined the chat: forget what was cached about it, tell its devices."""
        ...

    async def chat_rows(
        self, chat_id: bytes, joined: Sequence[int], audience: Sequence[int], rows: Sequence[Event]
    ) -> None:
        """Rows that are no messages, new or changed: forget the chat; `joined` get its head, `audience` the rows."""
        ...

    async def blocked(self, chat_id: bytes, one: int, other: int) -> None:
        """An account has blocked another: forget their direct chat, and that each may see whether the other is here."""
        ...


class Silent:
    """Nobody is connected: for the operator's commands, which run beside or without the server."""

    async def notify_list_changed(self, account_ids: Iterable[int], uid: bytes, ver: int) -> None:
        """See `Push`."""

    async def end_login(self, device_ids: Iterable[int], code: Code) -> None:
        """See `Push`."""

    async def otk_low(self, device_id: int, left: int) -> None:
        """See `Push`."""

    async def chat_created(self, chat_id: bytes, account_ids: Sequence[int]) -> None:
        """See `Push`."""

    async def chat_answered(self, chat_id: bytes, account_id: int, *, accepted: bool) -> None:
        """See `Push`."""

    async def chat_rows(
        self, chat_id: bytes, joined: Sequence[int], audience: Sequence[int], rows: Sequence[Event]
    ) -> None:
        """See `Push`."""

    async def blocked(self, chat_id: bytes, one: int, other: int) -> None:
        """See `Push`."""


class Relay:
    """Passes everything on to the hub once there is one: the services are made before the real-time part."""

    def __init__(self) -> None:
        self._target: Push = Silent()

    def attach(self, target: Push) -> None:
        """From now on, tell `target`."""
        self._target = target

    async def notify_list_changed(self, account_ids: Iterable[int], uid: bytes, ver: int) -> None:
        """See `Push`."""
        await self._target.notify_list_changed(account_ids, uid, ver)

    async def end_login(self, device_ids: Iterable[int], code: Code) -> None:
        """See `Push`."""
        await self._target.end_login(device_ids, code)

    async def otk_low(self, device_id: int, left: int) -> None:
        """See `Push`."""
        await self._target.otk_low(device_id, left)

    async def chat_created(self, chat_id: bytes, account_ids: Sequence[int]) -> None:
        """See `Push`."""
        await self._target.chat_created(chat_id, account_ids)

    async def chat_answered(self, chat_id: bytes, account_id: int, *, accepted: bool) -> None:
        """See `Push`."""
        await self._target.chat_answered(chat_id, account_id, accepted=accepted)

    async def chat_rows(
        self, chat_id: bytes, joined: Sequence[int], audience: Sequence[int], rows: Sequence[Event]
    ) -> None:
        """See `Push`."""
        await self._target.chat_rows(chat_id, joined, audience, rows)

    async def blocked(self, chat_id: bytes, one: int, other: int) -> None:
        """See `Push`."""
        await self._target.blocked(chat_id, one, other)
