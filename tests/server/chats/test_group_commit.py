"""Group commit: what fills a batch, and what ends the filling."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain
from typing import Final

from structlog.testing import capture_logs

from mensajeria.server.chats.group_commit import BESIDE, TURNS, GroupCommit, Tell

UNLUCKY: Final = 13


async def batches_of(items: int, *, max_items: int = 1000) -> list[list[int]]:
    """What is flushed when one item comes in each turn of the event loop."""
    found: list[list[int]] = []

    async def flush(batch: list[int]) -> None:
        found.append(batch)

    line: GroupCommit[int] = GroupCommit("test", flush, max_items=max_items)
    line.start()
    for number in range(items):
        line.submit(number)
        await asyncio.sleep(0)
    await line.close()
    return found


async def test_messages_that_are_read_one_after_the_other_share_a_flush() -> None:
    assert await batches_of(3) == [[0, 1, 2]]


async def test_a_stream_that_never_ends_does_not_hold_the_first_back() -> None:
    found = await batches_of(50)

    assert len(found[0]) <= TURNS + 1
    assert list(chain(*found)) == list(range(50))


async def test_a_full_batch_waits_for_nothing_more() -> None:
    found = await batches_of(6, max_items=2)

    assert max(map(len, found)) == 2
    assert list(chain(*found)) == list(range(6))


class Line:
    """A group commit whose flushes end when told to."""

    def __init__(self) -> None:
        self.happens: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._stored = asyncio.Semaphore(0)
        self._commit: GroupCommit[int] = GroupCommit("test", self._flush, max_items=1000)
        self._commit.start()

    async def _flush(self, batch: list[int]) -> Tell:
        self.happens.put_nowait(("flush", len(batch)))
        await self._stored.acquire()
        return partial(self._tell, len(batch))

    def _tell(self, items: int) -> None:
        self.happens.put_nowait(("tell", items))
        if items == UNLUCKY:
            raise RuntimeError("nobody to be told")

    async def batches(self, first: int, second: int) -> list[tuple[str, int]]:
        """What happens, in order, when a second batch has gathered by the time the first is stored."""
        for number in range(first):
            self._commit.submit(number)
        seen = [await self.happens.get()]
        for number in range(second):
            self._commit.submit(number)
        self._stored.release()
        seen += [await self.happens.get() for _ in range(2)]
        self._stored.release()
        await self._commit.close()
        return [*seen, self.happens.get_nowait()]


async def test_a_large_batch_is_on_its_way_while_the_one_before_is_told() -> None:
    found = await Line().batches(3, BESIDE)
    assert found == [("flush", 3), ("flush", BESIDE), ("tell", 3), ("tell", BESIDE)]


async def test_a_small_batch_waits_until_the_one_before_is_told() -> None:
    found = await Line().batches(3, BESIDE - 1)
    assert found == [("flush", 3), ("tell", 3), ("flush", BESIDE - 1), ("tell", BESIDE - 1)]


async def test_what_cannot_be_told_is_logged_and_stops_nothing() -> None:
    with capture_logs() as logged:
        found = await Line().batches(UNLUCKY, BESIDE)
    assert found[-1] == ("tell", BESIDE)
    assert [line["event"] for line in logged] == ["group_commit_failed"]
