"""Messages: their order, pages, states, unread numbers, and search."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.api import Cause, Message, MessageKind, MessageState, Page
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.errors import StoreMisuseError, UnknownChatError
from mensajeria.client.store.fulltext import match_expression
from mensajeria.client.store.values import MAX_NOTICES, MAX_SEQ, ORDER_SHIFT, PENDING_BASE, NewMessage
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId
from tests.client.store.people import ANA, BRUNO, CHAT, OTHER_CHAT, incoming, mid, queued
from tests.support.examples import examples


def texts(page: Page) -> list[str]:
    return [message.text for message in page.messages]


def add(*new: NewMessage) -> Callable[[Tx], list[Message]]:
    return lambda tx: [tx.messages.add(message) for message in new]


async def test_pages_go_through_a_chat_both_ways(store: Store) -> None:
    await store.run(add(*(incoming(seq, f"m{seq}") for seq in range(1, 251))))
    newest = await store.read(lambda tx: tx.messages.page(CHAT))
    assert texts(newest) == [f"m{n}" for n in range(151, 251)]
    assert (newest.at_start, newest.at_end) == (False, True)
    middle = await store.read(lambda tx: tx.messages.page(CHAT, before=newest.messages[0].order))
    assert texts(middle) == [f"m{n}" for n in range(51, 151)]
    assert (middle.at_start, middle.at_end) == (False, False)
    oldest = await store.read(lambda tx: tx.messages.page(CHAT, before=middle.messages[0].order))
    assert texts(oldest) == [f"m{n}" for n in range(1, 51)]
    assert (oldest.at_start, oldest.at_end) == (True, False)
    forward = await store.read(lambda tx: tx.messages.page(CHAT, after=oldest.messages[-1].order))
    assert forward.messages == middle.messages
    last = await store.read(lambda tx: tx.messages.page(CHAT, after=middle.messages[-1].order, limit=100))
    assert (last.messages, last.at_end) == (newest.messages, True)


async def test_pages_refuse_nonsense(store: Store) -> None:
    with pytest.raises(ValueError, match="bound"):
        await store.read(lambda tx: tx.messages.page(CHAT, before=1, after=1))
    with pytest.raises(ValueError, match="limit"):
        await store.read(lambda tx: tx.messages.page(CHAT, limit=0))
    with pytest.raises(UnknownChatError):
        await store.read(lambda tx: tx.messages.page(ChatId(b"?" * 32)))


async def test_an_empty_chat_is_at_both_ends(store: Store) -> None:
    assert await store.read(lambda tx: tx.messages.page(CHAT)) == Page((), at_start=True, at_end=True)


def at(tx: Tx, order: int) -> Message | None:
    return tx.messages.at(CHAT, order)


async def test_what_adding_returns_is_what_is_stored(store: Store) -> None:
    for new in (incoming(1), queued(2)):
        message = (await store.run(add(new)))[0]
        assert await store.read(partial(at, order=message.order)) == message


async def test_a_queued_message_stands_at_the_end_and_moves_once_when_acked(store: Store) -> None:
    first, second = await store.run(add(queued(1, "uno"), queued(2, "dos")))
    assert first.order >= PENDING_BASE
    assert second.order == first.order + 1
    await store.run(add(incoming(1, "antes")))
    change = await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(1), ANA, seq=2, server_ms=7))
    assert change is not None
    assert (change.previous_order, change.message.order, change.message.seq) == (first.order, 2 << ORDER_SHIFT, 2)
    assert change.message.state is MessageState.SENT
    assert await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(1), ANA, seq=2, server_ms=8)) is None
    assert texts(await store.read(lambda tx: tx.messages.page(CHAT))) == ["antes", "uno", "dos"]


async def test_acking_what_is_not_there_is_a_mistake(store: Store) -> None:
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(9), ANA, seq=1, server_ms=1))


async def test_a_seq_given_twice_by_a_lying_server_loses_no_message(store: Store) -> None:
    await store.run(add(incoming(1, "uno"), queued(2, "dos"), incoming(2, "tres")))
    await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(2), ANA, seq=1, server_ms=1))
    assert texts(await store.read(lambda tx: tx.messages.page(CHAT))) == ["uno", "dos", "tres"]


@pytest.mark.parametrize("seq", [-1, MAX_SEQ + 1, (1 << 63) - 1])
async def test_a_seq_that_no_log_reaches_is_refused(store: Store, seq: int) -> None:
    with pytest.raises(StoreMisuseError):
        await store.run(add(incoming(seq)))


def ack(tx: Tx, number: int) -> None:
    tx.own_messages.ack(CHAT, mid(number), ANA, seq=number, server_ms=number)


async def test_receipts_move_own_messages_only_forward(store: Store) -> None:
    await store.run(add(*(queued(n) for n in range(1, 5)), incoming(9)))
    for number in range(1, 5):
        await store.run(partial(ack, number=number))

    def delivered(tx: Tx, state: MessageState, seq: int) -> list[int | None]:
        return [change.message.seq for change in tx.own_messages.advance_own(CHAT, state, seq)]

    assert await store.run(lambda tx: delivered(tx, MessageState.DELIVERED, 3)) == [1, 2, 3]
    assert await store.run(lambda tx: delivered(tx, MessageState.DELIVERED, 3)) == []
    assert await store.run(lambda tx: delivered(tx, MessageState.READ, 4)) == [1, 2, 3, 4]
    assert await store.run(lambda tx: delivered(tx, MessageState.DELIVERED, 4)) == []
    states = [m.state for m in (await store.read(lambda tx: tx.messages.page(CHAT))).messages]
    assert states == [MessageState.READ] * 4 + [MessageState.RECEIVED]


async def test_failing_and_queueing_again(store: Store) -> None:
    await store.run(add(queued(1, "uno"), queued(2, "dos")))
    failed = await store.run(
        lambda tx: tx.own_messages.set_state(CHAT, mid(1), ANA, MessageState.FAILED, Code.TOO_LARGE)
    )
    assert (failed.message.state, failed.message.error) == (MessageState.FAILED, Code.TOO_LARGE)
    again = await store.run(lambda tx: tx.own_messages.to_end(CHAT, mid(1), ANA))
    assert (again.message.state, again.message.error) == (MessageState.QUEUED, None)
    assert texts(await store.read(lambda tx: tx.messages.page(CHAT))) == ["dos", "uno"]
    order = await store.run(lambda tx: tx.own_messages.discard(CHAT, mid(1), ANA))
    assert order == again.message.order
    assert await store.run(lambda tx: tx.own_messages.discard(CHAT, mid(1), ANA)) is None
    assert await store.read(lambda tx: tx.views.search("uno")) == ()
    assert await store.read(lambda tx: tx.messages.find(CHAT, mid(1))) is None


async def test_a_sent_message_cannot_be_discarded(store: Store) -> None:
    await store.run(add(queued(1)))
    await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(1), ANA, seq=1, server_ms=1))
    assert await store.run(lambda tx: tx.own_messages.discard(CHAT, mid(1), ANA)) is None
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.own_messages.to_end(CHAT, mid(1), ANA))


async def test_unread_numbers_follow_reading(store: Store) -> None:
    def unread(tx: Tx) -> tuple[int, str]:
        view = tx.views.chat(CHAT)
        first = tx.messages.first_unread(CHAT)
        assert view is not None
        return view.unread, first.text if first else ""

    await store.run(add(*(incoming(seq, f"m{seq}") for seq in range(1, 6))))
    assert await store.read(unread) == (5, "m1")
    assert await store.run(lambda tx: tx.chats.mark_read(CHAT, 3))
    assert await store.read(unread) == (2, "m4")
    assert not await store.run(lambda tx: tx.chats.mark_read(CHAT, 2))
    await store.run(add(incoming(6, "m6")))
    assert await store.read(unread) == (3, "m4")
    assert await store.run(lambda tx: tx.chats.mark_read(CHAT, 6))
    assert await store.read(unread) == (0, "")


async def test_an_unreadable_place_becomes_readable_where_it_stands(store: Store) -> None:
    place = NewMessage(
        chat_id=CHAT,
        mid=mid(1),
        sender=BRUNO,
        outgoing=False,
        kind=MessageKind.UNREADABLE,
        state=MessageState.RECEIVED,
        sent_ms=1,
        seq=1,
        cause=Cause.WAITING,
    )
    waiting = (await store.run(add(place, incoming(2, "después"))))[0]
    assert (waiting.kind, waiting.cause) == (MessageKind.UNREADABLE, Cause.WAITING)
    change = await store.run(lambda tx: tx.messages.replace(waiting.order, incoming(1, "llegó la clave")))
    assert (change.previous_order, change.message.order) == (waiting.order, waiting.order)
    assert (change.message.text, change.message.cause) == ("llegó la clave", None)
    assert [m.seq for m in await store.read(lambda tx: tx.views.search("llego"))] == [1]
    view = await store.read(lambda tx: tx.views.chat(CHAT))
    assert view is not None
    assert view.unread == 2
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.messages.replace(5, incoming(1)))


async def test_a_text_that_is_replaced_is_no_longer_found(store: Store) -> None:
    message = (await store.run(add(incoming(1, "primero"))))[0]
    await store.run(lambda tx: tx.messages.replace(message.order, incoming(1, "segundo")))
    assert await store.read(lambda tx: tx.views.search("primero")) == ()
    assert len(await store.read(lambda tx: tx.views.search("segundo"))) == 1


async def test_an_unknown_type_is_kept_to_be_read_later(store: Store) -> None:
    new = NewMessage(
        chat_id=CHAT,
        mid=mid(1),
        sender=BRUNO,
        outgoing=False,
        kind=MessageKind.UNKNOWN,
        state=MessageState.RECEIVED,
        sent_ms=1,
        seq=1,
        text="poll",
        inner=b"decrypted",
    )
    message = (await store.run(add(new)))[0]
    assert message.text == ""
    [kept] = await store.read(lambda tx: tx.messages.unknown())
    assert (kept.chat_id, kept.order, kept.seq, kept.type, kept.inner) == (CHAT, message.order, 1, "poll", b"decrypted")
    assert await store.read(lambda tx: tx.views.search("poll")) == ()


async def test_notices_stand_behind_their_row_and_cannot_flood(store: Store) -> None:
    await store.run(add(incoming(1, "uno"), incoming(2, "dos")))

    def notice(tx: Tx, number: int) -> object:
        return tx.messages.notice(
            CHAT, after_seq=1, mid=mid(number), about=BRUNO, cause=Cause.MISSING, at_ms=1, params={"count": "3"}
        )

    kept = await store.run(lambda tx: [notice(tx, n) is not None for n in range(100, 100 + MAX_NOTICES + 5)])
    assert kept.count(True) == MAX_NOTICES
    messages = (await store.read(lambda tx: tx.messages.page(CHAT, limit=1000))).messages
    assert (messages[0].text, messages[-1].text) == ("uno", "dos")
    assert {(m.kind, m.cause, m.params["count"], m.seq) for m in messages[1:-1]} == {
        (MessageKind.NOTICE, Cause.MISSING, "3", None)
    }


async def test_chats_are_listed_by_activity_without_the_declined_ones(store: Store) -> None:
    await store.run(add(incoming(1, "hola", OTHER_CHAT), incoming(5, "adiós")))
    views = await store.read(lambda tx: tx.views.chats())
    assert [(v.chat_id, v.last.text if v.last else "", v.unread) for v in views] == [
        (CHAT, "adiós", 1),
        (OTHER_CHAT, "hola", 1),
    ]
    await store.run(lambda tx: tx.chats.set_accepted(CHAT, accepted=False, declined=True))
    assert [v.chat_id for v in await store.read(lambda tx: tx.views.chats())] == [OTHER_CHAT]


# --- search ---


async def found(store: Store, query: str, chat: ChatId | None = None) -> list[int | None]:
    return [m.seq for m in await store.read(lambda tx: tx.views.search(query, chat_id=chat))]


async def test_search_folds_case_and_accents_and_takes_beginnings(store: Store) -> None:
    await store.run(
        add(incoming(1, "La canción de Ñandú"), incoming(2, "cancelado"), incoming(3, "CANCION", OTHER_CHAT))
    )
    assert await found(store, "cancion") == [3, 1]
    assert await found(store, "Canción") == [3, 1]
    assert await found(store, "canc") == [3, 2, 1]
    assert await found(store, "nandu cancion") == [1]
    assert await found(store, "canc", CHAT) == [2, 1]
    assert await found(store, "nada") == []


async def test_search_goes_on_where_it_stopped(store: Store) -> None:
    await store.run(add(*(incoming(seq, "hola") for seq in range(1, 11))))
    first = await store.read(lambda tx: tx.views.search("hola", limit=4))
    then = await store.read(lambda tx: tx.views.search("hola", limit=4, before=4))
    assert [m.seq for m in first + then] == [10, 9, 8, 7, 6, 5, 4, 3]


@pytest.mark.parametrize(
    "query", ['"', "AND", "NOT x", "a OR b", "text:", "*", "(", "^a", "a*b", "NEAR(a b)", "-", "\x00", "c1"]
)
async def test_search_takes_nothing_for_syntax(store: Store, query: str) -> None:
    await store.run(add(incoming(1, "otra cosa")))
    assert await found(store, query) == []


async def test_what_is_added_in_the_same_transaction_is_found(store: Store) -> None:
    def both(tx: Tx) -> int:
        tx.messages.add(incoming(1, "ahora"))
        return len(tx.views.search("ahora"))

    assert await store.run(both) == 1


@examples(300)
@given(st.text(st.characters(), max_size=300))
def test_any_text_is_one_expression_or_none(text: str) -> None:
    expression = match_expression(text)
    if expression is None:
        return
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(text, scope, tokenize='unicode61 remove_diacritics 2')")
        connection.execute(
            "INSERT INTO t VALUES(?, 'c1')", (text.encode("utf-8", "ignore").decode().replace("\x00", " "),)
        )
        assert connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (expression,)).fetchone() == (1,)
    finally:
        connection.close()
