"""The timer of chats to come: what one begins has it, told with the first message; what others begin has not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mensajeria.client import Client, InputError
from tests.e2e.helpers import eventually, texts

Register = Callable[[str], Awaitable[Client]]
pytestmark = pytest.mark.slow
DAY = 86_400


async def test_what_one_begins_carries_the_timer_and_nothing_else_does(register: Register) -> None:
    ana, bruno, eva = await register("ana"), await register("bruno"), await register("eva")
    before = await ana.direct_chat("eva")
    with pytest.raises(InputError):
        await ana.set_timer_for_new_chats(-1)
    await ana.set_timer_for_new_chats(DAY)
    assert await ana.timer_for_new_chats() == DAY
    assert await before.timer() == 0

    chat = await ana.direct_chat("bruno")
    assert await chat.timer() == DAY
    await ana.caught_up()
    await bruno.caught_up()
    assert [view.last for view in await bruno.chats() if view.last is not None] == [], "opened, and nobody is told"
    sent = await chat.send_text("se irá")
    await ana.wait_sent(sent.mid)
    await eventually(lambda: texts(bruno.chat(chat.chat_id)))
    assert await texts(bruno.chat(chat.chat_id)) == ["se irá"]
    assert await bruno.chat(chat.chat_id).timer() == DAY
    page = await bruno.chat(chat.chat_id).page(limit=10)
    assert [message.expire_s for message in page.messages if message.text] == [DAY]

    # Who answers keeps to it; who has turned it off is not asked again.
    await chat.set_timer(0)
    sent = await chat.send_text("se queda")
    await ana.wait_sent(sent.mid)
    assert await chat.timer() == 0

    group = await ana.create_group("Tres", ["bruno", "eva"])
    assert await group.timer() == DAY
    note = await ana.direct_chat("ana")
    assert await note.timer() == 0
    theirs = await eva.direct_chat("bruno")
    assert await theirs.timer() == 0


async def test_a_file_that_comes_first_carries_it_too(register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    await ana.set_timer_for_new_chats(DAY)
    chat = await ana.direct_chat("bruno")
    path = tmp_path / "a.txt"
    path.write_text("hola")
    sent = await chat.send_file(path)
    await ana.wait_sent(sent.mid)

    async def arrived() -> bool:
        return any(view.chat_id == chat.chat_id and view.last is not None for view in await bruno.chats())

    await eventually(arrived)
    assert await bruno.chat(chat.chat_id).timer() == DAY
