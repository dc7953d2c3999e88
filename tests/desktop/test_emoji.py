"""The emoji picker: what is found by which words, and how it is used by keyboard and pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, QRect, Qt

from mensajeria.desktop.viewmodels import emoji
from mensajeria.desktop.viewmodels.types import Phase
from mensajeria.desktop.widgets.emoji_picker import SIGNS, EmojiPicker
from mensajeria.desktop.widgets.quick_reactions import QuickReactions, ReactionPopup
from mensajeria.protocol.emoji import is_emoji
from tests.desktop.hands import press, write
from tests.desktop.material import chat, incoming, opened

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.chat_pane import ChatPane


@pytest.fixture
def pane(signed_in: AppWindow, session: SessionModel) -> ChatPane:
    session.put_chats([chat("c", "Bruno")])
    session.set_phase(Phase.READY)
    session.open_chat("c")
    row = incoming(1)
    session.put_opened_chat(opened("c", [type(row)(row.key, 1, row.sender, False, row.time_ms, "a", mid="01" * 16)]))
    return signed_in.main.pane


@pytest.fixture
def picker(qtbot: QtBot, window: AppWindow, ui: UiContext) -> EmojiPicker:
    made = EmojiPicker(ui, window)
    made.open_over(QRect(QPoint(100, 100), QPoint(110, 110)))
    qtbot.waitUntil(made.search.line.hasFocus)
    return made


def symbols(found: tuple[emoji.Emoji, ...]) -> list[str]:
    return [each.symbol for each in found]


def test_every_emoji_is_one_and_has_names() -> None:
    assert len(emoji.all_emoji()) > 1000
    assert [each.symbol for each in emoji.all_emoji() if not is_emoji(each.symbol)] == []
    assert [each.symbol for each in emoji.all_emoji() if not all((*each.names, *each.words))] == []
    assert len({each.symbol for each in emoji.all_emoji()}) == len(emoji.all_emoji())


def test_every_group_has_emoji_and_its_sign() -> None:
    assert {each.group for each in emoji.all_emoji()} == set(emoji.GROUPS)
    known = {each.symbol for each in emoji.all_emoji()}
    assert set(SIGNS.values()) <= known


@pytest.mark.parametrize(
    ("text", "language", "first"),
    [
        ("corazon roj", "es", "❤️"),
        ("CORAZÓN ROJO", "es", "❤️"),
        ("red heart", "en", "❤️"),
        ("red heart", "es", "❤️"),
        ("cara de perro", "es", "🐶"),
        ("thumbs up", "en", "👍️"),
    ],
)
def test_emoji_are_found_in_both_languages_without_accents(text: str, language: str, first: str) -> None:
    assert emoji.search(text, language)[0].symbol.rstrip("\ufe0f") == first.rstrip("\ufe0f")


def test_nothing_is_found_by_nothing_or_nonsense() -> None:
    assert emoji.search("  ", "es") == ()
    assert emoji.search("qwxz", "es") == ()


def test_enter_in_the_search_takes_the_first(qtbot: QtBot, picker: EmojiPicker) -> None:
    write(picker.search.line, "corazon rojo")
    with qtbot.waitSignal(picker.chosen) as chosen:
        press(picker.search.line, Qt.Key.Key_Return)
    assert chosen.args == ["❤️"]
    assert not picker.isVisible()


def test_arrows_walk_the_grid_and_back_to_the_search(qtbot: QtBot, picker: EmojiPicker) -> None:
    press(picker.search.line, Qt.Key.Key_Down)
    assert picker.grid.hasFocus()
    press(picker.grid, Qt.Key.Key_Right)
    press(picker.grid, Qt.Key.Key_Down)
    group = symbols(emoji.of_group("smileys"))
    assert picker.grid.current == group[9]
    assert picker.name.text == f"{group[9]}  {emoji.of_group('smileys')[9].names[1]}"
    press(picker.grid, Qt.Key.Key_Up)
    press(picker.grid, Qt.Key.Key_Up)
    assert picker.search.line.hasFocus()


def test_a_letter_in_the_grid_is_meant_for_the_search(picker: EmojiPicker) -> None:
    press(picker.search.line, Qt.Key.Key_Down)
    write(picker.grid, "g")
    assert (picker.search.line.text(), picker.search.line.hasFocus()) == ("g", True)


def test_a_group_ends_the_search(picker: EmojiPicker) -> None:
    write(picker.search.line, "zzzz")
    assert picker.grid.current == ""
    assert picker.name.text == "No hay ningún emoji así"
    picker.tabs[3].click()
    assert picker.search.line.text() == ""
    assert symbols(picker.grid.emoji.shown) == symbols(emoji.of_group("food"))


def test_what_can_be_reached_has_a_name(picker: EmojiPicker) -> None:
    assert picker.accessibleName()
    assert picker.grid.accessibleName()
    assert all(tab.accessibleName() == tab.toolTip() != "" for tab in picker.tabs)
    index = picker.grid.emoji.index(0)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == emoji.all_emoji()[0].names[1]


def test_ctrl_e_puts_emoji_where_the_cursor_stands(qtbot: QtBot, signed_in: AppWindow, pane: ChatPane) -> None:
    write(pane.composer.editor, "ab")
    press(pane.composer.editor, Qt.Key.Key_Left)
    press(pane.composer.editor, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    picker = pane.composer.findChild(EmojiPicker)
    assert picker is not None
    picker.grid.chosen.emit("🐶")
    assert picker.isVisible(), "several can be taken by the pointer"
    write(picker.search.line, "gato")
    press(picker.search.line, Qt.Key.Key_Return)
    assert not picker.isVisible()
    assert pane.composer.text.startswith("a🐶")
    assert pane.composer.text.endswith("b")


def test_a_reaction_can_be_any_emoji(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    pane.acts.choose_reaction(session.timeline.rows[0], QPoint(50, 50))
    popup = pane.findChild(ReactionPopup)
    assert popup is not None
    press(popup.quick.buttons[0], Qt.Key.Key_Left)
    assert popup.quick.more.hasFocus()
    popup.quick.more.click()
    picker = pane.findChild(EmojiPicker)
    assert picker is not None
    with qtbot.waitSignal(session.messages.react_requested) as asked:
        picker.grid.chosen.emit("🦄")
    assert asked.args == ["c", "01" * 16, "🦄"]


def test_the_menu_leads_to_all_emoji(pane: ChatPane, session: SessionModel) -> None:
    pane.acts.show_menu(session.timeline.rows[0], pane.mapToGlobal(QPoint(50, 50)))
    [quick] = [each for each in pane.findChildren(QuickReactions) if each.isVisible()]
    quick.more.click()
    assert pane.findChild(EmojiPicker) is not None
    assert not quick.isVisible()
