"""What every broker promises within one process."""

from __future__ import annotations

from mensajeria.server.broker.broker import (
    ChatNote,
    DeviceItemNote,
    EndNote,
    FrameNote,
    ItemNote,
    JoinNote,
    Note,
    PartNote,
    PresenceNote,
)
from tests.server.broker.conftest import Process

NOTES: tuple[Note, ...] = (
    ItemNote((1, 2), (b"item", b"another"), 7),
    DeviceItemNote(7, b"item"),
    FrameNote((1,), 15, b"frame", skip=2),
    FrameNote((), 15, b"frame", device=7),
    ChatNote(b"c" * 32, (1, 2)),
    EndNote((7,), "login_revoked"),
    JoinNote(7, b"o" * 8),
    PresenceNote(1, b"u" * 16, (1, 2), True, True),
    PartNote(1, 2),
)


async def test_every_note_comes_back_to_its_own_process_at_once_in_order_and_once(process: Process) -> None:
    for note in NOTES:
        process.broker.publish(note)
    assert process.notes == list(NOTES)
    assert process.flushed == 0
    process.broker.flush()
    assert process.flushed == 1
    await process.broker.announce(1, 7)
    process.say(NOTES[0])
    assert process.notes == [*NOTES, NOTES[0]]
    process.broker.withdraw(1, 7)
    assert process.missed == 0


async def test_a_started_broker_is_linked(process: Process) -> None:
    assert process.broker.is_linked


async def test_a_device_may_be_announced_twice_and_withdrawn_twice(process: Process) -> None:
    await process.broker.announce(1, 7)
    await process.broker.announce(1, 7)
    process.broker.withdraw(1, 7)
    process.broker.withdraw(1, 7)
    await process.broker.announce(1, 7)
