"""Who is blocked: what the server is told, what own devices know, and what is not written any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import ChatChanged, ChatView, MessageKind, MessageState
from mensajeria.client.engine.blocking import BLOCKS_DUE, Blocking, require_not_blocked
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.read_receipts import receipts
from mensajeria.client.engine.reporting import draft
from mensajeria.client.errors import InputError, NetworkError, RefusedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.backup import StoredSetting
from mensajeria.client.store.blocks import BLOCKED, blocked_uids, is_blocked
from mensajeria.client.store.values import NewMessage
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid
from mensajeria.protocol.records_backup import SettingRecord
from tests.client.engine.world import NOW, Desk, chat_of

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory
    from mensajeria.client.transport.rest.api import RestApi
    from mensajeria.client.vault import Vault


class Server:
    """Takes the calls; `refuse` answers them with an error."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.refuse: Callable[[bytes], Exception | None] = lambda _uid: None
        self.users = self

    async def block(self, uid: bytes) -> None:
        self._take("block", uid)

    async def unblock(self, uid: bytes) -> None:
        self._take("unblock", uid)

    def _take(self, name: str, uid: bytes) -> None:
        if (error := self.refuse(uid)) is not None:
            raise error
        self.calls.append((name, uid))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def context(ana: Desk, server: Server, tmp_path: Path) -> Context:
    return Context(ana.me, ana.store, cast("RestApi", server), Emitter(), cast("Vault", None), tmp_path)


@pytest.fixture
def blocking(context: Context) -> Blocking:
    return Blocking(context, cast("Directory", None))


async def view(ana: Desk, bruno: Desk) -> ChatView:
    found = await ana.store.read(lambda tx: tx.views.chat(chat_of(ana.who, bruno.who)))
    assert found is not None
    return found


async def test_a_block_is_known_here_and_told_to_server_and_own_devices(
    ana: Desk, bruno: Desk, blocking: Blocking, context: Context, server: Server
) -> None:
    stream = context.emitter.stream(10)
    await blocking.block(bruno.who.uid)
    assert server.calls == [("block", bruno.who.uid)]
    assert [person.handle for person in await blocking.blocked()] == ["bruno"]
    assert (await view(ana, bruno)).blocked
    assert any(isinstance(event, ChatChanged) and event.chat.blocked for event in await stream.next_batch())
    assert context.keys_due.is_set(), "the other own devices are told"


async def test_a_block_is_taken_back(ana: Desk, bruno: Desk, blocking: Blocking, server: Server) -> None:
    await blocking.block(bruno.who.uid)
    await blocking.unblock(bruno.who.uid)
    assert server.calls == [("block", bruno.who.uid), ("unblock", bruno.who.uid)]
    assert await blocking.blocked() == ()
    assert not (await view(ana, bruno)).blocked


async def test_blocking_twice_changes_nothing_here(ana: Desk, bruno: Desk, blocking: Blocking) -> None:
    await blocking.block(bruno.who.uid)
    before = await ana.store.read(lambda tx: tx.settings.all(BLOCKED))
    await blocking.block(bruno.who.uid)
    assert await ana.store.read(lambda tx: tx.settings.all(BLOCKED)) == before


async def test_what_the_server_did_not_take_is_not_shown_as_done(
    ana: Desk, bruno: Desk, blocking: Blocking, server: Server
) -> None:
    server.refuse = lambda _uid: NetworkError("network")
    with pytest.raises(NetworkError):
        await blocking.block(bruno.who.uid)
    assert not (await view(ana, bruno)).blocked


async def test_a_block_that_could_not_be_taken_back_stays(
    ana: Desk, bruno: Desk, blocking: Blocking, server: Server
) -> None:
    await blocking.block(bruno.who.uid)
    server.refuse = lambda _uid: NetworkError("network")
    with pytest.raises(NetworkError):
        await blocking.unblock(bruno.who.uid)
    assert (await view(ana, bruno)).blocked


async def test_somebody_who_is_gone_can_be_unblocked(bruno: Desk, blocking: Blocking, server: Server) -> None:
    await blocking.block(bruno.who.uid)
    server.refuse = lambda _uid: RefusedError(Code.UNKNOWN_USER)
    await blocking.unblock(bruno.who.uid)
    assert await blocking.blocked() == ()


async def test_nobody_blocks_themselves(ana: Desk, blocking: Blocking, server: Server) -> None:
    with pytest.raises(InputError, match="own_account"):
        await blocking.block(ana.who.uid)
    assert server.calls == []


async def test_nothing_is_written_to_somebody_blocked(ana: Desk, bruno: Desk, blocking: Blocking) -> None:
    def write(tx: Tx) -> None:
        chat = tx.chats.get(chat_of(ana.who, bruno.who))
        assert chat is not None
        require_not_blocked(tx, chat)

    await ana.store.read(write)
    await blocking.block(bruno.who.uid)
    with pytest.raises(StateError, match="person_blocked") as refused:
        await ana.store.read(write)
    assert refused.value.params == {"handle": "bruno"}


async def test_somebody_blocked_does_not_learn_that_they_were_read(ana: Desk, bruno: Desk, blocking: Blocking) -> None:
    there = chat_of(ana.who, bruno.who)

    def told(tx: Tx) -> list[bytes]:
        return [letter.uid for letter in receipts(tx, ana.me, Memberships(ana.me), [(there, 7)])]

    assert await ana.store.read(told) == [bruno.who.uid]
    await blocking.block(bruno.who.uid)
    assert await ana.store.read(told) == []


@pytest.mark.usefixtures("blocking")
async def test_another_device_s_block_holds_here(ana: Desk, bruno: Desk, context: Context) -> None:
    stream = context.emitter.stream(10)
    for counter, value, blocked in ((1, b"\x01", True), (2, b"", False)):
        record = SettingRecord(key=BLOCKED + bruno.who.uid.hex(), value=value, counter=counter, did=b"d" * 16)
        await context.commit_with(Mail(), lambda tx, out, record=record: context.settings.take(tx, out, record))  # type: ignore[misc]
        assert (await view(ana, bruno)).blocked is blocked
        changed = [event.chat for event in await stream.next_batch() if isinstance(event, ChatChanged)]
        assert [chat.blocked for chat in changed] == [blocked]


@pytest.mark.parametrize("key", ["blocked:", "blocked:zz", f"blocked:{'A' * 32}", f"blocked:{'0' * 30}", "blocked:ñ"])
async def test_a_setting_that_names_nobody_blocks_nobody(blocking: Blocking, context: Context, key: str) -> None:
    record = SettingRecord(key=key, value=b"\x01", counter=1, did=b"d" * 16)
    await context.commit_with(Mail(), lambda tx, out: context.settings.take(tx, out, record))
    assert await blocking.blocked() == ()


@pytest.mark.parametrize("value", [b"\x00", b"\x02", b"on", b"\x01\x01"])
async def test_a_value_of_a_newer_program_blocks_nobody(ana: Desk, bruno: Desk, value: bytes) -> None:
    def read(tx: Tx) -> tuple[bool, tuple[Uid, ...]]:
        tx.settings.put(StoredSetting(BLOCKED + bruno.who.uid.hex(), value, 1, Did(b"d" * 16)))
        return is_blocked(tx, bruno.who.uid), blocked_uids(tx)

    assert await ana.store.run(read) == (False, ())
    assert not (await view(ana, bruno)).blocked


async def test_a_restored_server_is_told_the_blocks_once(
    ana: Desk, bruno: Desk, blocking: Blocking, server: Server
) -> None:
    await blocking.block(bruno.who.uid)
    server.calls.clear()
    await blocking.run()
    assert server.calls == [], "nothing is due"
    await ana.store.run(lambda tx: tx.meta.raise_to(BLOCKS_DUE, 2))
    for _ in range(2):
        await blocking.run()
    assert server.calls == [("block", bruno.who.uid)]


async def test_a_restored_server_is_told_the_others_when_one_is_gone(
    ana: Desk, bruno: Desk, blocking: Blocking, server: Server
) -> None:
    gone = Uid(bytes(15) + b"\x01")
    for uid in (gone, bruno.who.uid):
        await blocking.block(uid)
    server.calls.clear()
    server.refuse = lambda uid: RefusedError(Code.UNKNOWN_USER) if uid == gone else None
    await ana.store.run(lambda tx: tx.meta.raise_to(BLOCKS_DUE, 2))
    await blocking.run()
    assert server.calls == [("block", bruno.who.uid)]


async def test_a_restored_server_that_goes_away_is_told_at_the_next_connection(
    ana: Desk, bruno: Desk, blocking: Blocking, server: Server
) -> None:
    await blocking.block(bruno.who.uid)
    server.calls.clear()
    await ana.store.run(lambda tx: tx.meta.raise_to(BLOCKS_DUE, 2))
    server.refuse = lambda _uid: NetworkError("network")
    await blocking.run()
    server.refuse = lambda _uid: None
    await blocking.run()
    assert server.calls == [("block", bruno.who.uid)]


# --- reports ---


async def wrote(desk: Desk, chat_id: ChatId, author: Uid, text: str, seq: int) -> Mid:
    mid = Mid(random16())
    new = NewMessage(
        chat_id, mid, author, outgoing=author == desk.me.uid, kind=MessageKind.TEXT, state=MessageState.SENT,
        sent_ms=NOW, text=text, seq=seq,
    )  # fmt: skip
    await desk.store.run(lambda tx: tx.messages.add(new))
    return mid


async def test_a_report_says_the_words_and_the_chosen_messages_and_nothing_else(ana: Desk, bruno: Desk) -> None:
    there = chat_of(ana.who, bruno.who)
    chosen = await wrote(ana, there, bruno.who.uid, "una amenaza", 1)
    await wrote(ana, there, bruno.who.uid, "otra cosa", 2)
    report = await ana.store.read(
        lambda tx: draft(tx, tx.contacts.person(bruno.who.uid), " me amenaza ", there, [chosen, chosen])
    )
    assert report.text == "me amenaza\n\n2026-09-21T14:13:20Z bruno: una amenaza"
    assert report.chat_id == there


async def test_words_alone_name_no_chat(ana: Desk, bruno: Desk) -> None:
    there = chat_of(ana.who, bruno.who)
    report = await ana.store.read(lambda tx: draft(tx, tx.contacts.person(bruno.who.uid), "spam", there, []))
    assert (report.text, report.chat_id) == ("spam", None)


async def test_what_others_have_written_is_not_told(ana: Desk, bruno: Desk) -> None:
    there = chat_of(ana.who, bruno.who)
    own = await wrote(ana, there, ana.who.uid, "mío", 1)
    with pytest.raises(InputError, match="unknown_message"):
        await ana.store.read(lambda tx: draft(tx, tx.contacts.person(bruno.who.uid), "x", there, [own]))


@pytest.mark.parametrize(
    ("words", "code"),
    [(" ", "empty_text"), ("\ud800", "malformed_text"), ("x" * (limits.REPORT_MAX_CHARS + 1), "report_too_long")],
)
async def test_a_report_that_cannot_be_sent_is_refused(ana: Desk, bruno: Desk, words: str, code: str) -> None:
    with pytest.raises(InputError, match=code):
        await ana.store.read(lambda tx: draft(tx, tx.contacts.person(bruno.who.uid), words, None, []))


async def test_messages_need_their_chat(ana: Desk, bruno: Desk) -> None:
    for chat_id in (None, ChatId(bytes(32))):
        with pytest.raises(InputError, match="unknown_chat"):
            await ana.store.read(
                lambda tx, chat_id=chat_id: draft(  # type: ignore[misc]
                    tx, tx.contacts.person(bruno.who.uid), "x", chat_id, [Mid(bytes(16))]
                )
            )
