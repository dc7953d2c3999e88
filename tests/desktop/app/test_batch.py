from __future__ import annotations

import asyncio
from collections.abc import Callable

from mensajeria.desktop.bridge.batch import DELAY_S, MAX_UPDATES, Batcher
from mensajeria.desktop.bridge.updates import ChatsPut, MessagesPut, NewChatDone, OlderPut, PhaseIs, Update
from mensajeria.desktop.viewmodels.types import ChatRow, MessageRow, Page, Person, Phase

ANA = Person("aa", "ana", "", 0)


def row(key: str, text: str = "") -> MessageRow:
    return MessageRow(key, 0, ANA, outgoing=False, time_ms=0, text=text)


def batches(play: Callable[[Batcher], None], *, wait: float = DELAY_S * 4) -> list[tuple[Update, ...]]:
    delivered: list[tuple[Update, ...]] = []

    async def main() -> None:
        play(Batcher(asyncio.get_running_loop(), delivered.append))
        await asyncio.sleep(wait)

    asyncio.run(main())
    return delivered


def test_ten_thousand_rows_of_a_chat_cross_as_one_update_with_the_newest_form_of_each() -> None:
    def play(batcher: Batcher) -> None:
        for number in range(10_000):
            batcher.put(MessagesPut("c", (row(str(number % 100), str(number)),)))

    [[update]] = batches(play)
    assert isinstance(update, MessagesPut)
    assert len(update.rows) == 100
    assert update.rows[-1] == row("99", "9999")


def test_order_is_kept_between_things_that_do_not_merge() -> None:
    page = Page("c", (), at_start=True, at_end=True)

    def play(batcher: Batcher) -> None:
        batcher.put(MessagesPut("c", (row("1"),)))
        batcher.put(OlderPut(page))
        batcher.put(MessagesPut("c", (row("2"),)))
        batcher.put(MessagesPut("d", (row("3"),)))

    [batch] = batches(play)
    assert batch == (
        MessagesPut("c", (row("1"),)), OlderPut(page), MessagesPut("c", (row("2"),)), MessagesPut("d", (row("3"),)),
    )  # fmt: skip


def test_a_full_batch_does_not_wait() -> None:
    def play(batcher: Batcher) -> None:
        for number in range(MAX_UPDATES + 1):
            batcher.put(NewChatDone(str(number)))

    sizes = [len(batch) for batch in batches(play)]
    assert sizes == [MAX_UPDATES, 1]


def test_rows_that_arrive_while_a_page_is_read_come_after_the_page() -> None:
    page = Page("c", (), at_start=True, at_end=True)

    def play(batcher: Batcher) -> None:
        with batcher.holding("c"), batcher.holding("c"):
            batcher.put(MessagesPut("c", (row("new"),)))
            batcher.put(MessagesPut("d", (row("other"),)))
            batcher.put(OlderPut(page))

    [batch] = batches(play)
    assert batch == (MessagesPut("d", (row("other"),)), OlderPut(page), MessagesPut("c", (row("new"),)))


def test_a_row_taken_away_is_gone_and_one_put_back_is_there() -> None:
    def play(batcher: Batcher) -> None:
        batcher.put(MessagesPut("c", (row("1"), row("2"))))
        batcher.put(MessagesPut("c", (), gone=("1",)))
        batcher.put(PhaseIs(Phase.READY))
        batcher.put(ChatsPut((ChatRow("x", "x", 0),)))
        batcher.put(ChatsPut((), gone=("x",)))
        batcher.put(ChatsPut((ChatRow("x", "again", 0),)))

    [batch] = batches(play)
    assert batch == (
        MessagesPut("c", (row("2"),), ("1",)), PhaseIs(Phase.READY), ChatsPut((ChatRow("x", "again", 0),), ()),
    )  # fmt: skip
