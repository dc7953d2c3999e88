"""Another identity for an old account: by the recovery code in the settings, by the operator's code at the entrance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, QRect, Qt
from PyQt6.QtWidgets import QApplication, QWidget

from mensajeria.desktop.viewmodels.asking import RenewIdentity, Request
from mensajeria.desktop.viewmodels.types import ErrorNotice, PasswordStrength, Phase, ResetRequest
from mensajeria.desktop.windows.renewal_page import RenewalPage
from mensajeria.desktop.windows.reset import AnewDialog, ResetPage
from mensajeria.desktop.windows.security_page import SecurityPage
from mensajeria.desktop.windows.settings import SettingsDialog
from mensajeria.kit.secrets import Secret
from tests.desktop.hands import press, write
from tests.desktop.material import ANA

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.new_password import NewPassword

NEW = "girasol niebla farol 47"
CODE = "7KQ4-M2XW-9RTD-H3BC-61ZF-VN8E-YP5J-A0GS-K"
TOKEN = "q3Zf0aVdS1yT8mLkWnXc2A"


def choose(session: SessionModel, chosen: NewPassword) -> None:
    """Type a new password twice; it is strong."""
    for field in (chosen.password, chosen.repeat):
        field.line.setText(NEW)
        field.line.textEdited.emit(NEW)
    chosen._timer.stop()
    asked = Secret.from_text(NEW)
    session.check_password(asked, "ana")
    session.set_password_strength(asked, PasswordStrength(4, "", accepted=True))


# --- by the recovery code


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def settings(signed_in: AppWindow, session: SessionModel) -> SettingsDialog:
    session.set_account(ANA)
    signed_in.main.settings("security")
    assert isinstance(signed_in.main.dialog, SettingsDialog)
    return signed_in.main.dialog


@pytest.fixture
def page(settings: SettingsDialog, session: SessionModel, asked: list[Request]) -> RenewalPage:
    """Come to from the page of the security, and filled in."""
    security = settings.page
    assert isinstance(security, SecurityPage)
    security.renew.click()
    renewal = settings.page
    assert isinstance(renewal, RenewalPage)
    assert renewal.old.line.hasFocus()
    write(renewal.old.line, "vieja")
    choose(session, renewal.chosen)
    write(renewal.code.line, CODE)
    asked.clear()
    return renewal


def test_the_account_is_moved_with_what_was_typed_and_nothing_of_it_stays(
    page: RenewalPage, session: SessionModel, asked: list[Request]
) -> None:
    press(page.code.line, Qt.Key.Key_Return)
    page.send()
    assert asked == [RenewIdentity(Secret.from_text("vieja"), Secret.from_text(NEW), Secret.from_text(CODE))]
    assert not page.go.isEnabled()
    assert page.go.text() == "Creando la identidad…"
    session.asks.finish(asked[0])
    assert page.outcome.label.text() == session.wording.translator.tr("renewal.done")
    assert (page.old.text, page.chosen.password.text, page.code.text) == ("", "", "")
    assert not page.go.isVisible()
    assert page.cancel.hasFocus()


def test_there_is_a_way_back_without_doing_anything(
    page: RenewalPage, settings: SettingsDialog, asked: list[Request]
) -> None:
    page.cancel.click()
    assert isinstance(settings.page, SecurityPage)
    assert settings.items["security"].hasFocus()
    assert asked == []
    settings.choose("renewal")
    assert (page.old.text, page.chosen.password.text, page.code.text) == ("", "", "")


@pytest.mark.parametrize(
    ("error", "field"), [("bad_credentials", "old"), ("recovery_invalid", "code"), ("recovery_code_invalid", "code")]
)
def test_what_the_server_does_not_take_is_said_at_its_field(
    page: RenewalPage, session: SessionModel, asked: list[Request], error: str, field: str
) -> None:
    page.send()
    session.asks.finish(asked[0], ErrorNotice(error))
    wrong = getattr(page, field)
    assert wrong.frame.bad
    assert wrong.line.hasFocus()
    assert page.go.isEnabled()
    assert page.go.text() == "Pasar a la identidad nueva"


def test_without_an_answer_one_is_told_that_it_may_have_been_done(
    page: RenewalPage, session: SessionModel, asked: list[Request]
) -> None:
    page.send()
    session.asks.finish(asked[0], ErrorNotice("timeout"))
    assert "prueba primero con la contraseña nueva" in page.outcome.label.text()


def in_view(page: RenewalPage, widget: QWidget) -> bool:
    """Whether nothing of it lies outside the page."""
    top = widget.mapTo(page, QPoint(0, 0))
    return page.rect().contains(QRect(top, widget.size()))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1180, 440])
def test_the_buttons_and_what_came_of_it_are_always_in_view(
    qtbot: QtBot, page: RenewalPage, signed_in: AppWindow, session: SessionModel, asked: list[Request], width: int
) -> None:
    signed_in.resize(width, 760)
    page.go.click()
    session.asks.finish(asked[-1], ErrorNotice("network"))
    qtbot.waitUntil(lambda: all(in_view(page, widget) for widget in (page.go, page.cancel, page.outcome)))
    assert not page.cancel.geometry().intersects(page.go.geometry())
    bottom = page.viewport().geometry().bottom()  # type: ignore[union-attr]
    assert page.outcome.mapTo(page, QPoint(0, 0)).y() > bottom, "nothing that scrolls lies behind it"


@pytest.mark.slow
def test_the_tabulator_goes_from_the_code_to_the_buttons(page: RenewalPage) -> None:
    page.code.line.setFocus()
    for button in (page.go, page.cancel):
        press(window_focus(), Qt.Key.Key_Tab)
        assert button.hasFocus(), window_focus()


def window_focus() -> QWidget:
    found = QApplication.focusWidget()
    assert found is not None
    return found


@pytest.mark.slow
def test_a_code_that_is_missing_is_asked_for(page: RenewalPage, asked: list[Request]) -> None:
    page.code.line.clear()
    page.go.click()
    assert page.code.helper.label.text() == "Falta rellenar este campo"
    assert asked == []


@pytest.mark.slow
def test_who_has_closed_the_settings_meanwhile_is_told_the_end(
    page: RenewalPage, settings: SettingsDialog, signed_in: AppWindow, session: SessionModel, asked: list[Request]
) -> None:
    page.send()
    settings.dismiss()
    session.asks.finish(asked[0])
    assert signed_in.main.toast.isVisible()


# --- by the operator's code


@pytest.fixture
def reset(window: AppWindow, session: SessionModel) -> ResetPage:
    """Come to from the page of the recovery code, and filled in but for the box."""
    auth = window.auth
    write(auth.login.server.line, "chat.example.org")
    write(auth.login.handle.line, "ana")
    auth.login.recover_wanted.emit()
    auth.recover.reset_wanted.emit()
    page = auth.reset
    assert auth.pages.currentWidget() is page
    assert (page.server.address, page.name) == ("chat.example.org", "ana")
    assert page.code.line.hasFocus()
    write(page.code.line, TOKEN)
    choose(session, page.chosen)
    return page


@pytest.fixture
def sent(session: SessionModel) -> list[object]:
    made: list[object] = []
    session.sign_in_requested.connect(made.append)
    return made


@pytest.mark.slow
def test_nothing_begins_anew_before_it_was_understood(reset: ResetPage, sent: list[object]) -> None:
    reset.submit.click()
    assert sent == []
    assert reset.understood.hasFocus()
    assert reset.problem.label.text() == "Marca que lo entiendes"
    reset.understood.click()
    assert not reset.problem.isVisible()
    reset.submit.click()
    assert sent == [ResetRequest("chat.example.org", "ana", Secret.from_text(TOKEN), Secret.from_text(NEW))]
    assert TOKEN not in repr(sent)


@pytest.mark.slow
def test_a_code_that_is_none_is_said_at_its_field(reset: ResetPage, session: SessionModel) -> None:
    for error in ("reset_code_invalid", "reset_invalid"):
        session.fail_auth(ErrorNotice(error))
        assert reset.code.helper.label.text() == session.wording.translator.error(error)
        assert reset.code.line.hasFocus()


@pytest.mark.slow
def test_after_the_new_code_one_is_told_what_is_left_to_do(
    reset: ResetPage, window: AppWindow, session: SessionModel, sent: list[object]
) -> None:
    reset.understood.click()
    reset.submit.click()
    session.set_account(ANA)
    session.set_recovery_code(Secret.from_text(CODE), anew=True)
    assert window.auth.recovery.isVisible()
    assert (reset.code.text, reset.chosen.password.text, reset.understood.isChecked()) == ("", "", False)
    session.confirm_recovery_saved()
    assert session.phase is Phase.READY
    assert isinstance(window.main.dialog, AnewDialog)
    assert window.main.dialog.go.hasFocus()
    press(window.main.dialog.go, Qt.Key.Key_Return)
    assert window.main.dialog is None


@pytest.mark.slow
def test_who_has_found_the_recovery_code_goes_back_to_its_page(reset: ResetPage, window: AppWindow) -> None:
    reset.handle.line.setText("anita")
    reset.other_wanted.emit()
    assert window.auth.pages.currentWidget() is window.auth.recover
    assert window.auth.recover.name == "anita"
