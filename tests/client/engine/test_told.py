"""A chat's position is told at once, then seldom, and the newest one always."""

from __future__ import annotations

import asyncio

import pytest

from mensajeria.client.engine import told
from mensajeria.client.engine.told import Told
from mensajeria.protocol import frames
from mensajeria.protocol.ids import ChatId

A, B = ChatId(b"a" * 32), ChatId(b"b" * 32)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int]]:
    monkeypatch.setattr(told, "PAUSE_S", 0.05)
    return []


def _told(sent: list[tuple[bytes, int]]) -> Told:
    def send(frame: frames.Cursor) -> None:
        sent.append((frame.chat_id, frame.seq))

    return Told(send)


async def test_of_many_the_first_and_the_newest_are_told(sent: list[tuple[bytes, int]]) -> None:
    one = _told(sent)
    for position in range(1, 101):
        one.tell(A, position)
    one.tell(B, 7)
    assert sent == [(A, 1), (B, 7)]
    await asyncio.sleep(0.2)
    assert sent == [(A, 1), (B, 7), (A, 100)]


async def test_after_a_quiet_while_it_is_told_at_once_again(sent: list[tuple[bytes, int]]) -> None:
    one = _told(sent)
    one.tell(A, 1)
    await asyncio.sleep(0.2)
    one.tell(A, 2)
    assert sent == [(A, 1), (A, 2)]


async def test_what_waits_at_the_end_is_told_then_and_nothing_later(sent: list[tuple[bytes, int]]) -> None:
    one = _told(sent)
    one.tell(A, 1)
    one.tell(A, 2)
    one.tell(B, 1)
    one.close()
    one.close()
    await asyncio.sleep(0.2)
    assert sent == [(A, 1), (B, 1), (A, 2)]
