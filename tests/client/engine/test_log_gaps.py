"""Rows that a log does not have: what is remembered of them, and what the timeline says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mensajeria.client.api import Cause, MessageChanged, MessageReceived
from mensajeria.client.engine.log_gaps import (
    MAX_GAPS,
    STRETCH,
    LogGap,
    came,
    explained,
    forget_behind,
    is_missing,
    is_passed,
    pass_over,
    unfilled,
)
from mensajeria.client.store.values import ORDER_SHIFT
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId
from tests.client.engine.circle import GroupDesk, Log, seated
from tests.client.engine.test_rows_and_sealing import bodies, give_key, write
from tests.client.engine.world import NOW, Desk, Somebody
from tests.client.engine.world import chat_of as chat_with


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[GroupDesk]:
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(seated(ana, [bruno], Log.create(ana, bruno), tmp_path))


async def chat_of(desk: GroupDesk) -> ChatId:
    [chat] = await desk.store.read(lambda tx: tx.chats.all())
    return chat.chat_id


async def passed(desk: GroupDesk, *ranges: tuple[int, int]) -> None:
    for first, upto in ranges:
        chat = await chat_of(desk)
        await desk.do(lambda tx, out: pass_over(tx, out, desk.me, chat, first, upto))  # noqa: B023


async def counts(desk: GroupDesk) -> list[int]:
    """What the notices of gaps say, in their order."""
    chat = await chat_of(desk)
    page = await desk.store.read(lambda tx: tx.messages.page(chat))
    return [int(one.params["count"]) for one in page.messages if one.cause is Cause.MISSING]


async def test_a_gap_moves_the_cursor_and_is_told_in_its_place(desk: GroupDesk) -> None:
    await passed(desk, (2, 5))
    [chat] = await desk.store.read(lambda tx: tx.chats.all())
    assert chat.cursor == 5
    assert await counts(desk) == [4]


async def test_a_gap_is_told_before_what_follows_and_of_the_other_one_in_a_direct_chat(ana: Desk, bruno: Desk) -> None:
    chat = chat_with(ana.who, bruno.who)
    items, keys = await write(ana, chat, "uno")
    await give_key(bruno, ana, keys[0])
    row = Event(chat, 4, NOW, EventKind.MESSAGE, bodies(items)[0])
    await bruno.do(lambda tx, out: bruno.rows.apply(tx, out, chat, [row], 4))
    await bruno.do(lambda tx, out: pass_over(tx, out, bruno.me, chat, 5, 6))
    page = await bruno.store.read(lambda tx: tx.messages.page(chat))
    assert [(one.text, one.cause, one.sender.uid) for one in page.messages] == [
        ("uno", None, ana.me.uid),
        ("", Cause.MISSING, ana.me.uid),
    ]
    assert bruno.last.events == [MessageReceived(page.messages[1])]
    assert bruno.last.touched == {chat}
    assert page.messages[1].order < 5 << ORDER_SHIFT, "the rows themselves may still come"


async def test_a_notice_that_tells_of_less_says_so(desk: GroupDesk) -> None:
    await passed(desk, (2, 5))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: explained(tx, out, chat, 9, 3))
    [notice] = (await desk.store.read(lambda tx: tx.messages.page(chat))).messages
    assert notice.params == {"count": "1"}
    assert desk.last.events == [MessageChanged(notice, notice.order)]
    await desk.do(lambda tx, out: explained(tx, out, chat, 9, 0))
    assert desk.last.events == []


async def test_a_gap_that_nobody_tells_of_any_more_explains_nothing(desk: GroupDesk) -> None:
    await passed(desk, (2, 2), (4, 4))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: explained(tx, out, chat, 9, 1))
    assert await counts(desk) == [1]
    await desk.do(lambda tx, out: explained(tx, out, chat, 9, 1))
    assert await counts(desk) == []


async def test_a_gap_that_begins_at_the_row_itself_is_not_before_it(desk: GroupDesk) -> None:
    await passed(desk, (2, 3))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: explained(tx, out, chat, 2, 1))
    assert await counts(desk) == [2]


async def test_what_is_passed_already_is_not_passed_again(desk: GroupDesk) -> None:
    await passed(desk, (2, 5), (2, 5), (3, 4))
    assert await counts(desk) == [4]


async def test_a_row_that_comes_is_not_missing_and_stays_passed(desk: GroupDesk) -> None:
    await passed(desk, (2, 4))
    chat = await chat_of(desk)

    await desk.do(lambda tx, out: came(tx, out, chat, 3, told_elsewhere=False))
    missing = await desk.store.read(lambda tx: [seq for seq in range(1, 7) if is_missing(tx, chat, seq)])
    assert missing == [2, 4]
    assert await desk.store.read(lambda tx: [is_passed(tx, chat, seq) for seq in (1, 2, 3, 4, 5)]) == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert await counts(desk) == [2]
    [gap] = (await desk.store.read(lambda tx: unfilled(tx, [chat])))[chat]
    assert (gap.lowest, gap.highest) == (2, 4)


async def test_a_gap_that_is_filled_is_told_and_asked_for_no_more(desk: GroupDesk) -> None:
    await passed(desk, (2, 3))
    chat = await chat_of(desk)
    for seq in (3, 2):
        await desk.do(lambda tx, out: came(tx, out, chat, seq, told_elsewhere=False))  # noqa: B023
    assert await counts(desk) == []
    assert await desk.store.read(lambda tx: unfilled(tx, [chat])) == {}


async def test_messages_that_are_missing_by_name_are_not_told_twice(desk: GroupDesk) -> None:
    """The nearest gap before the row that tells of them; what is behind it has nothing to do with them."""
    await passed(desk, (2, 3), (5, 6), (9, 9))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: explained(tx, out, chat, 8, 3))
    assert await counts(desk) == [1, 1]
    await desk.do(lambda tx, out: explained(tx, out, chat, 8, 5))
    assert await counts(desk) == [1]


async def test_a_row_that_was_told_by_name_takes_nothing_from_the_gap(desk: GroupDesk) -> None:
    await passed(desk, (2, 3))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: came(tx, out, chat, 2, told_elsewhere=True))
    assert await counts(desk) == [2]
    assert not await desk.store.read(lambda tx: is_missing(tx, chat, 2))


async def test_of_a_log_that_goes_on_anew_only_what_is_before_is_remembered(desk: GroupDesk) -> None:
    await passed(desk, (2, 6), (9, 9))
    chat = await chat_of(desk)
    await desk.do(lambda tx, _: forget_behind(tx, chat, 3))
    found = await desk.store.read(lambda tx: unfilled(tx, [chat]))
    assert found == {chat: (LogGap(2, 2, 0b11),)}
    await desk.do(lambda tx, _: forget_behind(tx, chat, 2))
    found = await desk.store.read(lambda tx: unfilled(tx, [chat]))
    assert found == {chat: (LogGap(2, 1, 0b1),)}
    await desk.do(lambda tx, _: forget_behind(tx, chat, 1))
    assert await desk.store.read(lambda tx: unfilled(tx, [chat])) == {}


async def test_what_is_remembered_is_bounded(desk: GroupDesk) -> None:
    await passed(desk, *((at, at) for at in range(2, 2 * MAX_GAPS + 10, 2)), (5000, 4999 + STRETCH))
    chat = await chat_of(desk)
    found = (await desk.store.read(lambda tx: unfilled(tx, [chat])))[chat]
    assert len(found) == MAX_GAPS
    assert (found[-1].lowest, found[-1].highest) == (5000, 4999 + STRETCH)


async def test_a_large_hole_is_told_once_and_every_row_of_it_may_still_come(desk: GroupDesk) -> None:
    last = 1 + 3 * STRETCH + 7
    await passed(desk, (2, last))
    chat = await chat_of(desk)
    assert await counts(desk) == [last - 1]
    assert (await desk.store.read(lambda tx: tx.chats.get(chat))).cursor == last  # type: ignore[union-attr]
    for seq in (2, 2 + STRETCH, last):
        assert await desk.store.read(lambda tx: is_passed(tx, chat, seq) and is_missing(tx, chat, seq))  # noqa: B023
        await desk.do(lambda tx, out: came(tx, out, chat, seq, told_elsewhere=False))  # noqa: B023
        assert not await desk.store.read(lambda tx: is_missing(tx, chat, seq))  # noqa: B023
    assert not await desk.store.read(lambda tx: is_passed(tx, chat, last + 1))
    assert await counts(desk) == [last - 4]
    await desk.do(lambda tx, out: explained(tx, out, chat, last + 1, last - 5))
    assert await counts(desk) == [1]


async def test_the_largest_hole_is_remembered_whole(desk: GroupDesk) -> None:
    await passed(desk, (2, 2), (10, 9 + MAX_GAPS * STRETCH))
    chat = await chat_of(desk)
    assert not await desk.store.read(lambda tx: is_missing(tx, chat, 2)), "of more the latest"
    assert await desk.store.read(lambda tx: is_missing(tx, chat, 10))
    assert await desk.store.read(lambda tx: is_missing(tx, chat, 9 + MAX_GAPS * STRETCH))


async def test_two_holes_that_touch_are_told_each(desk: GroupDesk) -> None:
    await passed(desk, (2, 3), (4, 4))
    chat = await chat_of(desk)
    await desk.do(lambda tx, out: came(tx, out, chat, 4, told_elsewhere=False))
    assert await counts(desk) == [2]
