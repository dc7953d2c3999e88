"""Three people, one group and a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mensajeria.client import Chat, Client, InputError, StateError
from mensajeria.client.api import Cause, ChatKind, GroupRole, MessageKind, MessageState, TypingChanged
from mensajeria.protocol.ids import ChatId
from tests.e2e.conftest import ServerProcess
from tests.e2e.helpers import befriend, eventually, texts, until

Register = Callable[[str], Awaitable[Client]]
pytestmark = pytest.mark.slow


async def group_of(client: Client, chat_id: ChatId, name: str | None = None) -> Chat:
    """The group, once the client knows it (and its name)."""

    async def is_there() -> bool:
        return any(v.chat_id == chat_id and name in {None, v.name} for v in await client.chats())

    await eventually(is_there, 20)
    return client.chat(chat_id)


async def shows(chat: Chat, *wanted: str) -> None:
    async def does() -> bool:
        return (await texts(chat))[-len(wanted) :] == list(wanted)

    await eventually(does, 20)


async def say(client: Client, chat: Chat, text: str) -> bytes:
    sent = await chat.send_text(text)
    await asyncio.wait_for(client.wait_sent(sent.mid), 20)
    return sent.mid


async def causes(chat: Chat) -> list[Cause]:
    return [m.cause async for m in chat.history() if m.cause is not None]


async def roles(chat: Chat) -> dict[str, str]:
    return {one.person.handle: str(one.role) for one in await chat.members()}


async def three(register: Register) -> tuple[Client, Client, Client]:
    ana, bruno, eva = await register("ana"), await register("bruno"), await register("eva")
    await befriend(ana, bruno)
    await befriend(ana, eva)
    return ana, bruno, eva


async def test_a_group_from_its_first_word_to_the_last(register: Register) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Excursión", ["bruno", "eva"], description="Sábado")
    view = await made.view()
    assert (view.kind, view.name, view.group is not None and view.group.role) == (
        ChatKind.GROUP, "Excursión", GroupRole.OWNER,
    )  # fmt: skip
    there, far = await group_of(bruno, made.chat_id, "Excursión"), await group_of(eva, made.chat_id, "Excursión")
    assert await roles(there) == {"ana": "owner", "bruno": "member", "eva": "member"}
    assert await causes(there) == [Cause.GROUP_CREATED]
    await say(ana, made, "¿Quién viene?")
    await shows(there, "¿Quién viene?")
    await shows(far, "¿Quién viene?")
    await say(bruno, there, "Yo")
    await shows(made, "¿Quién viene?", "Yo")
    await shows(far, "¿Quién viene?", "Yo")
    senders = [m.sender.handle async for m in far.history() if m.kind is MessageKind.TEXT]
    assert senders == ["ana", "bruno"]


async def test_who_is_removed_reads_nothing_more_and_is_told(register: Register, tmp_path: Path) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Equipo", ["bruno", "eva"])
    there, far = await group_of(bruno, made.chat_id, "Equipo"), await group_of(eva, made.chat_id, "Equipo")
    await say(bruno, there, "antes")
    await shows(far, "antes")
    Image.new("RGB", (40, 40), "teal").save(tmp_path / "a.png")
    await made.set_picture(tmp_path / "a.png")
    await eventually(partial(has_picture, far), 20)
    await made.remove("eva")

    async def is_out() -> bool:
        group = (await far.view()).group
        return group is not None and group.role is None

    await eventually(is_out, 20)
    assert Cause.MEMBER_REMOVED in await causes(far)
    with pytest.raises(StateError, match="not_a_member"):
        await far.send_text("¿hola?")
    await say(bruno, there, "después")  # bruno's session was eva's, too: it is replaced without him noticing
    await shows(made, "antes", "después")
    assert await texts(far) == ["antes"]
    assert await roles(made) == {"ana": "owner", "bruno": "member"}
    await made.rename("Equipo nuevo")
    await group_of(bruno, made.chat_id, "Equipo nuevo")
    assert (await far.view()).name == "Equipo"
    assert await has_picture(there), "it was sealed anew with the name"
    await made.set_picture(None)

    async def is_without() -> bool:
        return not await has_picture(there)

    await eventually(is_without, 20)
    assert await causes(there) == [Cause.GROUP_CREATED, Cause.MEMBER_REMOVED, Cause.GROUP_RENAMED]


async def has_picture(chat: Chat) -> bool:
    group = (await chat.view()).group
    return group is not None and group.picture.startswith(b"\xff\xd8")


async def test_who_is_added_reads_from_then_on_and_knows_the_name(register: Register) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Club", ["bruno"])
    there = await group_of(bruno, made.chat_id, "Club")
    await say(ana, made, "viejo")
    await shows(there, "viejo")
    with pytest.raises(StateError, match="not_allowed_in_group"):
        await there.add(["eva"])
    await made.set_role("bruno", GroupRole.ADMIN)

    async def is_admin() -> bool:
        return (await roles(there))["bruno"] == "admin"

    await eventually(is_admin, 20)
    await there.add(["eva"])  # a stranger to bruno: she is asked
    far = await group_of(eva, made.chat_id, "Club")
    assert not (await far.view()).accepted
    with pytest.raises(InputError, match="already_member"):
        await there.add(["eva"])
    await say(ana, made, "nuevo")
    await shows(far, "nuevo")
    assert await texts(far) == ["nuevo"]
    await far.accept()
    await say(eva, far, "hola a todos")
    await shows(there, "viejo", "nuevo", "hola a todos")


async def test_leaving_and_handing_over(register: Register) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Piso", ["bruno", "eva"])
    there, far = await group_of(bruno, made.chat_id, "Piso"), await group_of(eva, made.chat_id, "Piso")
    with pytest.raises(StateError, match="owner_stays"):
        await made.leave()
    await made.set_role("bruno", GroupRole.OWNER)
    assert await roles(made) == {"ana": "admin", "bruno": "owner", "eva": "member"}
    await made.leave()

    async def two_left() -> bool:
        return len(await there.members()) == 2

    await eventually(two_left, 20)
    with pytest.raises(StateError, match="not_a_member"):
        await made.send_text("otra cosa")
    await say(eva, far, "se fue")
    await shows(there, "se fue")
    assert await texts(made) == []


async def test_read_by_all_and_who_types(register: Register) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Leído", ["bruno", "eva"])
    there, far = await group_of(bruno, made.chat_id, "Leído"), await group_of(eva, made.chat_id, "Leído")
    mid = await say(ana, made, "leedme")
    await shows(there, "leedme")
    await shows(far, "leedme")
    assert (await there.view()).unread == 1
    stream = ana.events()
    await far.set_typing(typing=True)
    typing = await until(stream, lambda e: isinstance(e, TypingChanged) and e.chat_id == made.chat_id, 20)
    assert isinstance(typing, TypingChanged)
    assert typing.person.handle == "eva"

    async def state() -> MessageState:
        return next(iter([m.state async for m in made.history() if m.mid == mid]))

    await there.mark_read((await there.page(limit=1)).messages[-1].order)
    await asyncio.sleep(0.5)
    assert await state() is MessageState.SENT  # eva has not read it
    await far.mark_read((await far.page(limit=1)).messages[-1].order)

    async def all_read() -> bool:
        return await state() is MessageState.READ

    await eventually(all_read, 20)
    assert (await there.view()).unread == 0


async def test_it_survives_a_restart_of_everybody(register: Register, server: ServerProcess) -> None:
    ana, bruno, _ = await three(register)
    made = await ana.create_group("Memoria", ["bruno", "eva"])
    there = await group_of(bruno, made.chat_id, "Memoria")
    await say(ana, made, "uno")
    await shows(there, "uno")
    folder = bruno._opened.profile.folder
    await bruno.close()
    server.kill()
    server.start()
    ana.retry_now()
    await ana.caught_up()
    await made.remove("eva")
    await say(ana, made, "dos")
    back = await Client.open(folder)
    try:
        chat = back.chat(made.chat_id)
        await back.caught_up()
        await shows(chat, "uno", "dos")
        assert await roles(chat) == {"ana": "owner", "bruno": "member"}
        await say(back, chat, "tres")
        await shows(made, "uno", "dos", "tres")
    finally:
        await back.close()
