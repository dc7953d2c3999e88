"""Two people and one server: what they write arrives, ticks move along, everything is there after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mensajeria.client import Client, InputError, NetworkError, ProfileError, RefusedError
from mensajeria.client.api import (
    ChatChanged,
    ConnectionPhase,
    MessageChanged,
    MessageKind,
    MessageReceived,
    MessageState,
    MessageStateChanged,
    TypingChanged,
)
from tests.e2e.conftest import PASSWORDS, ServerProcess
from tests.e2e.helpers import befriend, eventually, last_message, texts, until

Register = Callable[[str], Awaitable[Client]]
pytestmark = pytest.mark.slow


async def test_a_message_its_ticks_and_the_answer(register: Register) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    to_ana, to_bruno = ana.events(), bruno.events()
    chat = await ana.direct_chat("bruno")
    sent = await chat.send_text("¿Quedamos a las 8?")
    got = await until(
        to_bruno, lambda e: isinstance(e, MessageReceived | MessageChanged) and e.message.kind is MessageKind.TEXT
    )
    assert isinstance(got, MessageReceived | MessageChanged)
    message = got.message
    assert (message.text, message.sender.handle, message.outgoing, message.mid) == (
        "¿Quedamos a las 8?", "ana", False, sent.mid,
    )  # fmt: skip
    theirs = bruno.chat(chat.chat_id)
    assert (await theirs.view()).unread == 1
    assert not (await theirs.view()).accepted
    await theirs.accept()
    await theirs.mark_read(message.order)
    states: list[MessageState] = []
    while MessageState.READ not in states:
        event = await until(to_ana, lambda e: isinstance(e, MessageStateChanged) and e.message.mid == sent.mid)
        assert isinstance(event, MessageStateChanged)
        states.append(event.message.state)
    assert states == sorted(set(states), key=states.index), "a state comes once"
    assert states[0] is MessageState.QUEUED
    assert states[-1] is MessageState.READ
    assert (await theirs.view()).unread == 0


async def test_a_sent_message_arrives_within_a_blink(register: Register) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    stream, delays = bruno.events(), []
    for number in range(20):
        started = time.perf_counter()
        await chat.send_text(f"n{number}")
        await until(stream, lambda e: isinstance(e, MessageReceived) and e.message.text == f"n{number}")  # noqa: B023
        delays.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)
    assert min(delays) < 0.1  # the best: the machine may be busy with other tests


async def test_who_leaves_at_once_has_told_what_arrived(register: Register) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    stream = bruno.events()
    for number in range(4):  # the later ones fall into the pause after the first
        sent = await chat.send_text(f"n{number}")
        await until(stream, lambda e: isinstance(e, MessageReceived) and e.message.text == f"n{number}")  # noqa: B023
    await bruno.close()

    async def delivered() -> bool:
        last = await last_message(chat)
        return last.mid == sent.mid and last.state is MessageState.DELIVERED

    await eventually(delivered)


async def test_typing_is_told_to_somebody_who_accepted(register: Register) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    stream = bruno.events()
    await chat.set_typing(True)
    event = await until(stream, lambda e: isinstance(e, TypingChanged))
    assert isinstance(event, TypingChanged)
    assert (event.typing, event.person.handle) == (True, "ana")


async def test_everything_is_there_after_a_restart_without_a_network(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    await chat.save_draft("a medias")
    await ana.close()
    server.kill()
    async with await Client.open(tmp_path / "ana") as again:
        assert await texts(again.chat(chat.chat_id)) == ["hola", "hola también"]
        view = await again.chat(chat.chat_id).view()
        assert (view.draft, view.name) == ("a medias", "bruno")
        assert [m.text for m in await again.search("tambi")] == ["hola también"]
        await eventually(lambda: again.phase is ConnectionPhase.OFFLINE)


async def test_what_was_written_offline_goes_out_after_a_restart_of_client_and_server(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    server.kill()
    written = [f"sin red {n}" for n in range(12)]
    for text in written:
        await chat.send_text(text)
    await ana.close()
    server.start()
    bruno.retry_now()
    async with await Client.open(tmp_path / "ana") as again:
        async with asyncio.timeout(30):
            await again.caught_up()

        async def arrived() -> bool:
            return (await texts(back, outgoing=False))[1:] == written

        await eventually(arrived)


async def test_a_second_device_reads_what_follows_and_what_was(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    second = await Client.login(
        server.url, "bruno", PASSWORDS["bruno"], profile=tmp_path / "bruno2", insecure_key_file=True, device_name="two"
    )
    async with second:
        await second.caught_up()
        assert {view.current for view in await second.devices()} == {True, False}
        await chat.send_text("a los dos")
        here = second.chat(chat.chat_id)

        async def both() -> bool:
            return "a los dos" in await texts(here) and "a los dos" in await texts(back)

        await eventually(both)

        async def history() -> bool:
            return await texts(here) == ["hola", "hola también", "a los dos"]

        await eventually(history)


async def test_a_request_is_declined_and_leaves_the_list(register: Register) -> None:
    ana, eva = await register("ana"), await register("eva")
    stream = ana.events()
    chat = await eva.direct_chat("ana")
    await chat.send_text("compra ya")
    await until(stream, lambda e: isinstance(e, ChatChanged) and e.chat.chat_id == chat.chat_id)
    await ana.chat(chat.chat_id).decline()
    assert await ana.chats() == ()


async def test_the_note_to_self(register: Register) -> None:
    ana = await register("ana")
    chat = await ana.direct_chat("ana")
    sent = await chat.send_text("comprar pan")
    await ana.wait_sent(sent.mid)
    assert (await chat.view()).note_to_self
    assert await texts(chat) == ["comprar pan"]


async def test_login_again_with_the_same_profile_is_the_same_device(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana = await register("ana")
    before = await ana.devices()
    await ana.log_out()
    await eventually(lambda: ana.phase is ConnectionPhase.LOGIN_ENDED)
    await ana.login_again(PASSWORDS["ana"])
    async with asyncio.timeout(20):
        await ana.caught_up()
    assert [d.did for d in await ana.devices()] == [d.did for d in before]


async def test_bad_input_gets_a_stable_code_and_leaves_no_profile(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana = await register("ana")
    folder = tmp_path / "nobody"

    async def code(attempt: Awaitable[object], kind: type[Exception]) -> str:
        with pytest.raises(kind) as caught:
            await attempt
        return str(caught.value.code)  # type: ignore[attr-defined]

    def join(name: str, password: str) -> Awaitable[Client]:
        return Client.register(server.url, name, password, profile=folder, insecure_key_file=True)

    assert await code(join("ana", PASSWORDS["ana"]), RefusedError) == "handle_taken"
    assert await code(join("A!", PASSWORDS["ana"]), InputError) == "handle_invalid"
    assert await code(join("carla", "1234567890"), InputError) == "weak_password"
    assert not folder.exists()
    login = Client.login(server.url, "ana", "no es esta clave", profile=folder, insecure_key_file=True)
    assert await code(login, RefusedError) == "bad_credentials"
    nobody = Client.login(server.url, "nadie", "no es esta clave", profile=folder, insecure_key_file=True)
    assert await code(nobody, RefusedError) == "bad_credentials"
    assert not folder.exists()
    assert await code(ana.direct_chat("nadie"), RefusedError) == "unknown_user"
    assert await code(ana.chat(bytes(32)).send_text("x"), InputError) == "unknown_chat"
    chat = await ana.direct_chat("ana")
    assert await code(chat.send_text("x" * 70_000), InputError) == "too_large"
    assert await code(chat.send_text("  "), InputError) == "empty_text"
    assert await code(Client.open(tmp_path / "ana"), ProfileError) == "profile_in_use"
    assert await code(Client.open(folder), ProfileError) == "profile_missing"
    assert await code(Client.check_server("http://127.0.0.1:9"), NetworkError) == "network"
    assert await code(Client.check_server("http://example.org"), InputError) == "insecure_address"
    assert await Client.check_handle(server.url, "libre")
    assert not await Client.check_handle(server.url, "ana")
    assert await texts(chat) == []
