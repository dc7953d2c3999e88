"""Two real windows and a real server: an account moves to another identity; another one begins anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot

from mensajeria.client.errors import NetworkError
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.desktop.viewmodels.types import ConnectionPhase, Phase, ServiceKind
from mensajeria.desktop.windows.new_password import NewPassword
from mensajeria.desktop.windows.renewal_page import RenewalPage
from mensajeria.desktop.windows.reset import AnewDialog
from mensajeria.desktop.windows.security_page import SecurityPage
from mensajeria.desktop.windows.settings import SettingsDialog
from mensajeria.protocol import auth
from tests.cli.servers import RunningServer
from tests.cli.test_exchange import lines, mensajeria
from tests.desktop.app.test_windows import PASSWORD, Person, people, server
from tests.desktop.hands import press, write

__all__ = ["people", "server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
NEW = "girasol niebla farol 47"


@pytest.fixture
def talking(server: RunningServer, people: tuple[Person, Person]) -> tuple[Person, Person]:
    """Ana and Bruno, who have written to each other."""
    ana, bruno = people
    ana.register(server.url, "ana")
    bruno.register(server.url, "bruno")
    ana.start_chat_with("bruno")
    ana.type_and_send("Hola Bruno")
    bruno.open_only_chat()
    bruno.program.session.accept_request()
    bruno.until(bruno.program.window.main.pane.composer.isVisible)
    bruno.type_and_send("Hola Ana")
    ana.reads("Hola Ana")
    return ana, bruno


def choose(person: Person, chosen: NewPassword) -> None:
    """Type the new password twice."""
    for field in (chosen.password, chosen.repeat):
        write(field.line, NEW)
    person.until(lambda: chosen.meter.score >= 2)


def told(person: Person, kind: ServiceKind) -> bool:
    return any(row.service is kind for row in person.program.session.timeline.rows)


def test_ana_moves_to_another_identity_and_bruno_follows(talking: tuple[Person, Person]) -> None:
    ana, bruno = talking
    ana.look_at_window()
    main = ana.program.window.main
    main.settings("security")
    settings = main.dialog
    assert isinstance(settings, SettingsDialog)
    assert isinstance(settings.page, SecurityPage)
    settings.page.renew.click()
    page = settings.page
    assert isinstance(page, RenewalPage)
    write(page.old.line, "no es esta 99 vela")
    choose(ana, page.chosen)
    write(page.code.line, ana.code)
    press(page.code.line, Qt.Key.Key_Return)
    ana.until(lambda: page.old.frame.bad)
    page.old.line.clear()
    write(page.old.line, PASSWORD)
    press(page.old.line, Qt.Key.Key_Return)
    ana.until(lambda: not page.form.isVisible())
    page.cancel.click()
    settings.dismiss()

    bruno.until(lambda: told(bruno, ServiceKind.IDENTITY_RENEWED))
    ana.until(lambda: ana.program.session.connection.phase is ConnectionPhase.ONLINE)
    ana.type_and_send("con otra identidad")
    bruno.reads("con otra identidad")
    bruno.type_and_send("te sigo")
    ana.reads("te sigo")
    assert {"Hola Bruno", "Hola Ana"} <= set(ana.texts())
    assert not bruno.program.window.main.pane.identity.isVisible()


def test_bruno_has_lost_everything_and_begins_anew(
    qtbot: QtBot, server: RunningServer, talking: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, lost = talking
    lost.close_window()
    operator = ("admin", "user", "reset-identity", "bruno", "--data-dir", str(server.folder), "--json", "--yes")
    [allowed] = lines(mensajeria(*operator))

    bruno = Person(qtbot, tmp_path / "anew")
    bruno.open_window()
    try:
        bruno.look_at_window()
        session, auth = bruno.program.session, bruno.program.window.auth
        write(auth.login.server.line, server.url)
        write(auth.login.handle.line, "bruno")
        auth.login.recover_wanted.emit()
        auth.recover.reset_wanted.emit()
        page = auth.reset
        write(page.code.line, "no es ninguno")
        choose(bruno, page.chosen)
        page.understood.click()
        page.submit.click()
        bruno.until(lambda: page.code.frame.bad)
        page.code.line.clear()
        write(page.code.line, allowed["code"])
        press(page.code.line, Qt.Key.Key_Return)
        bruno.until(lambda: session.phase is Phase.RECOVERY_CODE)
        assert session.recovery_code is not None
        code = session.recovery_code.reveal_text()
        assert code != lost.code
        killed = Path(shutil.copytree(bruno.profile, tmp_path / "killed", ignore=shutil.ignore_patterns("*.sock")))
        bruno.close_window()
        bruno.program.window.deleteLater()

        bruno = Person(qtbot, killed)  # the files as a kill leaves them
        bruno.open_window()
        session, auth = bruno.program.session, bruno.program.window.auth
        bruno.until(lambda: session.phase is Phase.RECOVERY_CODE)
        assert session.recovery_code is not None
        assert session.recovery_code.reveal_text() == code
        auth.recovery.saved.click()
        auth.recovery.go_on.click()
        bruno.until(lambda: session.phase is Phase.READY and session.account is not None)
        assert isinstance(bruno.program.window.main.dialog, AnewDialog)
        bruno.program.window.main.dialog.dismiss()

        ana.until(lambda: told(ana, ServiceKind.IDENTITY_CHANGED))
        ana.until(ana.program.window.main.pane.identity.isVisible)
        bruno.open_only_chat()
        assert bruno.texts() == []
        bruno.type_and_send("he perdido todo")
        ana.reads("he perdido todo")
    finally:
        bruno.close_window()
        bruno.program.window.deleteLater()


def test_a_registration_whose_answer_is_lost_shows_its_code_and_ends_with_a_login(
    server: RunningServer, people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, _ = people
    ask = AuthChannel.ask

    async def lossy(channel: AuthChannel, message: Any, *rest: Any) -> Any:
        answer = await ask(channel, message, *rest)
        if isinstance(message, auth.RegisterFinish):
            raise NetworkError("network")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(AuthChannel, "ask", lossy)
        ana.register(server.url, "ana")
    session, window = ana.program.session, ana.program.window
    assert window.auth.recovery.unsure.isVisibleTo(window.auth.recovery)
    ana.until(lambda: session.connection.phase is ConnectionPhase.SESSION_EXPIRED)
    session.sign_in_again()
    ana.log_in(server.url, "ana")
    ana.until(lambda: session.connection.phase is ConnectionPhase.ONLINE)
