"""Two real windows, a real server process: what the product is for, typed with the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mensajeria.desktop.app.main import StartOptions, build
from mensajeria.desktop.app.program import Program
from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    Devices,
    HealthInfo,
    Invites,
    LoadBackup,
    LoadDevices,
    LoadHealth,
    LoadInvites,
)
from mensajeria.desktop.viewmodels.types import ConnectionPhase, MessageRow, MessageState, Phase
from mensajeria.desktop.windows.dialogs import NewChatDialog
from mensajeria.desktop.windows.group_dialogs import NewGroupDialog
from mensajeria.desktop.windows.log_out import LogOutDialog
from mensajeria.desktop.windows.verify import VerifyDialog
from tests.cli.servers import RunningServer, running_server
from tests.desktop.hands import press, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WAIT_MS = 30_000
PASSWORD = "caballo correcto pila 47"


@pytest.fixture
def server(made_server: Path, tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "server", made_server) as running:
        yield running


class Person:
    """Somebody at a window."""

    def __init__(self, qtbot: QtBot, profile: Path) -> None:
        self._qtbot = qtbot
        self.profile = profile
        self.program: Program
        self.code = ""
        """The recovery code, from the registration on."""

    def open_window(self) -> None:
        self.program = build(StartOptions(self.profile, "es"))
        self.until(self.program.window.isVisible)

    def close_window(self) -> None:
        self.program.window.close()
        self.until(lambda: not self.program.bridge.running)
        assert self.program.failure is None

    def until(self, condition: Callable[[], object]) -> None:
        self._qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT_MS)

    def look_at_window(self) -> None:
        self.program.window.raise_()
        self.program.window.activateWindow()
        self.until(self.program.window.isActiveWindow)

    def register(self, address: str, name: str) -> None:
        self.look_at_window()
        session, auth = self.program.session, self.program.window.auth
        auth.show_register()
        page = auth.register
        for field, text in (
            (page.server, address),
            (page.handle, name),
            (page.password, PASSWORD),
            (page.repeat, PASSWORD),
        ):
            field.line.clear()
            write(field.line, text)
        self.until(lambda: page.meter.score >= 2 and session.name_check.handle == name)
        self.until(lambda: session.server_check.state.name == "OK")
        press(page.repeat.line, Qt.Key.Key_Return)
        self.until(lambda: session.phase is Phase.RECOVERY_CODE)
        assert session.recovery_code is not None
        self.code = session.recovery_code.reveal_text()
        assert len(auth.recovery.card.accessibleName().replace(" ", "")) == 33
        auth.recovery.saved.click()
        auth.recovery.go_on.click()
        self.until(lambda: session.phase is Phase.READY and session.account is not None)

    def log_in(self, address: str, name: str) -> None:
        self.look_at_window()
        page = self.program.window.auth.login
        for field, text in ((page.server, address), (page.handle, name), (page.password, PASSWORD)):
            field.line.clear()
            write(field.line, text)
        press(page.password.line, Qt.Key.Key_Return)
        self.until(lambda: self.program.session.phase is Phase.READY and self.program.session.account is not None)

    def start_chat_with(self, name: str) -> None:
        self.look_at_window()
        main = self.program.window.main
        press(main, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        self.until(lambda: main.dialog is not None)
        assert isinstance(main.dialog, NewChatDialog)
        write(main.dialog.field.line, name)
        press(main.dialog.field.line, Qt.Key.Key_Return)
        self.until(lambda: self.program.session.current)

    def open_only_chat(self) -> None:
        session = self.program.session
        self.until(lambda: session.chats.total == 1)
        session.open_chat(session.chats.visible[0].chat_id)
        self.until(lambda: session.timeline.rows)

    def type_and_send(self, text: str) -> None:
        self.look_at_window()
        editor = self.program.window.main.pane.composer.editor
        write(editor, text)
        press(editor, Qt.Key.Key_Return)
        self.until(lambda: self.find(text))

    def find(self, text: str) -> MessageRow | None:
        rows = [row for row in self.program.session.timeline.rows if row.text == text]
        assert len(rows) <= 1, "shown once"
        return rows[0] if rows else None

    def reads(self, text: str) -> None:
        self.until(lambda: self.find(text))

    def sees_state(self, text: str, *states: MessageState) -> None:
        self.until(lambda: (row := self.find(text)) is not None and row.state in states)

    def texts(self) -> list[str]:
        return [row.text for row in self.program.session.timeline.rows if row.text]


@pytest.fixture
def people(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Person, Person]]:
    monkeypatch.setenv("MENSAJERIA_KEY_FILE", "plain")
    ana, bruno = Person(qtbot, tmp_path / "ana"), Person(qtbot, tmp_path / "bruno")
    for person in (ana, bruno):
        person.open_window()
    yield ana, bruno
    for person in (ana, bruno):
        if person.program.bridge.running:
            person.program.leave()
            person.until(lambda: not person.program.bridge.running)  # noqa: B023 - used at once
        person.program.window.deleteLater()


def test_ana_writes_bruno_reads_and_everything_survives(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    ana.register(server.url, "ana")
    bruno.register(server.url, "bruno")

    # Ana writes from her window; Bruno is asked first and has not answered: sent, no more.
    ana.start_chat_with("bruno")
    ana.type_and_send("Hola Bruno")
    ana.sees_state("Hola Bruno", MessageState.SENT)
    bruno.open_only_chat()
    assert bruno.program.window.main.pane.request.isVisible()
    bruno.reads("Hola Bruno")
    assert ana.find("Hola Bruno").state is MessageState.SENT  # type: ignore[union-attr]

    # He accepts and looks: delivered, then read.
    bruno.look_at_window()
    bruno.program.session.accept_request()
    bruno.until(bruno.program.window.main.pane.composer.isVisible)
    ana.sees_state("Hola Bruno", MessageState.DELIVERED, MessageState.READ)
    ana.sees_state("Hola Bruno", MessageState.READ)
    bruno.type_and_send("Hola Ana")
    ana.reads("Hola Ana")

    # Without a server: a banner, and what is written waits; with it, it goes out by itself.
    server.kill()
    ana.until(lambda: ana.program.session.connection.phase in (ConnectionPhase.OFFLINE, ConnectionPhase.CONNECTING))
    ana.type_and_send("sin conexion")
    assert ana.find("sin conexion").state is MessageState.SENDING  # type: ignore[union-attr]
    ana.until(lambda: ana.program.session.connection.pending == 1)
    server.start()
    ana.sees_state("sin conexion", MessageState.SENT, MessageState.DELIVERED, MessageState.READ)
    bruno.reads("sin conexion")

    # Both close and come back, without the server at first: everything is there before the network answers.
    told = ana.texts()
    for person in people:
        person.close_window()
    server.kill()
    for person in people:
        person.open_window()
        assert person.program.session.phase is Phase.READY
        person.open_only_chat()
        assert person.texts() == told == ["Hola Bruno", "Hola Ana", "sin conexion"]
    server.start()
    ana.until(lambda: ana.program.session.connection.phase is ConnectionPhase.ONLINE)
    bruno.type_and_send("otra vez aqui")
    ana.reads("otra vez aqui")


def test_ana_makes_a_group_and_both_verify_each_other(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    ana.register(server.url, "ana")
    bruno.register(server.url, "bruno")

    # A group by the keyboard: the name is looked up while it is typed.
    ana.look_at_window()
    main = ana.program.window.main
    press(main, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    dialog = main.dialog
    assert isinstance(dialog, NewGroupDialog)
    write(dialog.name.line, "Ruta")
    write(dialog.people.field.line, "nadie")
    ana.until(lambda: dialog.people.field.frame.bad)
    dialog.people.field.line.clear()
    write(dialog.people.field.line, "bruno")
    press(dialog.people.field.line, Qt.Key.Key_Return)
    ana.until(lambda: dialog.people.handles == ("bruno",))
    press(dialog.go, Qt.Key.Key_Return)
    ana.until(lambda: ana.program.session.current)
    row = ana.program.session.current_row
    assert row is not None
    assert (row.title, row.group, row.members) == ("Ruta", True, 2)
    ana.type_and_send("hola a todos")
    bruno.open_only_chat()
    bruno.reads("hola a todos")
    bruno.until(lambda: (seen := bruno.program.session.current_row) is not None and seen.title == "Ruta")

    # The panel tells who is in it; from there Ana verifies Bruno by the number that both see.
    main.toggle_info()
    ana.until(lambda: main.info.info is not None and len(main.info.info.members) == 2)
    main.verify("bruno")
    check = main.dialog
    assert isinstance(check, VerifyDialog)
    ana.until(lambda: len(check.number.text) == 71)
    check.same.click()
    ana.until(lambda: check.pill.text == "Verificado")
    check.dismiss()
    ana.until(lambda: any(one.person.verified for one in main.info.info.members if not one.me))  # type: ignore[union-attr]


def test_the_pages_of_the_account_show_what_the_server_and_the_store_have(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, _ = people
    ana.register(server.url, "ana")
    told: list[object] = []
    asks = ana.program.session.asks
    asks.answered.connect(told.append)
    for request, answer in (
        (LoadDevices(), Devices), (LoadBackup(), BackupInfo), (LoadInvites(), Invites), (LoadHealth(), HealthInfo),
    ):  # fmt: skip
        with qtbot.waitSignal(asks.finished, timeout=WAIT_MS) as done:
            asks.ask(request)
        assert done.args == [request, None]
        assert isinstance(told[-1], answer)
    [devices] = [one for one in told if isinstance(one, Devices)]
    assert [device.current for device in devices.rows] == [True]

    # Logging out leads to the login page, which knows who was here; the password leads back to the chats.
    session, window = ana.program.session, ana.program.window
    window.main.log_out()
    assert isinstance(window.main.dialog, LogOutDialog)
    window.main.dialog.go.click()
    ana.until(lambda: session.phase is Phase.SIGNED_OUT)
    ana.until(lambda: session.connection.phase is ConnectionPhase.SESSION_EXPIRED)
    assert window.auth.login.handle.text == "ana"
    ana.log_in(server.url, "ana")
    ana.until(lambda: session.connection.phase is ConnectionPhase.ONLINE)

    # For good: nothing is left in the folder, and the same window takes whoever comes next.
    window.main.log_out()
    assert isinstance(window.main.dialog, LogOutDialog)
    window.main.dialog.erase.click()
    window.main.dialog.go.click()
    ana.until(lambda: session.phase is Phase.SIGNED_OUT)
    assert session.account is None
    assert {path.name for path in (tmp_path / "ana").iterdir()} <= {"lock", "preferences.json"}
    ana.log_in(server.url, "ana")
    ana.until(lambda: session.connection.phase is ConnectionPhase.ONLINE)

    # Signed out, what is kept keeps others away; it can be taken away without the server.
    window.main.log_out()
    assert isinstance(window.main.dialog, LogOutDialog)
    window.main.dialog.go.click()
    ana.until(lambda: session.phase is Phase.SIGNED_OUT)
    server.kill()
    window.auth.login.erase.click()
    assert window.auth.dialog is not None
    window.auth.dialog.go.click()
    ana.until(lambda: session.account is None)
    assert not (tmp_path / "ana" / "store.db").exists()


def test_a_failed_registration_says_why_and_can_be_mended(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person]
) -> None:
    ana, other = people
    ana.register(server.url, "ana")
    other.look_at_window()
    page = other.program.window.auth.register
    other.program.window.auth.show_register()
    write(page.server.line, server.url)
    write(page.handle.line, "ana")
    other.until(lambda: other.program.session.name_check.error == "handle_taken")
    assert len(other.program.session.name_check.suggestions) == 2
    other.register(server.url, "ana2")


def test_a_wrong_password_says_so_and_the_right_one_adds_the_device(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person]
) -> None:
    first, second = people
    first.register(server.url, "ana")
    second.look_at_window()
    page = second.program.window.auth.login
    write(page.server.line, server.url)
    write(page.handle.line, "ana")
    write(page.password.line, "not the password 9")
    with qtbot.waitSignal(second.program.session.auth_failed, timeout=WAIT_MS) as failed:
        press(page.password.line, Qt.Key.Key_Return)
    assert failed.args is not None
    assert failed.args[0].code == "bad_credentials"
    second.log_in(server.url, "ana")
    assert second.program.session.account is not None
    assert second.program.session.account.handle == "ana"


def test_a_second_window_of_an_open_profile_cannot_be(
    qtbot: QtBot, server: RunningServer, people: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, _ = people
    ana.register(server.url, "ana")
    again = build(StartOptions(tmp_path / "ana", "es"))
    ana.until(lambda: again.failure is not None)
    assert again.failure is not None
    assert again.failure.code == "profile_in_use"
    ana.until(lambda: not again.bridge.running)
    again.window.deleteLater()
