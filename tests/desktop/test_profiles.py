"""Profiles in the windows: pictures where somebody stands, names beside user names, and the form of one's own."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor
from pytestqt.qtbot import QtBot

from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.theme.faces import square
from mensajeria.desktop.viewmodels.asking import ChatInfo, LoadProfile, ProfileIs, Request, SetGroupPicture, SetProfile
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.types import ErrorNotice
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import Button
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.windows import main_window
from mensajeria.desktop.windows.account_pages import AccountPage
from mensajeria.desktop.windows.app_window import AppWindow
from mensajeria.desktop.windows.main_window import MainWindow
from mensajeria.desktop.windows.settings import SettingsDialog
from tests.desktop.hands import press
from tests.desktop.material import ANA, chat

CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


def picture(colour: str = "#ff0000", side: int = 64, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, kind)
    return out.getvalue()


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


# --- pictures ---


@pytest.mark.parametrize("data", [b"", b"no picture", picture(kind="PNG"), picture(side=513)])
def test_what_is_no_small_jpeg_is_not_there(data: bytes, qapp: object) -> None:
    assert square(data, 48) is None


def middle(avatar: Avatar) -> QColor:
    grabbed = avatar.grab().toImage()
    return grabbed.pixelColor(grabbed.width() // 2, grabbed.height() // 4)


def is_red(colour: QColor) -> bool:
    return colour.red() > 200 and colour.green() < 60 and colour.blue() < 60


def is_blue(colour: QColor) -> bool:
    return colour.blue() > 200 and colour.red() < 60 and colour.green() < 60


def test_an_avatar_shows_the_picture_and_the_next_one_and_initials_again(
    qtbot: QtBot, ui: UiContext, session: SessionModel
) -> None:
    avatar = Avatar(ui, 48)
    qtbot.addWidget(avatar)
    avatar.show_person("bruno", 2, who="b2")
    initials = middle(avatar)
    session.profiles.put([ProfileRow("b2", picture=picture("#ff0000")), ProfileRow("c3", picture=picture("#00ff00"))])
    qtbot.waitUntil(lambda: is_red(middle(avatar)), timeout=30_000)
    session.profiles.put([ProfileRow("b2", picture=picture("#0000ff"))])
    qtbot.waitUntil(lambda: is_blue(middle(avatar)), timeout=30_000)
    session.profiles.put([ProfileRow("b2")])
    assert middle(avatar) == initials


@pytest.mark.qt_log_ignore("Invalid JPEG", "Unsupported marker")
def test_a_picture_that_cannot_be_decoded_leaves_the_initials(
    qtbot: QtBot, ui: UiContext, session: SessionModel
) -> None:
    avatar = Avatar(ui, 48)
    qtbot.addWidget(avatar)
    avatar.show_person("bruno", 2, who="b2")
    initials = middle(avatar)
    session.profiles.put([ProfileRow("b2", picture=picture()[:200])])
    with qtbot.waitSignal(ui.faces.ready, timeout=30_000):
        middle(avatar)
    assert middle(avatar) == initials


def test_a_group_s_picture_comes_with_its_row(session: SessionModel) -> None:
    session.put_chats([chat("g", "Ruta", group=True, picture=picture())])
    assert session.profiles.find("g").picture == picture()
    session.put_chats([chat("g", "Ruta", group=True)])
    assert session.profiles.find("g").picture == b""


# --- the panel ---


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    signed_in.resize(1180, 760)
    session.put_chats(
        [chat("1", "bruno", 30, peer="b2"), chat("g", "Ruta", 20, group=True, members=3, handle="", picture=picture())]
    )
    return signed_in.main


def labels(main: MainWindow) -> list[Label]:
    return [label for label in main.info.area.findChildren(Label) if label.text()]


def test_a_name_stands_below_the_user_name_and_is_read_as_the_person_s_word(
    main: MainWindow, session: SessionModel
) -> None:
    session.open_chat("1")
    press(main, Qt.Key.Key_I, CONTROL_SHIFT)
    session.profiles.put([ProfileRow("b2", "Ana Soto", "de viaje")])
    texts = [label.text() for label in labels(main)]
    assert texts[:4] == ["bruno", "@bruno", "Ana Soto", "de viaje"]
    spoken = [label.accessibleName() for label in labels(main)]
    assert "Nombre en su perfil: Ana Soto" in spoken
    assert "Estado: de viaje" in spoken
    assert session.chats.visible[0].title == "bruno"


def test_the_header_has_the_name_as_the_person_s_word_in_the_second_line(
    main: MainWindow, session: SessionModel
) -> None:
    session.open_chat("1")
    session.profiles.put([ProfileRow("c3", "Carla"), ProfileRow("b2", "Ana Soto")])
    first, second = main.pane.header._name.text, main.pane.header._state.text
    assert first == "bruno"
    assert second.endswith(" · «Ana Soto»")
    session.open_chat("g")
    assert "«" not in main.pane.header._state.text


def open_group(main: MainWindow, session: SessionModel, role: str) -> list[str]:
    session.open_chat("g")
    press(main, Qt.Key.Key_I, CONTROL_SHIFT)
    session.asks.put(ChatInfo("g", (), role))
    return [button.text() for button in main.info.area.findChildren(Button)]


def test_an_admin_chooses_and_removes_the_group_s_picture(
    main: MainWindow, session: SessionModel, asked: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_group(main, session, "admin")
    buttons = {button.text(): button for button in main.info.area.findChildren(Button)}
    monkeypatch.setattr(main_window, "choose_picture", lambda *_: tmp_path / "a.png")
    buttons["Imagen"].click()
    assert asked[-1] == SetGroupPicture("g", tmp_path / "a.png")
    buttons["Sin imagen"].click()
    assert asked[-1] == SetGroupPicture("g", None)
    monkeypatch.setattr(main_window, "choose_picture", lambda *_: None)
    before = len(asked)
    buttons["Imagen"].click()
    assert len(asked) == before, "nothing was chosen"


def test_a_member_cannot_change_the_group_s_picture(main: MainWindow, session: SessionModel) -> None:
    assert "Imagen" not in open_group(main, session, "member")


# --- the own profile ---


@pytest.fixture
def page(signed_in: AppWindow, session: SessionModel) -> AccountPage:
    session.set_account(ANA)
    signed_in.resize(1180, 760)
    signed_in.main.settings()
    settings = signed_in.main.dialog
    assert isinstance(settings, SettingsDialog)
    settings.choose("account")
    assert isinstance(settings.page, AccountPage)
    session.asks.put(ProfileIs("Ana", "en casa", has_picture=True))
    return settings.page


def test_the_form_shows_what_is_told(page: AccountPage) -> None:
    assert (page.name.text, page.status.text, page.picture.remove.isEnabled()) == ("Ana", "en casa", True)


def test_return_in_the_form_publishes_it_with_the_chosen_picture(
    page: AccountPage, session: SessionModel, asked: list[Request], tmp_path: Path
) -> None:
    page.name.line.setText("  Ana   Soto ")
    page.picture.take(tmp_path / "ana.png")
    assert page.picture.name.text == "ana.png"
    press(page.name.line, Qt.Key.Key_Return)
    wanted = SetProfile("Ana Soto", "en casa", tmp_path / "ana.png")
    assert asked == [wanted]
    press(page.name.line, Qt.Key.Key_Return)
    assert asked == [wanted], "once is enough"
    session.asks.finish(asked[0])
    assert page.saved.label.text() == "Guardado. Lo verán tus contactos."
    assert (page.picture.chosen, page.picture.name.text) == (None, "")


def test_a_picture_is_taken_away_and_what_is_wrong_is_said(
    page: AccountPage, session: SessionModel, asked: list[Request]
) -> None:
    page.picture.remove.click()
    assert page.picture.accessibleDescription() == "Se quitará la imagen."
    page.save.click()
    assert asked == [SetProfile("Ana", "en casa", None, no_picture=True)]
    session.asks.finish(asked[0], ErrorNotice("profile_name_invalid"))
    assert "64" in page.saved.label.text()
    assert page.saved.accessibleName() == page.saved.label.text()


def test_looking_at_the_profile_holds_up_no_password(page: AccountPage) -> None:
    assert [request for request in page._running if isinstance(request, LoadProfile)]
    assert not page.busy
