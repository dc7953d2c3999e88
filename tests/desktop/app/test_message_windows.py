"""Two real windows and a real server: an answer, a reaction, an edit, a file fetched, a delete for everybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from PyQt6.QtCore import Qt

from mensajeria.desktop.viewmodels.parts import FilePhase
from mensajeria.desktop.viewmodels.types import MessageRow, MessageState, Unreadable
from tests.cli.servers import RunningServer
from tests.desktop.app.test_windows import Person, people, server
from tests.desktop.hands import press, write

__all__ = ["people", "server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def last(person: Person) -> MessageRow | None:
    """The newest message in the open chat."""
    rows = [row for row in person.program.session.timeline.rows if row.service is None]
    return rows[-1] if rows else None


def say(person: Person, text: str) -> None:
    composer = person.program.window.main.pane.composer
    write(composer.editor, text)
    press(composer.editor, Qt.Key.Key_Return)
    person.until(lambda: (row := last(person)) is not None and row.text == text and row.position_is_final)


def newest(person: Person) -> MessageRow:
    row = last(person)
    assert row is not None
    return row


def test_messages_are_answered_changed_and_deleted(
    tmp_path: Path, server: RunningServer, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    for person, name in ((ana, "ana"), (bruno, "bruno")):
        person.register(server.url, name)
    ana.start_chat_with("bruno")
    say(ana, "Vienes")
    bruno.open_only_chat()
    bruno.until(lambda: newest(bruno).text == "Vienes")
    bruno.look_at_window()
    bruno.program.session.accept_request()
    bruno.until(bruno.program.window.main.pane.composer.isVisible)
    pane = bruno.program.window.main.pane
    pane.composer.answer(newest(bruno))
    say(bruno, "Voy")
    ana.until(lambda: newest(ana).text == "Voy")
    quote = newest(ana).quote
    assert quote is not None
    assert (quote.text, quote.outgoing) == ("Vienes", True)

    ana.program.session.messages.toggle_reaction(newest(ana), "👍")
    bruno.until(lambda: [each.emoji for each in newest(bruno).reactions] == ["👍"])
    bruno.until(lambda: newest(bruno).state is not MessageState.SENDING)
    press(pane.composer.editor, Qt.Key.Key_Up)
    write(pane.composer.editor, " ya")
    press(pane.composer.editor, Qt.Key.Key_Return)
    ana.until(lambda: newest(ana).text == "Voy ya" and newest(ana).edited)

    path = tmp_path / "acta.txt"
    path.write_text("acta " * 1000)
    pane.take_files([str(path)])
    write(pane.composer.editor, "mira")
    press(pane.composer.editor, Qt.Key.Key_Return)
    ana.until(lambda: newest(ana).file is not None)
    assert newest(ana).text == "mira"
    ana.program.session.messages.download(newest(ana), str(tmp_path / "new" / "folder"))
    ana.until(lambda: (file := newest(ana).file) is not None and file.phase is FilePhase.SAVED)
    assert (tmp_path / "new" / "folder" / "acta.txt").read_text() == path.read_text()

    bruno.program.session.messages.delete(newest(bruno).mid, for_all=True)
    ana.until(lambda: newest(ana).unreadable is Unreadable.DELETED)
    ana.program.session.messages.set_timer(3600)
    ana.until(lambda: ana.program.session.messages.timer_s == 3600)
    bruno.until(lambda: bruno.program.session.messages.timer_s == 3600)
