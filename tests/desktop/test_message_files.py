"""Files in the window: fetching, opening, dropping, pasting, pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import QFileDialog

from mensajeria.desktop.viewmodels.parts import (
    FilePhase,
    FileRow,
    Outgoing,
    QuoteKind,
    QuoteRow,
    TransferRow,
)
from mensajeria.desktop.viewmodels.types import MessageRow, MessageState
from mensajeria.desktop.windows.message_dialogs import RiskyFileDialog
from mensajeria.desktop.windows.row_actions import downloads_folder
from tests.desktop.hands import click, press, write
from tests.desktop.material import incoming, outgoing

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.chat_pane import ChatPane
from tests.desktop.message_pane import FILE, Opener, pane, show, spot, system, with_mid

__all__ = ["pane", "system"]


# --- files


def test_a_file_is_fetched_into_the_usual_folder(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    show(session, with_mid(incoming(1), text="", file=FILE))
    layout = pane.timeline._delegate.layout(0)
    with qtbot.waitSignal(session.messages.download_requested) as asked:
        click(pane.timeline.viewport(), spot(pane, 0, layout.file_circle.center()))
    assert asked.args == ["c", f"{1:032x}", "b2", downloads_folder()]


def test_a_folder_can_be_chosen(qtbot: QtBot, pane: ChatPane, session: SessionModel, tmp_path: Path) -> None:
    pane.acts.save_as(with_mid(incoming(1), text="", file=FILE))
    dialog = pane.findChild(QFileDialog)
    assert dialog is not None
    with qtbot.waitSignal(session.messages.download_requested) as asked:
        dialog.fileSelected.emit(str(tmp_path))
    assert asked.args[3] == str(tmp_path)
    dialog.close()


def test_only_the_button_itself_stops_a_transfer(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    show(
        session,
        with_mid(outgoing(1, state=MessageState.SENDING), text="", file=replace(FILE, phase=FilePhase.UPLOADING)),
    )
    session.put_transfer("c", f"{1:032x}", TransferRow(upload=True, done=5, total=10))
    layout = pane.timeline._delegate.layout(0)
    with qtbot.assertNotEmitted(session.messages.cancel_requested):
        click(pane.timeline.viewport(), spot(pane, 0, layout.file_box.center() + QPointF(20, 0)))
    with qtbot.waitSignal(session.messages.cancel_requested) as asked:
        click(pane.timeline.viewport(), spot(pane, 0, layout.file_circle.center()))
    assert asked.args == ["c", f"{1:032x}", True]


def test_progress_changes_no_layout(pane: ChatPane, session: SessionModel) -> None:
    show(session, with_mid(incoming(1), text="", file=FILE))
    before = pane.timeline._delegate.layout(0)
    session.put_transfer("c", f"{1:032x}", TransferRow(upload=False, done=5, total=10))
    assert pane.timeline._delegate.layout(0) is before
    session.put_transfer("c", f"{1:032x}", None)
    assert session.timeline.transfers == {}


def saved(tmp_path: Path, name: str, *, risky: bool) -> MessageRow:
    path = tmp_path / name
    path.write_bytes(b"x")
    file = replace(FILE, name=name, phase=FilePhase.SAVED, saved_to=str(path), risky=risky)
    return with_mid(incoming(1), text="", file=file)


def test_a_saved_file_is_opened(pane: ChatPane, system: Opener, tmp_path: Path) -> None:
    row = saved(tmp_path, "acta.pdf", risky=False)
    pane.acts.press_file(row, False)
    assert system.opened == [str(tmp_path / "acta.pdf")]


def test_a_file_that_can_run_something_is_opened_only_after_a_question(
    signed_in: AppWindow, pane: ChatPane, system: Opener, tmp_path: Path
) -> None:
    pane.acts.press_file(saved(tmp_path, "juego.exe", risky=True), False)
    dialog = signed_in.main.dialog
    assert isinstance(dialog, RiskyFileDialog)
    assert dialog.cancel.hasFocus()
    assert system.opened == []
    dialog.go.click()
    assert system.opened == [str(tmp_path / "juego.exe")]


def test_a_saved_file_that_is_gone_is_fetched_again(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, system: Opener, tmp_path: Path
) -> None:
    row = saved(tmp_path, "acta.pdf", risky=False)
    (tmp_path / "acta.pdf").unlink()
    with qtbot.waitSignal(session.messages.download_requested):
        pane.acts.press_file(row, False)
    assert system.opened == []


def test_dropped_files_wait_until_they_are_sent(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text("x")
    pane.take_files([str(path) for path in paths])
    assert [chip.path for chip in pane.composer.files.chips] == [str(path) for path in paths]
    pane.composer.files.chips[0].stop.click()
    write(pane.composer.editor, "mira")
    with qtbot.waitSignal(session.messages.files_requested) as asked:
        press(pane.composer.editor, Qt.Key.Key_Return)
    assert asked.args == ["c", Outgoing((str(paths[1]),), "mira")]
    assert not pane.composer.files.isVisible()


def test_files_are_pasted_as_files_and_pictures_as_pictures(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    files, picture = QMimeData(), QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path)), QUrl("https://osm.org")])
    picture.setImageData(QImage(40, 30, QImage.Format.Format_RGB32))
    pane.composer.editor.insertFromMimeData(files)
    pane.composer.editor.insertFromMimeData(picture)
    qtbot.waitUntil(lambda: len(pane.composer.files.chips) == 2)
    pasted = pane.composer.files.paths[1]
    assert not QImage(pasted).isNull()
    with qtbot.waitSignal(session.messages.files_requested) as asked:
        press(pane.composer.editor, Qt.Key.Key_Return)
    assert asked.args[1].temporary == {pasted}


def test_a_picture_keeps_its_room_before_it_is_decoded(qtbot: QtBot, pane: ChatPane, session: SessionModel) -> None:
    file = FileRow(
        "a.jpg", "image/jpeg", 9, FilePhase.REMOTE, width=1600, height=900, blurhash="LEHV6nWB2yk8pyo0adR*.7kCMdnj"
    )
    show(session, with_mid(incoming(1), text="", file=file))
    layout = pane.timeline._delegate.layout(0)
    assert layout.picture is not None
    before = layout.height
    pictures = pane.timeline._delegate.pictures
    with qtbot.waitSignal(pictures.ready):
        pane.timeline.grab()
    found = pictures.get(f"{1:032x}", file, layout.picture.width, layout.picture.height, 1.0)
    assert found is not None
    assert pane.timeline._delegate.layout(0).height == before


@pytest.mark.parametrize(("width", "height"), [(1, 100_000), (100_000, 1), (1, 1), (65535, 65535)])
def test_no_picture_is_larger_than_its_place(pane: ChatPane, session: SessionModel, width: int, height: int) -> None:
    file = FileRow("a.jpg", "image/jpeg", 9, FilePhase.REMOTE, width=width, height=height, thumb=b"not a jpeg")
    show(session, with_mid(incoming(1), text="", file=file))
    layout = pane.timeline._delegate.layout(0)
    assert 120 <= layout.file_box.width() <= 340
    assert 120 <= layout.file_box.height() <= 340
    assert not pane.timeline.grab().isNull()


def test_hostile_names_stay_in_their_bubble(pane: ChatPane, session: SessionModel) -> None:
    name = "\u202egpj." + "x" * 5000 + ".exe"
    quote = QuoteRow("b" * 3000, 2, outgoing=False, kind=QuoteKind.TEXT, text="y" * 5000, position=1)
    show(session, with_mid(incoming(1, "z"), file=replace(FILE, name=name), quote=quote))
    layout = pane.timeline._delegate.layout(0)
    assert layout.bubble_box.width() <= 500
    assert layout.bubble_box.contains(layout.file_box)
    assert not pane.timeline.grab().isNull()
