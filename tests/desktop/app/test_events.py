from __future__ import annotations

from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from mensajeria.client import api
from mensajeria.client.i18n import Translator
from mensajeria.desktop.bridge import updates as up
from mensajeria.desktop.bridge.events import EventMapper
from mensajeria.desktop.bridge.suggestions import suggestions
from mensajeria.desktop.viewmodels import asking
from mensajeria.desktop.viewmodels import types as vm
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid

CHAT = ChatId(b"c" * 32)
BRUNO = api.Person(Uid(b"b" * 16), "bruno")
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
    sent_ms=1_000,
)
VIEW = api.ChatView(
    CHAT, BRUNO, note_to_self=False, accepted=True, identity_changed=False, last=TEXT, unread=1, activity_ms=5
)


@pytest.fixture
def mapper() -> EventMapper:
    made = EventMapper("chat.example.org", "Notas para mí")
    made.chats((VIEW,))
    return made


def only_chat(found: list[up.Update]) -> vm.ChatRow:
    [rows] = [update.rows for update in found if isinstance(update, up.ChatsPut)]
    [row] = rows
    return row


def test_a_profile_and_a_group_s_picture_reach_the_windows(mapper: EventMapper) -> None:
    found = list(mapper.updates(api.ProfileChanged(BRUNO, api.UserProfile("Bruno Díaz", "de viaje", b"jpeg"))))
    assert found == [up.ProfilesPut((ProfileRow(BRUNO.uid.hex(), "Bruno Díaz", "de viaje", b"jpeg"),))]
    group = api.GroupView("Ruta", "", 3, api.GroupRole.OWNER, picture=b"jpeg")
    row = only_chat(list(mapper.updates(api.ChatChanged(replace(VIEW, peer=None, group=group)))))
    assert (row.picture, row.face) == (b"jpeg", CHAT.hex())
    direct = only_chat(list(mapper.updates(api.ChatChanged(VIEW))))
    assert (direct.face, direct.title) == (BRUNO.uid.hex(), "bruno"), "the user name stays the title"


def test_typing_shows_in_the_list_until_the_message_is_there(mapper: EventMapper) -> None:
    assert only_chat(list(mapper.updates(api.TypingChanged(CHAT, BRUNO, typing=True)))).typing
    kept = only_chat(list(mapper.updates(api.ChatChanged(replace(VIEW, unread=0)))))
    assert kept.typing
    assert not only_chat(list(mapper.updates(api.MessageReceived(TEXT)))).typing
    list(mapper.updates(api.TypingChanged(CHAT, BRUNO, typing=True)))
    assert not only_chat(list(mapper.updates(api.TypingChanged(CHAT, BRUNO, typing=False)))).typing


def test_typing_in_a_chat_that_is_not_known_shows_nowhere(mapper: EventMapper) -> None:
    assert list(mapper.updates(api.TypingChanged(ChatId(b"x" * 32), BRUNO, typing=True))) == []


def test_a_message_and_its_change_are_rows_of_their_chat(mapper: EventMapper) -> None:
    first = next(mapper.updates(api.MessageReceived(TEXT)))
    assert isinstance(first, up.MessagesPut)
    assert (first.chat_id, [row.key for row in first.rows]) == (CHAT.hex(), ["s3"])
    changed = replace(TEXT, outgoing=True, state=api.MessageState.READ)
    [update] = mapper.updates(api.MessageStateChanged(changed, 7))
    assert isinstance(update, up.MessagesPut)
    assert update.rows[0].state is vm.MessageState.READ


def test_a_discarded_message_is_gone(mapper: EventMapper) -> None:
    [update] = mapper.updates(api.MessageDiscarded(CHAT, TEXT.mid, 7))
    assert update == up.MessagesPut(CHAT.hex(), (), (f"m{TEXT.mid.hex()}", "n7"))


def test_a_removed_row_is_gone_whatever_its_key_was(mapper: EventMapper) -> None:
    [update] = mapper.updates(api.MessageRemoved(CHAT, TEXT.mid, 3 << 16))
    assert update == up.MessagesPut(CHAT.hex(), (), (f"m{TEXT.mid.hex()}", f"n{3 << 16}", "s3"))


def test_a_chat_that_is_no_more_is_gone_after_a_reload(mapper: EventMapper) -> None:
    assert mapper.unread(CHAT) == 1
    assert mapper.chats(()) == up.ChatsPut((), (CHAT.hex(),))
    assert mapper.unread(CHAT) == 0


def test_a_declined_chat_is_gone_and_stays_gone(mapper: EventMapper) -> None:
    assert mapper.gone(CHAT) == up.ChatsPut((), (CHAT.hex(),))
    assert list(mapper.updates(api.TypingChanged(CHAT, BRUNO, typing=True))) == []


def test_the_link_and_a_violation_are_told(mapper: EventMapper) -> None:
    [link] = mapper.updates(api.ConnectionChanged(api.ConnectionPhase.OFFLINE, 9, Code.UNAVAILABLE, 2))
    expected = vm.ConnectionState(vm.ConnectionPhase.OFFLINE, "chat.example.org", 9, 2, "unavailable")
    assert link == up.ConnectionIs(expected)
    [warning] = mapper.updates(api.SecurityWarning("server_changed", None, {"handle": "x"}))
    assert warning == up.Noticed(vm.ErrorNotice("server_changed", {"handle": "x"}))


PERSON = vm.Person("aa", "ana", "", 0)
ROW = vm.ChatRow("c", "bruno", 0)
MESSAGE = vm.MessageRow("s1", 1, PERSON, outgoing=False, time_ms=0, text="hola")


def test_every_update_reaches_the_session_model(qtbot: QtBot) -> None:
    session = SessionModel(Wording(Translator("es"), lambda: 0))
    session.chats.put([ROW])
    page = vm.Page("c", (MESSAGE,), at_start=True, at_end=True)
    up.apply(up.PhaseIs(vm.Phase.READY), session)
    up.apply(up.AccountIs(PERSON), session)
    assert (session.phase, session.account) == (vm.Phase.READY, PERSON)
    session.open_chat("c")
    up.apply(up.ChatOpened(vm.OpenedChat(page)), session)
    up.apply(up.MessagesPut("c", (vm.MessageRow("s2", 2, PERSON, outgoing=False, time_ms=0),)), session)
    assert [row.key for row in session.timeline.rows] == ["s1", "s2"]
    up.apply(
        up.NewerPut(vm.Page("c", (vm.MessageRow("s9", 9, PERSON, outgoing=False, time_ms=0),), False, True)), session
    )
    up.apply(
        up.OlderPut(vm.Page("c", (vm.MessageRow("s0", 0, PERSON, outgoing=False, time_ms=0),), True, False)), session
    )
    assert [row.key for row in session.timeline.rows] == ["s0", "s1", "s2", "s9"]
    state = vm.ConnectionState(vm.ConnectionPhase.OFFLINE)
    up.apply(up.ConnectionIs(state), session)
    assert session.connection == state
    up.apply(up.ChatsPut((), ("c",)), session)
    assert (session.chats.total, session.current) == (0, "")
    with qtbot.waitSignals([session.noticed, session.new_chat_finished, session.auth_failed], timeout=100):
        up.apply(up.Noticed(vm.ErrorNotice("network")), session)
        up.apply(up.NewChatDone("", "unknown_user"), session)
        up.apply(up.AuthFailed(vm.ErrorNotice("network")), session)
    password = Secret.from_text("x")
    session.check_password(password, "ana")
    session.check_server("a")
    session.check_name("a", "ana")
    with qtbot.waitSignals([session.password_checked, session.server_checked, session.name_checked], timeout=100):
        up.apply(up.PasswordChecked(password, vm.PasswordStrength(4, "", accepted=True)), session)
        up.apply(up.ServerChecked(vm.ServerCheck("a", vm.CheckState.OK)), session)
        up.apply(up.NameChecked(vm.NameCheck("ana", vm.CheckState.OK)), session)
    up.apply(up.RecoveryCodeIs(Secret.from_text("ABCD")), session)
    assert session.phase is vm.Phase.RECOVERY_CODE


@pytest.mark.parametrize("handle", ["ana", "a" * 32, "ana_", "ana.es"])
def test_suggestions_are_two_other_well_formed_names(handle: str) -> None:
    found = suggestions(handle)
    assert len(set(found)) == 2
    assert handle not in found
    assert all(3 <= len(name) <= 32 for name in found)


def test_a_contact_s_dot_comes_and_goes(mapper: EventMapper) -> None:
    assert only_chat(list(mapper.updates(api.PresenceChanged(BRUNO, here=True)))).online
    assert only_chat(list(mapper.updates(api.ChatChanged(VIEW)))).online
    assert not only_chat(list(mapper.updates(api.PresenceChanged(BRUNO, here=False)))).online
    stranger = api.Person(Uid(b"x" * 16), "eva")
    assert list(mapper.updates(api.PresenceChanged(stranger, here=True))) == []


def test_settings_changed_on_another_device_reach_their_page(mapper: EventMapper) -> None:
    [update] = mapper.updates(api.PrivacyChanged(api.PrivacySettings(typing=False)))
    assert update == up.Answered(asking.PrivacyIs(typing=False))


def test_what_somebody_else_writes_is_told(mapper: EventMapper) -> None:
    found = [update for update in mapper.updates(api.MessageReceived(TEXT)) if isinstance(update, up.Arrived)]
    assert [(each.arrival.chat_id, each.arrival.sender, each.arrival.text) for each in found] == [
        (CHAT.hex(), "bruno", "hola")
    ]


@pytest.mark.parametrize(
    "message",
    [
        replace(TEXT, outgoing=True, state=api.MessageState.SENT),
        replace(TEXT, kind=api.MessageKind.NOTICE, cause=api.Cause.NEW_DEVICE),
        replace(TEXT, kind=api.MessageKind.UNREADABLE, cause=api.Cause.BLOCKED, text=""),
        replace(TEXT, kind=api.MessageKind.DELETED, text=""),
    ],
    ids=["own", "notice", "hidden", "deleted"],
)
def test_what_nobody_else_writes_is_not_told(mapper: EventMapper, message: api.Message) -> None:
    assert not [update for update in mapper.updates(api.MessageReceived(message)) if isinstance(update, up.Arrived)]
