"""Pages of the settings about the account: what each asks for, shows and tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt, QUrl
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWidgets import QApplication, QWidget

from mensajeria.client.i18n import LANGUAGES
from mensajeria.desktop.qt import present
from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    BackupMade,
    ChangePassword,
    ConfirmDevice,
    Device,
    Devices,
    HealthInfo,
    Invite,
    InviteMade,
    Invites,
    LinkMade,
    LinkUsed,
    LoadBackup,
    LoadBlocked,
    LoadDevices,
    LoadHealth,
    LoadInvites,
    LoadPrivacy,
    LoadProfile,
    LoadStorage,
    MakeBackup,
    MakeInvite,
    MakeLink,
    NewChatsTimerIs,
    PrivacyIs,
    RemoveDevice,
    RenameDevice,
    Request,
    RevokeInvite,
    SetNewChatsTimer,
    SetPrivacy,
    StorageIs,
)
from mensajeria.desktop.viewmodels.types import ErrorNotice, PasswordStrength
from mensajeria.desktop.windows.account_pages import BackupPage, HealthPage, InvitesPage
from mensajeria.desktop.windows.data_page import DataPage
from mensajeria.desktop.windows.devices_page import DevicesPage
from mensajeria.desktop.windows.privacy_page import PrivacyPage
from mensajeria.desktop.windows.security_page import SecurityPage
from mensajeria.desktop.windows.settings import PAGES, SettingsDialog
from mensajeria.kit.secrets import Secret
from tests.desktop.hands import press, write
from tests.desktop.material import ANA, NOW_MS

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow

LAPTOP = Device("d1", "portátil", NOW_MS, NOW_MS, current=True, is_new=False)
PHONE = Device("d2", "móvil", NOW_MS, 0, current=False, is_new=True)
NEW = "girasol tranvia 47 niebla"


def window_of(widget: QWidget) -> QWidget:
    found = widget.window()
    assert found is not None
    return found


def last(asked: list[Request]) -> Request:
    return asked[-1]


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def settings(signed_in: AppWindow, session: SessionModel) -> SettingsDialog:
    session.set_account(ANA)
    signed_in.resize(1180, 760)
    signed_in.main.settings()
    assert isinstance(signed_in.main.dialog, SettingsDialog)
    return signed_in.main.dialog


def finish(session: SessionModel, asked: list[Request], error: str = "") -> None:
    for request in asked:
        session.asks.finish(request, ErrorNotice(error) if error and request is asked[-1] else None)


def devices(settings: SettingsDialog, session: SessionModel) -> DevicesPage:
    settings.choose("devices")
    session.asks.put(Devices((LAPTOP, PHONE)))
    session.asks.finish(LoadDevices())
    assert isinstance(settings.page, DevicesPage)
    return settings.page


def type_new_password(session: SessionModel, page: SecurityPage | BackupPage) -> None:
    chosen = page.chosen
    for field in (chosen.password, chosen.repeat):
        field.line.setText(NEW)
        field.line.textEdited.emit(NEW)
    chosen._timer.stop()
    asked = Secret.from_text(NEW)
    session.check_password(asked, "ana")
    session.set_password_strength(asked, PasswordStrength(4, "", accepted=True))


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("account", [LoadProfile()]),
        ("privacy", [LoadPrivacy(), LoadBlocked()]),
        ("devices", [LoadDevices()]),
        ("data", [LoadStorage()]),
        ("backup", [LoadBackup()]),
        ("invites", [LoadInvites()]),
        ("health", [LoadHealth()]),
    ],
)
def test_a_page_asks_for_what_it_shows(
    settings: SettingsDialog, asked: list[Request], page: str, wanted: list[Request]
) -> None:
    settings.items[page].click()
    assert asked == wanted


def test_every_page_fits_the_narrowest_window(settings: SettingsDialog, ui: UiContext) -> None:
    window_of(settings).resize(380, 520)
    found = []
    for language in LANGUAGES:
        ui.change(replace(ui.preferences, language=language))
        for name in (*PAGES, "renewal"):
            settings.choose(name)
            page = settings.page
            inside, room = present(page.widget()), present(page.viewport())
            if inside.minimumSizeHint().width() > room.width():
                found.append((name, language, inside.minimumSizeHint().width(), room.width()))
    assert found == [], found


def test_pages_are_made_when_they_are_shown_first(settings: SettingsDialog) -> None:
    assert [*settings.pages] == ["appearance"]
    first = settings.page
    settings.choose("privacy")
    settings.choose("appearance")
    assert settings.page is first


def test_the_arrow_keys_walk_the_pages(settings: SettingsDialog) -> None:
    press(settings.items["appearance"], Qt.Key.Key_Down)
    assert settings.page is settings.pages["notifications"]
    press(settings.items["notifications"], Qt.Key.Key_Up)
    press(settings.items["appearance"], Qt.Key.Key_Up)
    assert settings.page is settings.pages["account"]
    assert [item.accessibleName() != "" for item in settings.items.values()] == [True] * len(PAGES)


def test_in_a_narrow_window_the_list_shows_icons(settings: SettingsDialog) -> None:
    window_of(settings).resize(440, 700)
    assert all(item.compact for item in settings.items.values())
    assert settings.card.width() <= 440 - 32


def test_a_new_device_is_asked_about(settings: SettingsDialog, session: SessionModel, asked: list[Request]) -> None:
    page = devices(settings, session)
    assert page.new.isVisible()
    assert "móvil" in page.new.title
    page.new._second.click()
    assert last(asked) == ConfirmDevice("d2")
    session.asks.put(Devices((LAPTOP,)))
    assert not page.new.isVisible()


def test_a_device_that_is_not_ours_is_removed_with_the_password(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    page = devices(settings, session)
    finish(session, asked)
    page.new._action.click()
    page.send()
    assert asked == [LoadDevices()], "without the password nothing is asked"
    write(page.password.line, "mi clave")
    press(page.password.line, Qt.Key.Key_Return)
    request = asked[-1]
    assert isinstance(request, RemoveDevice)
    assert (request.did, request.password.reveal_text(), request.code) == ("d2", "mi clave", None)
    session.asks.finish(request)
    assert page.password.text == ""
    assert page.outcome.isVisible()


def test_a_wrong_password_keeps_the_form(settings: SettingsDialog, session: SessionModel, asked: list[Request]) -> None:
    page = devices(settings, session)
    finish(session, asked)
    page.rows[1].remove.click()
    write(page.password.line, "otra")
    page.send()
    session.asks.finish(asked[-1], ErrorNotice("bad_credentials"))
    assert page.password.isVisible()
    assert page.outcome.label.text() == session.wording.translator.error("bad_credentials")


def test_a_device_is_renamed_and_the_own_one_cannot_be_removed(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    page = devices(settings, session)
    finish(session, asked)
    assert page.rows[0].remove.isHidden()
    page.rows[0].rename.click()
    page.name.line.clear()
    write(page.name.line, "casa")
    press(page.name.line, Qt.Key.Key_Return)
    assert last(asked) == RenameDevice("d1", "casa")


def security(settings: SettingsDialog) -> SecurityPage:
    settings.choose("security")
    assert isinstance(settings.page, SecurityPage)
    return settings.page


def test_the_password_is_changed_and_forgotten(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    page = security(settings)
    write(page.old.line, "vieja")
    type_new_password(session, page)
    page.send()
    page.send()
    assert len(asked) == 1, "asked once"
    request = asked[0]
    assert isinstance(request, ChangePassword)
    assert (request.old.reveal_text(), request.new.reveal_text(), request.code) == ("vieja", NEW, None)
    session.asks.finish(request)
    assert (page.old.text, page.chosen.password.text, page.chosen.repeat.text) == ("", "", "")


def test_a_password_that_is_not_judged_is_not_sent(settings: SettingsDialog, asked: list[Request]) -> None:
    page = security(settings)
    write(page.old.line, "vieja")
    page.send()
    assert asked == []
    assert page.chosen.password.frame.bad


def test_a_refused_change_can_be_tried_again(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    page = security(settings)
    write(page.old.line, "vieja")
    type_new_password(session, page)
    page.send()
    session.asks.finish(asked[0], ErrorNotice("bad_credentials"))
    assert page.go.isEnabled()
    assert page.old.text == "vieja"


def test_the_backup_says_what_is_saved_and_makes_a_file(
    settings: SettingsDialog, session: SessionModel, asked: list[Request], tmp_path: Path
) -> None:
    settings.choose("backup")
    page = settings.page
    assert isinstance(page, BackupPage)
    session.asks.put(
        BackupInfo(1, current=True, saved=12, pending=3, restoring=False, used=2_500_000, quota=50_000_000)
    )
    assert "12" in page.status.text()
    assert page.space.text() == "2.5 de 50 MB usados"
    finish(session, asked)
    type_new_password(session, page)
    page.make(tmp_path / "a.backup")
    request = asked[-1]
    assert isinstance(request, MakeBackup)
    assert (request.path, request.passphrase.reveal_text()) == (tmp_path / "a.backup", NEW)
    session.asks.put(BackupMade("a.backup", 2))
    assert page.outcome.label.text() == "Guardado en a.backup: 2 mensajes"
    assert page.chosen.password.text == ""


def test_an_invite_s_link_is_copied(settings: SettingsDialog, session: SessionModel, asked: list[Request]) -> None:
    settings.choose("invites")
    page = settings.page
    assert isinstance(page, InvitesPage)
    finish(session, asked)
    page.make.click()
    assert last(asked) == MakeInvite(1, 7)
    session.asks.put(InviteMade(Secret.from_text("mensajeria:invite#x")))
    page.copy.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == "mensajeria:invite#x"


def test_an_invite_can_be_ended_while_it_is_valid(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    settings.choose("invites")
    page = settings.page
    assert isinstance(page, InvitesPage)
    session.asks.put(Invites((Invite(7, 1, NOW_MS, "valid", ()), Invite(6, 0, NOW_MS, "used", ("bruno",)))))
    assert "@bruno" in page.rows[1].accessibleName()
    assert len(page.findChildren(type(settings._close))) >= 1
    ends = [one for one in page.findChildren(type(settings._close)) if "7" in one.text() or "6" in one.text()]
    [end] = ends
    end.click()
    assert last(asked) == RevokeInvite(7)


def test_what_is_wrong_is_told_in_words(settings: SettingsDialog, session: SessionModel) -> None:
    settings.choose("health")
    page = settings.page
    assert isinstance(page, HealthPage)
    session.asks.put(HealthInfo(False, (("waiting", 3), ("healed_author", 1), ("new_devices", 2))))
    assert page.verdict.text() == "Aún no está todo bien:"
    assert "3 mensajes" in page.counts.text()
    assert "mensajeria devices" not in page.counts.text()


def test_without_a_connection_a_page_says_so(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    settings.choose("devices")
    finish(session, asked, "network")
    assert isinstance(settings.page, DevicesPage)
    assert settings.page.outcome.label.text() == session.wording.translator.error("network")


def test_a_new_device_is_announced_wherever_one_is(signed_in: AppWindow, session: SessionModel) -> None:
    signed_in.main.toast.hide()  # a machine without an emoji font is told so
    session.asks.put(Devices((LAPTOP,)))
    assert not signed_in.main.toast.isVisible()
    session.asks.put(Devices((LAPTOP, PHONE)))
    assert signed_in.main.toast.isVisible()


LINK = LinkMade(Secret.from_text("mensajeria-link:AAAA"), ((True,),), NOW_MS + 600_000)


def test_a_code_for_a_new_device_is_shown_until_it_is_used(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    page = devices(settings, session)
    finish(session, asked)
    page.link.click()
    assert last(asked) == MakeLink()
    session.asks.put(LINK)
    session.asks.finish(asked[-1])
    assert page.card.isVisible()
    assert not page.link.isVisible()
    page.card.copy.click()
    assert present(QApplication.clipboard()).text() == "mensajeria-link:AAAA"
    session.asks.put(LinkUsed("tablet"))
    assert (page.card.line.text(), page.card.isVisible()) == ("", False)
    assert page.outcome.label.text() == "Dispositivo vinculado: tablet"


def test_a_code_that_has_expired_is_taken_away(settings: SettingsDialog, session: SessionModel) -> None:
    page = devices(settings, session)
    session.asks.put(LINK)
    assert page.card._over.remainingTime() > 590_000
    page.card._over.timeout.emit()
    assert (page.card.line.text(), page.card.isVisible(), page.link.isVisible()) == ("", False, True)
    assert page.outcome.label.text() == session.wording.translator.tr("devices.link_over")


def test_a_linked_device_is_told_wherever_one_is(signed_in: AppWindow, session: SessionModel) -> None:
    session.asks.put(LinkUsed("tablet"))
    assert signed_in.main.toast.isVisible()


def test_switches_show_what_is_in_force(settings: SettingsDialog, session: SessionModel, asked: list[Request]) -> None:
    settings.choose("privacy")
    page = settings.page
    assert isinstance(page, PrivacyPage)
    assert not any(switch.isEnabled() for switch in page.switches.values()), "nothing is known yet"
    session.asks.put(PrivacyIs(read_receipts=True, typing=False, presence=False))
    assert [switch.isChecked() for switch in page.switches.values()] == [True, False, False]
    page.switches["presence"].click()
    assert last(asked) == SetPrivacy("presence", on=True)
    session.asks.put(PrivacyIs(typing=False, presence=True))
    assert page.switches["presence"].isChecked()


def test_a_switch_that_could_not_be_thrown_goes_back(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    settings.choose("privacy")
    page = settings.page
    assert isinstance(page, PrivacyPage)
    session.asks.put(PrivacyIs())
    page.switches["typing"].click()
    session.asks.finish(asked[-1], ErrorNotice("store_failed"))
    assert page.switches["typing"].isChecked()
    assert page.outcome.label.text() == session.wording.translator.error("store_failed")


def test_the_data_page_says_how_much_lies_where_and_opens_it(
    settings: SettingsDialog, session: SessionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def refuse(url: QUrl) -> bool:
        opened.append(url.toLocalFile())
        return False

    monkeypatch.setattr(QDesktopServices, "openUrl", refuse)
    settings.choose("data")
    page = settings.page
    assert isinstance(page, DataPage)
    assert not page.open_folder.isEnabled(), "nothing is known yet"
    session.asks.put(StorageIs("/home/ana/perfil", 2_300_000))
    assert (page.taken.text(), page.folder.text()) == ("2,3 MB", "/home/ana/perfil")
    page.open_folder.click()
    assert opened == ["/home/ana/perfil"]
    assert page.outcome.label.text() == "El sistema no ha podido abrir la carpeta."


def test_the_data_page_leads_to_the_backup(settings: SettingsDialog) -> None:
    settings.choose("data")
    page = settings.page
    assert isinstance(page, DataPage)
    page.backup.click()
    assert settings.page is settings.pages["backup"]


def test_the_timer_of_new_chats_is_shown_and_changed(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    settings.choose("privacy")
    page = settings.page
    assert isinstance(page, PrivacyPage)
    assert not page.timers.isEnabled(), "not before it is known"
    session.asks.put(NewChatsTimerIs(0))
    assert page.timers.chips[0].isChecked()
    page.timers.chips[86_400].click()
    assert asked[-1] == SetNewChatsTimer(86_400)
    session.asks.put(NewChatsTimerIs(12))
    assert page.timers.chips[12].isChecked(), "one that was chosen elsewhere"
    assert page.timers.chips[12].accessibleName() == "12 segundos"


def test_a_timer_that_was_not_taken_goes_back(
    settings: SettingsDialog, session: SessionModel, asked: list[Request]
) -> None:
    settings.choose("privacy")
    page = settings.page
    assert isinstance(page, PrivacyPage)
    session.asks.put(NewChatsTimerIs(3600))
    page.timers.chips[0].click()
    session.asks.finish(asked[-1], ErrorNotice("store_failed"))
    assert page.timers.chips[3600].isChecked()
