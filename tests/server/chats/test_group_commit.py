"""Group commit: what fills a batch, and what ends the filling."""

from __future__ import annotations

import asyncio
from itertools import chain

from mensajeria.server.chats.group_commit import TURNS, GroupCommit


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
