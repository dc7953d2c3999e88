"""Lost rows that are too long for one letter: given in parts, gathered within bounds."""

from __future__ import annotations

import os

import pytest

from mensajeria.client.engine.resending import (
    MAX_GATHERED,
    PART,
    PER_HOUR,
    RESEND,
    Gathered,
)
from mensajeria.client.store.resends import SentRow
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Mid
from mensajeria.protocol.records_healing import RESEND_MAX, Resend, ResendPart
from tests.client.engine.loss import Loss, altered, hear, loss
from tests.crypto.people import NOW

__all__ = ["loss"]


# --- long rows


def part_of(loss: Loss, row: bytes, offset: int, idx: int = 1, data: bytes | None = None) -> bytes:
    data = row[offset : offset + RESEND_MAX] if data is None else data
    return encode(
        ResendPart(chat_id=loss.chat, session_id=loss.session, idx=idx, size=len(row), offset=offset, data=data)
    )


async def test_a_long_row_is_given_in_parts(loss: Loss) -> None:
    row = os.urandom(RESEND_MAX + 1)
    await loss.ana.store.run(
        lambda tx: tx.sent_rows.keep(loss.chat, loss.session, 7, SentRow(Mid(row[:16]), placed=False, outer=row), NOW)
    )
    given = await loss.asked(loss.request_for(7))
    assert [letter.type for letter in given] == [PART, PART]
    assert [letter.content for letter in given] == [part_of(loss, row, offset, 7) for offset in (0, RESEND_MAX)]


async def test_a_row_that_fits_one_letter_exactly_is_given_in_one(loss: Loss) -> None:
    row = SentRow(Mid(os.urandom(16)), placed=False, outer=os.urandom(RESEND_MAX))
    await loss.ana.store.run(lambda tx: tx.sent_rows.keep(loss.chat, loss.session, 7, row, NOW))
    (given,) = await loss.asked(loss.request_for(7))
    assert (given.type, given.content) == (RESEND, encode(Resend(chat_id=loss.chat, row=row.outer)))


async def test_a_long_row_that_is_more_than_the_hour_allows_is_not_begun(loss: Loss) -> None:
    long = SentRow(Mid(os.urandom(16)), placed=False, outer=bytes(RESEND_MAX + 1))
    await loss.ana.store.run(lambda tx: tx.sent_rows.keep(loss.chat, loss.session, 7, long, NOW))
    for _ in range(PER_HOUR - 1):
        await loss.asked(loss.request)
    assert await loss.asked(loss.request_for(7)) == []


async def lose_a_long_one(loss: Loss) -> bytes:
    """Ana's fourth row is long, and altered for Bruno."""
    text = "".join(f"{n} " for n in range(12_000))
    (row,), _ = await loss.ana.write(loss.chat, text)
    assert len(row) > RESEND_MAX
    await loss.bruno.read(loss.chat, 3, [loss.rows[2], altered(row)])
    return row


async def test_a_long_row_comes_back_when_its_parts_are_here(loss: Loss) -> None:
    row = await lose_a_long_one(loss)
    for offset in range(0, len(row), RESEND_MAX):
        assert (await loss.bruno.texts(loss.chat))[-1] == "<tampered>"
        await hear(loss.bruno, loss.ana, PART, part_of(loss, row, offset, 3))
    assert (await loss.bruno.texts(loss.chat))[-1].startswith("0 1 2 3")


@pytest.mark.parametrize("lie", ["out of order", "too long", "of another device", "altered"])
async def test_parts_that_are_no_row_change_nothing(loss: Loss, lie: str) -> None:
    row = await lose_a_long_one(loss)
    offsets = list(range(0, len(row), RESEND_MAX))
    parts = [part_of(loss, row, offset, 3) for offset in offsets]
    by, first = loss.ana, parts[0]
    if lie == "out of order":
        parts.reverse()
    elif lie == "too long":
        parts[-1] = part_of(loss, row, offsets[-1], 3, row[offsets[-1] :] + b"x")
    elif lie == "of another device":
        by = loss.ana_phone
    else:
        parts[0] = part_of(loss, row, 0, 3, first[:RESEND_MAX])
    for part in parts:
        await hear(loss.bruno, by, PART, part)
    assert (await loss.bruno.texts(loss.chat))[-1] == "<tampered>"


async def test_parts_of_a_row_that_nobody_asked_for_are_not_taken(loss: Loss) -> None:
    row = await lose_a_long_one(loss)
    shown = await loss.bruno.texts(loss.chat)
    for offset in range(0, len(row), RESEND_MAX):
        mail = await hear(loss.bruno, loss.ana, PART, part_of(loss, row, offset, 9))
        assert mail.events == []
    assert await loss.bruno.texts(loss.chat) == shown


async def test_what_another_device_sends_does_not_end_the_row_that_is_on_its_way(loss: Loss) -> None:
    row = await lose_a_long_one(loss)
    await hear(loss.bruno, loss.ana, PART, part_of(loss, row, 0, 3))
    await hear(loss.bruno, loss.ana_phone, PART, part_of(loss, row, 0, 3, b"false"))
    for offset in range(RESEND_MAX, len(row), RESEND_MAX):
        await hear(loss.bruno, loss.ana, PART, part_of(loss, row, offset, 3))
    assert (await loss.bruno.texts(loss.chat))[-1].startswith("0 1 2 3")


def gathered_part(idx: int, offset: int, data: bytes) -> ResendPart:
    """Of a row that is one byte too long for one letter."""
    return ResendPart(
        chat_id=bytes(32), session_id=bytes(32), idx=idx, size=RESEND_MAX + 1, offset=offset, data=data
    )  # fmt: skip


def begun(idx: int) -> ResendPart:
    return gathered_part(idx, 0, bytes(RESEND_MAX))


def ended(idx: int) -> ResendPart:
    return gathered_part(idx, RESEND_MAX, b"x")


WHOLE = bytes(RESEND_MAX) + b"x"


def test_only_so_many_long_rows_are_gathered_at_one_time() -> None:
    gathered = Gathered()
    for idx in range(MAX_GATHERED + 1):
        assert gathered.add(begun(idx)) is None
    assert gathered.add(ended(0)) is None, "the first one was given up"
    assert gathered.add(ended(1)) == WHOLE


def test_a_row_whose_first_part_comes_again_begins_anew() -> None:
    gathered = Gathered()
    gathered.add(gathered_part(0, 0, b"some of it"))
    gathered.add(begun(0))
    assert gathered.add(ended(0)) == WHOLE


def test_a_row_that_began_anew_is_not_the_next_one_to_be_given_up() -> None:
    gathered = Gathered()
    for idx in (*range(MAX_GATHERED), 0, MAX_GATHERED):
        gathered.add(begun(idx))
    assert gathered.add(ended(1)) is None
    assert gathered.add(ended(0)) == WHOLE


@pytest.mark.parametrize("offset", range(1, 9))
def test_nothing_stands_for_the_beginning_that_never_came(offset: int) -> None:
    assert Gathered().add(gathered_part(0, offset, bytes(RESEND_MAX + 1 - offset))) is None
