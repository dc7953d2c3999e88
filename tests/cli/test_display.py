from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.cli import display
from mensajeria.cli.console import Console
from mensajeria.cli.profile import chat_of
from mensajeria.client import api
from mensajeria.client.i18n import Translator
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid

if TYPE_CHECKING:
    from mensajeria.client import Client

CHAT, BRUNO = ChatId(b"c" * 32), api.Person(Uid(b"b" * 16), "bruno")
TEXT = api.Message(
    CHAT,
    Mid(b"m" * 16),
    7,
    3,
    BRUNO,
    outgoing=False,
    kind=api.MessageKind.TEXT,
    text="hola",
    state=api.MessageState.RECEIVED,
    sent_ms=1_700_000_000_000,
)
VIEW = api.ChatView(
    CHAT, BRUNO, note_to_self=False, accepted=False, identity_changed=False, last=TEXT, unread=2, activity_ms=5
)


@pytest.fixture(params=["es", "en"])
def console(request: pytest.FixtureRequest) -> Console:
    return Console(Translator(request.param))


def test_a_message_says_who_and_what(console: Console) -> None:
    assert display.message_line(TEXT, console).endswith("  bruno: hola")


def test_a_text_cannot_pass_for_another_message_nor_steer_the_terminal(console: Console) -> None:
    hostile = replace(TEXT, text="a\n2026-01-01 00:00  ana: falso\x1b[2J")
    assert display.message_line(hostile, console).split("\n")[1] == "    2026-01-01 00:00  ana: falso\\x1b[2J"


@pytest.mark.parametrize("state", [state for state in api.MessageState if state is not api.MessageState.RECEIVED])
def test_an_own_message_carries_its_tick(console: Console, state: api.MessageState) -> None:
    line = display.message_line(replace(TEXT, outgoing=True, state=state), console)
    assert line.endswith(display._TICKS[state])


def test_a_failed_message_says_why(console: Console) -> None:
    failed = replace(TEXT, outgoing=True, state=api.MessageState.FAILED, error=Code.FORBIDDEN)
    assert console.translator.error("forbidden") in display.message_line(failed, console)


PARAMS = {"count": "3", "who": "carla", "role": "admin", "title": "Excursión", "seconds": "60", "choice": "7d"}


@pytest.mark.parametrize("cause", list(api.Cause))
def test_every_cause_is_said_in_words(console: Console, cause: api.Cause) -> None:
    unreadable = replace(TEXT, kind=api.MessageKind.UNREADABLE, text="never shown", cause=cause, params=PARAMS)
    line = display.message_line(unreadable, console)
    assert "never shown" not in line
    assert "{" not in line


def test_a_kind_of_a_newer_version_is_said_in_words(console: Console) -> None:
    unknown = replace(TEXT, kind=api.MessageKind.UNKNOWN, text="")
    assert console.translator.tr("unreadable.unknown") in display.message_line(unknown, console)


def test_a_chat_shows_request_unread_and_preview(console: Console) -> None:
    line = display.chat_line(VIEW, console)
    assert "bruno" in line
    assert console.tr("chats.request") in line
    assert console.tr("chats.unread", count=2) in line
    assert line.endswith("hola")
    own = display.chat_line(replace(VIEW, note_to_self=True, accepted=True, unread=0, last=None), console)
    assert own.startswith(console.translator.tr("chat.note_to_self"))


def test_a_chat_says_that_the_other_account_is_gone(console: Console) -> None:
    assert console.tr("chats.gone") in display.chat_line(replace(VIEW, gone=True), console)
    assert console.tr("chats.gone") not in display.chat_line(VIEW, console)


class Chats:
    """A client that has these chats, and finds every name on the server."""

    def __init__(self, *views: api.ChatView) -> None:
        self._views = views

    async def chats(self) -> tuple[api.ChatView, ...]:
        return self._views

    def chat(self, chat_id: bytes) -> str:
        return f"chat {chat_id.hex()}"

    async def direct_chat(self, username: str) -> str:
        return f"server: {username}"


async def meant(view: api.ChatView, name: str, *, to_write: bool) -> str:
    """What `chat_of` finds, in words."""
    return str(await chat_of(cast("Client", Chats(view)), name, to_write=to_write))


async def test_to_write_to_a_name_whose_account_is_gone_asks_who_has_it_now() -> None:
    gone = replace(VIEW, gone=True)
    assert await meant(gone, "@bruno", to_write=True) == "server: bruno"
    assert await meant(gone, "bruno", to_write=False) == f"chat {CHAT.hex()}", "what was written can be read"
    assert await meant(VIEW, "bruno", to_write=True) == f"chat {CHAT.hex()}"


def test_devices_and_events_are_lines(console: Console) -> None:
    device = api.DeviceView(Did(b"d" * 16), "portátil", 1, 2, current=True)
    assert console.tr("devices.this") in display.device_line(device, console)
    shown = [
        api.MessageReceived(TEXT),
        api.ChatChanged(VIEW),
        api.IdentityChanged(CHAT, BRUNO, blocked=True),
        api.SecurityWarning("server_changed"),
        api.EventsLost(4),
    ]
    assert all(display.event_line(event, console) for event in shown)
    silent = [api.TypingChanged(CHAT, BRUNO, typing=True), api.ChatChanged(replace(VIEW, accepted=True))]
    assert [display.event_line(event, console) for event in silent] == [None, None]


@pytest.mark.parametrize("time_ms", [-1, 0, 1 << 62])
def test_any_time_that_a_sender_claims_can_be_shown(time_ms: int) -> None:
    assert len(display.moment(time_ms)) == len("2026-11-24 18:09")


def test_a_new_device_of_the_account_is_told_with_what_to_do_about_it(console: Console) -> None:
    new = api.DeviceView(Did(b"\xab" * 16), "¿quién?", 1, 2, current=False, is_new=True)
    line = display.event_line(api.DeviceListChanged((new,), (new,)), console)
    assert line is not None
    assert "devices deny abababab" in line
    assert "¿quién?" in line
    assert "devices deny" in display.device_line(new, console)
    assert display.event_line(api.DeviceListChanged((), (), (new.did,)), console) is None


def test_a_deleted_message_and_a_changed_timer_have_words() -> None:
    console = Console(Translator("en"))
    gone = replace(TEXT, kind=api.MessageKind.DELETED, text="")
    assert "[This message was deleted]" in display.message_line(gone, console)
    timer = replace(TEXT, kind=api.MessageKind.NOTICE, cause=api.Cause.TIMER_CHANGED, params={"seconds": "7200"})
    assert "disappear 2 hours after they are read" in display.message_line(timer, console)
    assert "turned disappearing messages off" in display.message_line(replace(timer, params={"seconds": "0"}), console)


def test_a_line_shows_what_it_answers_that_it_was_edited_and_reactions() -> None:
    console = Console(Translator("en"))
    quote = api.Quote(Mid(b"q" * 16), BRUNO, api.MessageKind.TEXT, "are you\nin?", 3)
    rich = replace(TEXT, reply=quote, edited_ms=5, reactions=(api.Reaction(BRUNO, "👍"),))
    line = display.message_line(rich, console)
    assert "> bruno: are you" in line.split("\n")[0]
    assert line.split("\n")[1] == "    hola (edited, 👍 bruno)"
    gone = display.message_line(replace(TEXT, reply=replace(quote, kind=None, text="")), console)
    assert "> bruno: [the original is not here]" in gone
    removed = display.message_line(replace(TEXT, reply=replace(quote, kind=api.MessageKind.DELETED)), console)
    assert "> bruno: [This message was deleted]" in removed
