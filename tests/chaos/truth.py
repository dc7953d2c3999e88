"""What must be true of all devices, whatever has happened: what is not yet, and what never may be."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import (
    Cause,
    Message,
    MessageKind,
    MessageState,
)
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.records import MessageOuter
from tests.chaos.people import CLUB, Device

if TYPE_CHECKING:
    from tests.chaos.world import World

CANARY: Final = "zarzaparrilla"
"""Stands in every text, and nowhere in what a server sees."""
GENUINE: Final = {MessageKind.TEXT, MessageKind.DELETED}
Row = tuple[str, str, bool, tuple[tuple[str, str], ...]]
"""Author, text, whether it was edited, and who put which emoji under it."""


def _row(message: Message) -> Row:
    reactions = tuple(sorted((one.person.handle, one.emoji) for one in message.reactions))
    return message.sender.handle, message.text, message.edited, reactions


class Truth:
    """Looks at every device of a world, as its person would."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def unhealed(self) -> list[str]:
        """Places that a device cannot read, rows that it lacks or shows otherwise, and texts that have not left."""
        found, members = [], await self._club_members()
        for device in self._world.living():
            for one in (one for timeline in await device.timelines() for one in timeline):
                if one.kind is MessageKind.UNREADABLE and self._may_read(device, one, members):
                    found.append(f"{device}: {one.seq} {one.cause} {dict(one.params)}")
                elif one.state is MessageState.FAILED and not self.may_fail(one):
                    found.append(f"{device}: refused for good: {one.text} {one.error}")
            found += [f"{device} still holds {text}" for text in await self._world.queued(device)]
        return found or [odd for place in self._world.chats for odd in await self._differences(place)]

    async def _differences(self, place: frozenset[str]) -> list[str]:
        """Rows of a chat that a device lacks, or shows otherwise than another."""
        chat_id, log, found = self._world.chats[place], dict[int, Row](), list[str]()
        devices = [device for device in self._world.living() if device.person in place]
        shown = [(device, await self._rows(device, chat_id)) for device in devices]
        for device, rows in shown:
            if device.person != "carla" and chat_id not in {chat.chat_id for chat in await device.client.chats()}:
                found.append(f"{device} does not know the chat of {set(place)}")
            for seq, row in rows.items():
                if log.setdefault(seq, row) != row:
                    found.append(f"{device} shows in row {seq} of {set(place)} {row}, another {log[seq]}")
        for device, rows in shown:
            if missing := set(self._entitled(device, place, log)) - set(rows):
                found.append(f"{device} lacks rows {missing} of {set(place)}")
        return found

    def may_fail(self, message: Message) -> bool:
        """Carla may write into the club when she is removed already and has not heard of it."""
        return self._world.written.get(message.text) == ("carla", CLUB)

    async def _club_members(self) -> set[str]:
        """Who is in the club now, as its owner knows it."""
        owner = next(device for device in self._world.living() if device.person == "ana")
        return {one.person.handle for one in await owner.client.chat(self._world.chats[CLUB]).members()}

    def _may_read(self, device: Device, message: Message, members: set[str]) -> bool:
        """Whether somebody must be able to help: nobody answers who is no member, nor for what came before one was."""
        if message.chat_id == self._world.chats[CLUB] and device.person not in members:
            return False
        return message.cause is not Cause.BEFORE_JOINED and (message.seq or 0) > device.since.get(message.chat_id, 0)

    async def check(self) -> None:
        """The invariants, once everything has healed."""
        await self._check_timelines()
        self._check_wire()

    async def _check_timelines(self) -> None:
        for place, chat_id in self._world.chats.items():
            assert not (odd := await self._differences(place)), odd
            devices = [device for device in self._world.living() if device.person in place]
            rows = {seq: row for device in devices for seq, row in (await self._rows(device, chat_id)).items()}
            self._check_texts(place, [row for row in rows.values() if row[1]])

    def _entitled(self, device: Device, place: frozenset[str], log: dict[int, Row]) -> Iterator[int]:
        """The rows that the device must have: what came after it, while its person was a member."""
        for seq in log:
            if seq > device.since.get(self._world.chats[place], 0) and not (place == CLUB and device.person == "carla"):
                yield seq

    async def _rows(self, device: Device, chat_id: ChatId) -> dict[int, Row]:
        """What the device shows of the log, reactions and edits too."""
        if chat_id not in {chat.chat_id for chat in await device.client.chats()}:
            return {}
        history = [one async for one in device.client.chat(chat_id).history() if one.kind in GENUINE]
        placed = [one for one in history if one.seq is not None]
        assert [one.seq for one in placed] == sorted(one.seq or 0 for one in placed), "out of order"
        since = device.since.get(chat_id, 0)
        return {one.seq: _row(one) for one in placed if one.seq is not None and one.seq > since}

    def _check_texts(self, place: frozenset[str], log: list[Row]) -> None:
        """Everything that was written is there once, with its author."""
        times = Counter(row[1] for row in log if CANARY in row[1])
        assert [text for text, count in times.items() if count > 1] == [], "shown twice"
        assert all(self._world.written[row[1]] == (row[0], place) for row in log if CANARY in row[1]), "wrong author"
        wanted = {text for text, (_, where) in self._world.written.items() if where == place}
        assert (lost := wanted - set(times) - self._world.forgotten - self._world.mended) == set(), f"lost: {lost}"

    def _check_wire(self) -> None:
        """No index of a session is used for two ciphertexts, and nothing readable has passed."""
        made: dict[tuple[bytes, int], set[bytes]] = {}
        for _, frame in self._world.evil.seen.from_clients:
            if isinstance(frame, MessageOuter):
                digest = hashlib.sha256(frame.ct).digest()
                made.setdefault((bytes(frame.session_id), frame.idx), set()).add(digest)
        assert [key for key, ciphertexts in made.items() if len(ciphertexts) > 1] == []
        canary = CANARY.encode()
        assert not any(canary in data for data in (*self._world.evil.seen.wire, *self._world.evil.seen.rest))
