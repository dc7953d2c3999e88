"""Progress is told often enough to be seen and seldom enough to cost nothing."""

from __future__ import annotations

from mensajeria.client.api import Direction, Event, Transfer, TransferProgress
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.transfers import Transfers
from mensajeria.protocol.ids import ChatId, Mid


def at(done: int, mid: bytes = b"m" * 16, direction: Direction = Direction.UPLOAD) -> Transfer:
    return Transfer(ChatId(b"c" * 32), Mid(mid), direction, done, 1000)


async def told(emitter: Emitter, *steps: Transfer) -> tuple[Transfers, list[int]]:
    transfers, stream = Transfers(emitter), emitter.stream()
    for step in steps:
        transfers.at(step)
    emitter.end()
    events: tuple[Event, ...] = await stream.next_batch()
    return transfers, [event.transfer.done for event in events if isinstance(event, TransferProgress)]


async def test_the_first_step_and_the_end_are_told_and_what_comes_too_fast_between_is_not() -> None:
    _, seen = await told(Emitter(), *(at(done) for done in range(0, 1001, 10)))
    assert seen == [0, 1000]


async def test_what_runs_is_listed_with_how_far_it_is_until_it_ends() -> None:
    transfers, _ = await told(Emitter(), at(10), at(20), at(5, b"n" * 16, Direction.DOWNLOAD))
    assert [one.done for one in transfers.running] == [20, 5]
    transfers.over(ChatId(b"c" * 32), Mid(b"m" * 16), Direction.UPLOAD)
    assert [one.direction for one in transfers.running] == [Direction.DOWNLOAD]


async def test_each_file_is_told_of_on_its_own() -> None:
    _, seen = await told(Emitter(), at(1), at(2, b"n" * 16), at(3, direction=Direction.DOWNLOAD))
    assert seen == [1, 2, 3]
