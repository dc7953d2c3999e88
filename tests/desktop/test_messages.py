"""What a person does with messages in the window: answers, edits, reactions, deletes, files, timers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtWidgets import QApplication, QMenu

from mensajeria.desktop.viewmodels.parts import (
    QuoteKind,
    QuoteRow,
    ReactionRow,
    VersionRow,
)
from mensajeria.desktop.viewmodels.types import PENDING_BASE, MessageRow, MessageState, Unreadable
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.quick_reactions import ReactionPopup
from mensajeria.desktop.windows.message_dialogs import DeleteDialog, InfoDialog, TimerDialog
from tests.desktop.hands import click, press, write
from tests.desktop.material import chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.chat_pane import ChatPane
from tests.desktop.message_pane import FILE, pane, show, spot, system, with_mid

__all__ = ["pane", "system"]


def focus_row(pane: ChatPane, key: str) -> None:
    pane.timeline.setFocus(Qt.FocusReason.TabFocusReason)
    pane.timeline._focus_row(pane._session.timeline.find(key))


def test_r_answers_the_focused_message(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    focus_row(pane, "k1")
    press(pane.timeline, Qt.Key.Key_R)
    assert pane.composer.strip.isVisible()
    assert "¿Vienes?" in pane.composer.strip.words
    write(pane.composer.editor, "Si")
    with qtbot.waitSignal(session.messages.reply_requested) as asked:
        press(pane.composer.editor, Qt.Key.Key_Return)
    assert asked.args == ["c", "Si", f"{1:032x}"]
    assert not pane.composer.strip.isVisible()


def test_escape_gives_the_answer_up_and_stays_in_the_chat(pane: ChatPane, session: SessionModel) -> None:
    pane.composer.answer(session.timeline.rows[0])
    press(pane.composer.editor, Qt.Key.Key_Escape)
    assert (pane.composer.answered, session.current) == (None, "c")


def test_ctrl_up_walks_through_what_can_be_answered(pane: ChatPane) -> None:
    editor, held = pane.composer.editor, Qt.KeyboardModifier.ControlModifier
    found = []
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down):
        press(editor, key, held)
        found.append(pane.composer.answered.key if pane.composer.answered is not None else "")
    assert found == ["k2", "k1", "k2", ""]


def test_up_in_the_empty_editor_rewords_the_last_own_text(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    press(pane.composer.editor, Qt.Key.Key_Up)
    assert pane.composer.text == "Voy"
    write(pane.composer.editor, " ya")
    with qtbot.waitSignal(session.messages.edit_requested) as asked:
        press(pane.composer.editor, Qt.Key.Key_Return)
    assert asked.args == ["c", f"{2:032x}", "Voy ya"]
    assert pane.composer.text == ""


def test_a_draft_waits_while_a_text_is_reworded(pane: ChatPane, session: SessionModel) -> None:
    write(pane.composer.editor, "borrador")
    focus_row(pane, "k2")
    press(pane.timeline, Qt.Key.Key_E)
    assert pane.composer.text == "Voy"
    press(pane.composer.editor, Qt.Key.Key_Escape)
    assert pane.composer.text == "borrador"


def test_what_others_wrote_cannot_be_reworded(pane: ChatPane) -> None:
    focus_row(pane, "k1")
    press(pane.timeline, Qt.Key.Key_E)
    assert not pane.composer.is_busy


def test_a_quote_is_shown_and_leads_to_the_original(pane: ChatPane, session: SessionModel) -> None:
    quote = QuoteRow("bruno", 2, outgoing=False, kind=QuoteKind.TEXT, text="¿Vienes?", position=1)
    show(session, with_mid(incoming(1)), with_mid(outgoing(2), quote=quote))
    layout = pane.timeline._delegate.layout(1)
    assert layout.quote is not None
    assert layout.bubble_box.contains(layout.quote.box)
    click(pane.timeline.viewport(), spot(pane, 1, layout.quote.box.center()))
    assert pane.timeline._delegate.flashing == "k1"


def test_an_original_outside_the_window_is_asked_for(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    quote = QuoteRow("bruno", 2, outgoing=False, kind=QuoteKind.TEXT, text="x", position=0)
    row = with_mid(outgoing(500), quote=quote)
    show(session, row)
    with qtbot.waitSignal(session.messages.jump_requested) as asked:
        pane.timeline.quote_wanted.emit(row)
    assert asked.args == ["c", 0]
    session.put_opened_chat(replace(opened("c", [with_mid(incoming(0)), row]), target="k0"))
    assert pane.timeline._delegate.flashing == "k0"


def test_an_original_that_is_not_here_is_told(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    quote = QuoteRow("bruno", 2, outgoing=False, kind=QuoteKind.MISSING, text="", position=None)
    with qtbot.waitSignal(pane.told) as told:
        pane.timeline.quote_wanted.emit(with_mid(outgoing(3), quote=quote))
    assert told.args == ["El mensaje original no está aquí"]
    assert session.wording.quote(quote) == "El mensaje original no está aquí"


def test_a_pill_takes_the_own_reaction_away(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    show(session, with_mid(incoming(1), reactions=(ReactionRow("👍", 2, mine=True), ReactionRow("🙏", 1, mine=False))))
    pills = pane.timeline._delegate.layout(0).reactions
    assert pills is not None
    with qtbot.waitSignal(session.messages.react_requested) as asked:
        click(pane.timeline.viewport(), spot(pane, 0, pills.pills[0].box.center()))
    assert asked.args == ["c", f"{1:032x}", ""]
    with qtbot.waitSignal(session.messages.react_requested) as asked:
        click(pane.timeline.viewport(), spot(pane, 0, pills.pills[1].box.center()))
    assert asked.args == ["c", f"{1:032x}", "🙏"]


def test_many_kinds_of_reactions_are_counted_and_stay_in_the_column(pane: ChatPane, session: SessionModel) -> None:
    many = tuple(ReactionRow(chr(0x1F600 + at), at + 1, mine=False) for at in range(20))
    show(session, with_mid(outgoing(1, "a"), reactions=many))
    layout = pane.timeline._delegate.layout(0)
    assert layout.reactions is not None
    pills = layout.reactions.pills
    assert (len(pills), pills[-1].words) == (7, "+14")
    assert all(layout.column.left <= pill.box.left() and pill.box.right() <= layout.column.right for pill in pills)


def test_plus_offers_emoji_to_the_keyboard(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    focus_row(pane, "k1")
    press(pane.timeline, Qt.Key.Key_Plus)
    popup = pane.findChild(ReactionPopup)
    assert popup is not None
    first, second = popup.quick.buttons[:2]
    first.setFocus()
    press(first, Qt.Key.Key_Right)
    with qtbot.waitSignal(session.messages.react_requested) as asked:
        press(second, Qt.Key.Key_Return)
    assert asked.args == ["c", f"{1:032x}", "❤️"]


def test_a_message_without_a_place_takes_no_reaction(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    waiting = replace(with_mid(outgoing(3)), position=PENDING_BASE + 1, state=MessageState.SENDING)
    with qtbot.assertNotEmitted(session.messages.react_requested):
        session.messages.toggle_reaction(waiting, "👍")


def test_deleting_asks_for_whom(qtbot: QtBot, signed_in: AppWindow, pane: ChatPane, session: SessionModel) -> None:
    focus_row(pane, "k2")
    press(pane.timeline, Qt.Key.Key_Delete)
    dialog = signed_in.main.dialog
    assert isinstance(dialog, DeleteDialog)
    assert dialog.cancel.hasFocus()
    with qtbot.waitSignal(session.messages.delete_requested) as asked:
        dialog.for_all.click()
    assert asked.args == ["c", f"{2:032x}", True]


def test_what_others_wrote_goes_from_here_only(signed_in: AppWindow, pane: ChatPane, session: SessionModel) -> None:
    pane.acts.delete(session.timeline.rows[0])
    dialog = signed_in.main.dialog
    assert isinstance(dialog, DeleteDialog)
    assert (dialog.for_all.isVisible(), dialog.for_me.isVisible()) == (False, True)


def test_who_administers_a_group_deletes_for_everybody(
    qtbot: QtBot, signed_in: AppWindow, pane: ChatPane, session: SessionModel
) -> None:
    session.put_chats([chat("c", "Ruta", group=True, members=3, role="admin")])
    pane.acts.delete(session.timeline.rows[0])
    dialog = signed_in.main.dialog
    assert isinstance(dialog, DeleteDialog)
    assert session.wording.translator.tr("delete_message.text_admin") in [
        label.text() for label in dialog.findChildren(Label)
    ]
    with qtbot.waitSignal(session.messages.delete_requested) as asked:
        dialog.for_all.click()
    assert asked.args == ["c", f"{1:032x}", True]


def test_a_mere_member_deletes_from_here_only(signed_in: AppWindow, pane: ChatPane, session: SessionModel) -> None:
    session.put_chats([chat("c", "Ruta", group=True, members=3, role="member")])
    pane.acts.delete(session.timeline.rows[0])
    dialog = signed_in.main.dialog
    assert isinstance(dialog, DeleteDialog)
    assert not dialog.for_all.isVisible()


def menu_words(pane: ChatPane, row: MessageRow) -> list[str]:
    pane.acts.show_menu(row, pane.mapToGlobal(QPoint(50, 50)))
    [menu] = [each for each in pane.findChildren(QMenu) if each.isVisible()]
    words = [each.text().split("\t")[0] for each in menu.actions() if each.text()]
    menu.close()
    return words


@pytest.mark.parametrize(
    ("change", "expected", "missing"),
    [
        ({}, {"Reaccionar", "Responder", "Copiar texto", "Editar", "Eliminar"}, {"Descargar"}),
        ({"file": FILE, "text": ""}, {"Responder", "Descargar", "Guardar como…"}, {"Editar", "Copiar texto"}),
        ({"unreadable": Unreadable.DELETED, "text": ""}, {"Eliminar"}, {"Responder", "Reaccionar", "Editar"}),
        ({"state": MessageState.FAILED}, {"Reintentar", "Descartar"}, {"Editar"}),
    ],
)
def test_the_menu_offers_what_a_row_allows(
    pane: ChatPane, change: dict[str, object], expected: set[str], missing: set[str]
) -> None:
    words = set(menu_words(pane, with_mid(outgoing(2, "Voy"), **change)))
    assert expected <= words
    assert not missing & words


def test_the_information_shows_earlier_wordings(
    qtbot: QtBot, signed_in: AppWindow, pane: ChatPane, session: SessionModel
) -> None:
    row = with_mid(outgoing(2, "Voy ya"), edited=True, reactions=(ReactionRow("👍", 1, mine=False, names=("bruno",)),))
    with qtbot.waitSignal(session.messages.versions_requested):
        pane.acts.show_info(row)
    session.messages.put_versions(row.mid, (VersionRow("Voy", 1), VersionRow("Voy ya", 2)))
    dialog = signed_in.main.dialog
    assert isinstance(dialog, InfoDialog)
    words = " ".join(label.text() for label in dialog.findChildren(Label))
    assert "Voy" in words
    assert "👍  bruno" in words
    qtbot.waitUntil(lambda: all(label.isVisible() for label in dialog.findChildren(Label)))
    card = dialog.card
    assert card.height() >= card.column.totalHeightForWidth(card.width()), "nothing is squeezed"


def test_the_bar_beside_the_message_answers_it(qtbot: QtBot, pane: ChatPane) -> None:
    layout = pane.timeline._delegate.layout(0)
    pane.timeline._hover_over(0)
    assert pane.timeline.hover.isVisible()
    assert pane.timeline.hover.x() > layout.bubble_box.right() - 14
    pane.timeline.hover.reply.emit()
    assert pane.composer.answered is not None


# --- timer, groups, words


def test_the_timer_is_asked_for_and_chosen(
    qtbot: QtBot, signed_in: AppWindow, pane: ChatPane, session: SessionModel
) -> None:
    session.messages.put_timer("c", 3600)
    assert "1 hora" in pane.composer.timer.accessibleName()
    pane.composer.timer.click()
    dialog = signed_in.main.dialog
    assert isinstance(dialog, TimerDialog)
    assert dialog.first().hasFocus()
    [day] = [chip for chip in dialog.chips if chip.text() == "1 día"]
    with qtbot.waitSignal(session.messages.timer_requested) as asked:
        day.click()
    assert asked.args == ["c", 86_400]


def test_in_a_group_bubbles_say_whose_they_are(pane: ChatPane, session: SessionModel) -> None:
    rows = [with_mid(incoming(1)), with_mid(incoming(2)), with_mid(outgoing(3))]
    session.put_opened_chat(replace(opened("c", rows), group=True))
    layouts = [pane.timeline._delegate.layout(place) for place in range(3)]
    assert [layout.name is not None for layout in layouts] == [True, False, False]
    assert [layout.avatar_box.isNull() for layout in layouts] == [True, False, True]


def test_a_screen_reader_hears_everything(session: SessionModel) -> None:
    quote = QuoteRow("bruno", 2, outgoing=False, kind=QuoteKind.TEXT, text="¿Vienes?", position=1)
    row = with_mid(
        outgoing(2, "Voy"),
        quote=quote,
        file=FILE,
        reactions=(ReactionRow("👍", 3, mine=False),),
        expire_s=60,
        edited=True,
    )
    words = session.wording.accessible_message(row)
    for part in (
        "respondiendo a bruno: ¿Vienes?",
        "archivo acta.pdf, 820 KB",
        "3 reacciones: 👍",
        "editado",
        "desaparece",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (284_000, "284 KB"), (1_250_000, "1,2 MB"), (10**30, "1" + "0" * 18 + " TB")],
)
def test_sizes_in_words(session: SessionModel, size: int, words: str) -> None:
    assert session.wording.size(size) == words


def test_progress_in_words(session: SessionModel) -> None:
    assert session.wording.progress(1_600_000, 2_200_000) == "1,6 de 2,2 MB"


def test_the_clipboard_gets_the_text(pane: ChatPane) -> None:
    focus_row(pane, "k1")
    press(pane.timeline, Qt.Key.Key_C)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == "¿Vienes?"
