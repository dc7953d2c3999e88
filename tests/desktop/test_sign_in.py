from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication

from mensajeria.desktop.viewmodels.types import (
    CheckState,
    ErrorNotice,
    LinkCheck,
    LinkRequest,
    LoginRequest,
    NameCheck,
    PasswordStrength,
    Phase,
    RecoverRequest,
    RegisterRequest,
    ServerCheck,
)
from mensajeria.kit.secrets import Secret
from tests.desktop.hands import press, write
from tests.desktop.material import ANA

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.register import RegisterPage

SERVER = "chat.example.org"
PASSWORD = "trigo nube farol"
CODE = "7KQ4-M2XW-9RTD-H3BC-61ZF-VN8E-YP5J-A0GS-K"
OPEN = ServerCheck(SERVER, CheckState.OK, "0.1.0", registration_open=True)


@pytest.fixture
def form(window: AppWindow, session: SessionModel) -> RegisterPage:
    """The registration form with an open server."""
    window.auth.show_register()
    page = window.auth.register
    page.server.show_address(SERVER)
    session.set_server_check(OPEN)
    return page


def test_what_is_known_of_the_server_is_said_on_a_page_that_comes_later(
    window: AppWindow, session: SessionModel
) -> None:
    window.auth.login.server.show_address(SERVER)
    session.set_server_check(ServerCheck(SERVER, CheckState.OK, "0.1.0", registration_open=False))
    window.auth.login.other_wanted.emit()
    assert window.auth.register.invite.isVisible()


def fill(qtbot: QtBot, page: RegisterPage, session: SessionModel) -> None:
    write(page.handle.line, "Bruno")
    qtbot.waitUntil(lambda: session.name_check.handle == "bruno")
    session.set_name_check(NameCheck("bruno", CheckState.OK))
    write(page.password.line, PASSWORD)
    with qtbot.waitSignal(session.password_check_requested) as asked:
        pass
    session.set_password_strength(asked.args[0], PasswordStrength(3, "", accepted=True))
    write(page.repeat.line, PASSWORD)


def test_login_carries_what_was_typed(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    page = window.auth.login
    write(page.server.line, SERVER)
    write(page.handle.line, " @Ana ")
    write(page.password.line, PASSWORD)
    with qtbot.waitSignal(session.sign_in_requested) as sent:
        press(page.password.line, Qt.Key.Key_Return)
    assert sent.args[0] == LoginRequest(SERVER, "ana", Secret.from_text(PASSWORD))
    assert PASSWORD not in repr(sent.args[0])
    assert not page.submit.isEnabled()


def test_an_empty_field_gets_the_focus(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    page = window.auth.login
    write(page.server.line, SERVER)
    with qtbot.assertNotEmitted(session.sign_in_requested):
        page.submit.click()
    assert page.handle.helper.label.text() == "Falta rellenar este campo"


def test_a_wrong_password_is_said_in_words(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    session.set_busy(True)
    session.fail_auth(ErrorNotice("bad_credentials"))
    page = window.auth.login
    assert page.problem.isVisible()
    assert page.problem.label.text() == "El usuario o la contraseña no son correctos."
    assert page.submit.isEnabled()
    write(page.password.line, "x")
    assert not page.problem.isVisible()


def test_server_is_checked_after_a_pause_and_old_answers_are_dropped(
    qtbot: QtBot, window: AppWindow, session: SessionModel
) -> None:
    page = window.auth.login
    with qtbot.waitSignal(session.server_check_requested, timeout=3000) as asked:
        write(page.server.line, SERVER)
    assert asked.args == [SERVER]
    session.set_server_check(ServerCheck("other", CheckState.BAD, error="network"))
    assert page.server.helper.label.text() == "Comprobando…"
    session.set_server_check(ServerCheck(SERVER, CheckState.BAD, error="tls"))
    assert page.server.helper.label.text() == "El certificado del servidor no es válido."
    assert page.server.frame.bad
    session.set_server_check(OPEN)
    assert page.server.good


def test_registration_carries_what_was_typed(qtbot: QtBot, form: RegisterPage, session: SessionModel) -> None:
    fill(qtbot, form, session)
    with qtbot.waitSignal(session.sign_in_requested) as sent:
        form.submit.click()
    assert sent.args[0] == RegisterRequest(SERVER, "bruno", Secret.from_text(PASSWORD), "")


def test_recovery_carries_what_was_typed(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    write(window.auth.login.server.line, SERVER)
    write(window.auth.login.handle.line, "bruno")
    window.auth.login.recover_wanted.emit()
    page = window.auth.recover
    assert (page.server.address, page.name) == (SERVER, "bruno")
    write(page.code.line, CODE)
    write(page.password.line, PASSWORD)
    with qtbot.waitSignal(session.password_check_requested) as asked:
        pass
    session.set_password_strength(asked.args[0], PasswordStrength(3, "", accepted=True))
    write(page.chosen.repeat.line, PASSWORD)
    with qtbot.waitSignal(session.sign_in_requested) as sent:
        page.submit.click()
    secrets = (Secret.from_text(CODE), Secret.from_text(PASSWORD))
    assert sent.args[0] == RecoverRequest(SERVER, "bruno", *secrets)
    assert PASSWORD not in repr(sent.args[0])
    assert CODE not in repr(sent.args[0])
    session.fail_auth(ErrorNotice("recovery_invalid"))
    assert page.code.frame.bad
    session.set_phase(Phase.READY)
    assert (page.code.text, page.password.text, page.chosen.repeat.text) == ("", "", "")


def test_a_code_with_a_letter_too_few_is_not_sent(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    window.auth.show_recover()
    page = window.auth.recover
    write(page.server.line, SERVER)
    write(page.handle.line, "bruno")
    write(page.code.line, CODE[:-1])
    with qtbot.assertNotEmitted(session.sign_in_requested):
        page.submit.click()
    assert page.code.helper.label.text() == "Faltan o sobran letras: son 33"


def test_a_taken_name_is_refused_with_suggestions(qtbot: QtBot, form: RegisterPage, session: SessionModel) -> None:
    fill(qtbot, form, session)
    session.set_name_check(NameCheck("bruno", CheckState.BAD, ("bruno.d", "bruno_d"), "handle_taken"))
    assert form.handle.helper.label.text() == "Ya existe. Prueba con bruno.d o bruno_d"
    with qtbot.assertNotEmitted(session.sign_in_requested):
        form.submit.click()


def test_a_weak_password_is_refused(qtbot: QtBot, form: RegisterPage, session: SessionModel) -> None:
    fill(qtbot, form, session)
    with qtbot.waitSignal(session.password_check_requested) as asked:
        write(form.password.line, "1")
    form.repeat.line.setText(form.password.text)
    session.set_password_strength(asked.args[0], PasswordStrength(1, "password.advice.common", accepted=False))
    assert form.meter.score == 1
    with qtbot.assertNotEmitted(session.sign_in_requested):
        form.submit.click()


def test_passwords_must_match(qtbot: QtBot, form: RegisterPage, session: SessionModel) -> None:
    fill(qtbot, form, session)
    write(form.repeat.line, "x")
    assert form.repeat.helper.label.text() == "Las contraseñas no coinciden"
    with qtbot.assertNotEmitted(session.sign_in_requested):
        form.submit.click()


def test_a_closed_server_asks_for_an_invite(qtbot: QtBot, form: RegisterPage, session: SessionModel) -> None:
    fill(qtbot, form, session)
    session.set_server_check(ServerCheck(SERVER, CheckState.OK, "0.1.0", registration_open=False))
    assert form.invite.isVisible()
    with qtbot.assertNotEmitted(session.sign_in_requested):
        form.submit.click()
    write(form.invite.line, "abc")
    with qtbot.waitSignal(session.sign_in_requested) as sent:
        form.submit.click()
    assert sent.args[0].invite == "abc"


def test_refusals_stand_at_their_field(form: RegisterPage, session: SessionModel) -> None:
    session.set_busy(True)
    session.fail_auth(ErrorNotice("handle_taken"))
    assert form.handle.helper.label.text() == "Ese nombre ya existe."
    session.fail_auth(ErrorNotice("network"))
    assert form.problem.label.text() == "No se puede llegar al servidor."


def test_recovery_code_must_be_kept_before_going_on(
    qtbot: QtBot, window: AppWindow, session: SessionModel, tmp_path: Path
) -> None:
    session.set_account(ANA)
    window.auth.register.password.line.setText(PASSWORD)
    session.set_recovery_code(Secret.from_text("AB12-CD34"))
    page = window.auth.recovery
    assert page.isVisible()
    assert window.auth.register.password.text == ""
    assert not page.go_on.isEnabled()
    page.write(tmp_path / "code.txt")
    assert "AB12-CD34" in (tmp_path / "code.txt").read_text("utf-8")
    assert stat.S_IMODE((tmp_path / "code.txt").stat().st_mode) == 0o600
    page.copy.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == "AB12-CD34"
    page.saved.click()
    with qtbot.waitSignal(session.recovery_saved):
        page.go_on.click()
    assert session.phase is Phase.READY
    assert session.recovery_code is None
    assert page.card.accessibleName() == ""
    assert window.currentWidget() is window.main


def test_an_expired_login_leads_back(window: AppWindow, session: SessionModel) -> None:
    session.set_phase(Phase.READY)
    session.set_phase(Phase.SIGNED_OUT)
    assert window.auth.login.isVisible()


def test_the_eye_shows_the_password(window: AppWindow) -> None:
    field = window.auth.login.password
    field.line.setText("abc")
    assert field.line.displayText() != "abc"
    field.eye.click()
    assert field.line.displayText() == "abc"
    assert field.eye.toolTip() == "Ocultar la contraseña"


LINK = "mensajeria-link:AAAA"


def test_linking_carries_code_and_password(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    window.auth.login.link_wanted.emit()
    page = window.auth.link
    with qtbot.waitSignal(session.link_check_requested) as asked:
        page.code.line.setText(f" {LINK}\n")
    session.set_link_check(asked.args[0], LinkCheck(CheckState.OK, "https://chat.example.org", "ana"))
    assert page.code.helper.label.text() == "Cuenta @ana en chat.example.org"
    write(page.password.line, PASSWORD)
    with qtbot.waitSignal(session.sign_in_requested) as sent:
        press(page.password.line, Qt.Key.Key_Return)
    assert sent.args[0] == LinkRequest(Secret.from_text(LINK), Secret.from_text(PASSWORD))
    assert LINK not in repr(sent.args[0])
    assert not page.submit.isEnabled()
    session.set_phase(Phase.READY)
    assert (page.code.text, page.password.text) == ("", "")


def test_what_is_no_link_code_is_not_sent(qtbot: QtBot, window: AppWindow, session: SessionModel) -> None:
    window.auth.show_link()
    page = window.auth.link
    write(page.password.line, PASSWORD)
    page.submit.click()
    assert page.code.helper.label.text() == "Falta rellenar este campo"
    with qtbot.waitSignal(session.link_check_requested) as asked:
        page.code.line.setText("hola")
    session.set_link_check(asked.args[0], LinkCheck(CheckState.BAD, error="link_code_invalid"))
    with qtbot.assertNotEmitted(session.sign_in_requested):
        page.submit.click()
    assert page.code.helper.label.text() == session.wording.translator.error("link_code_invalid")


def test_an_answer_about_an_earlier_code_is_dropped(window: AppWindow, session: SessionModel) -> None:
    window.auth.show_link()
    page, earlier = window.auth.link, Secret.from_text("x")
    session.check_link(earlier)
    page.code.line.setText(LINK)
    session.set_link_check(earlier, LinkCheck(CheckState.OK, "https://evil.example", "ana"))
    assert not page.code.helper.isVisible()


def test_a_server_that_is_not_the_code_s_is_told_at_the_code(window: AppWindow, session: SessionModel) -> None:
    window.auth.show_link()
    session.set_busy(True)
    session.fail_auth(ErrorNotice("server_changed"))
    assert window.auth.link.code.helper.label.text() == session.wording.translator.error("server_changed")
    window.auth.link.other_wanted.emit()
    assert window.auth.pages.currentWidget() is window.auth.login
