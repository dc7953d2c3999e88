"""The pages of the settings."""

from __future__ import annotations

from mensajeria.client import qr_modules
from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    Device,
    Devices,
    HealthInfo,
    Invite,
    InviteMade,
    Invites,
    LinkMade,
    NewChatsTimerIs,
    PrivacyIs,
    ProfileIs,
    RenewIdentity,
    StorageIs,
)
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.types import ErrorNotice
from mensajeria.desktop.windows.renewal_page import RenewalPage
from mensajeria.desktop.windows.settings import SettingsDialog
from mensajeria.kit.secrets import Secret
from scenes.chats import main_direct, profiles
from scenes.stage import NOW, Scene, at, landscape


def settings(scene: Scene) -> None:
    """The settings."""
    main_direct(scene)
    scene.window.main.settings()


def settings_devices(scene: Scene) -> None:
    """The own devices, one of them new."""
    main_direct(scene)
    scene.window.main.settings("devices")
    rows = (
        Device("d1", "portátil", at(3, 9, 0), NOW, current=True, is_new=False),
        Device("d2", "móvil", at(24, 17, 50), NOW, current=False, is_new=True),
    )
    scene.session.asks.put(Devices(rows))


def settings_link(scene: Scene) -> None:
    """The code for a new device."""
    settings_devices(scene)
    text = "mensajeria-link:" + "hKN1cmy1aHR0cHM6Ly9jaGF0" * 14
    scene.session.asks.put(LinkMade(Secret.from_text(text), qr_modules(text), NOW + 600_000))


def settings_privacy(scene: Scene) -> None:
    """What others are let notice."""
    main_direct(scene)
    scene.window.main.settings("privacy")
    scene.session.asks.put(PrivacyIs())
    scene.session.asks.put(NewChatsTimerIs(86_400))


def settings_account(scene: Scene) -> None:
    """Password and recovery."""
    main_direct(scene)
    scene.window.main.settings("account")


def settings_profile(scene: Scene) -> None:
    """The own profile."""
    profiles(scene)
    me = scene.session.account
    assert me is not None
    scene.session.profiles.put([ProfileRow(me.uid, picture=landscape(256, 256))])
    scene.window.main.settings("account")
    status = {"es": "De vacaciones", "en": "On holiday"}[scene.ui.translator.language]
    scene.session.asks.put(ProfileIs("Carmen Vidal", status, has_picture=True))


def settings_backup(scene: Scene) -> None:
    """Keys on the server, a file."""
    main_direct(scene)
    scene.window.main.settings("backup")
    status = BackupInfo(1, current=True, saved=412, pending=0, restoring=False, used=2_400_000, quota=50_000_000)
    scene.session.asks.put(status)


def settings_invites(scene: Scene) -> None:
    """A new link and former ones."""
    main_direct(scene)
    scene.window.main.settings("invites")
    rows = (Invite(2, 1, at(28, 9, 0), "valid", ()), Invite(1, 0, at(20, 9, 0), "used", ("pablo",)))
    scene.session.asks.put(InviteMade(Secret.from_text("https://chat.ruiz.es/i#AbCd" + "x7Q_" * 30)))
    scene.session.asks.put(Invites(rows))


def settings_health(scene: Scene) -> None:
    """What does not work."""
    main_direct(scene)
    scene.window.main.settings("health")
    scene.session.asks.put(
        HealthInfo(well=False, counts=(("waiting", 3), ("sessions_missing", 1), ("healed_author", 8)))
    )


def settings_data(scene: Scene) -> None:
    """What lies on this computer."""
    main_direct(scene)
    scene.window.main.settings("data")
    scene.session.asks.put(StorageIs("/home/carmen/.local/share/mensajeria/profile", 48_300_000))


def settings_notifications(scene: Scene) -> None:
    """How one is told of new messages."""
    main_direct(scene)
    scene.window.main.settings("notifications")


def settings_security(scene: Scene) -> None:
    """Password, recovery code, another identity."""
    main_direct(scene)
    scene.window.main.settings("security")


def settings_renewal(scene: Scene) -> None:
    """The way to another identity."""
    main_direct(scene)
    scene.window.main.settings("renewal")


def renewal_unsure(scene: Scene) -> None:
    """No answer came."""
    settings_renewal(scene)
    dialog = scene.window.main.dialog
    assert isinstance(dialog, SettingsDialog)
    page = dialog.pages["renewal"]
    assert isinstance(page, RenewalPage)
    scene.window.resize(440, 760)
    page.failed(RenewIdentity(*[Secret.from_text("x")] * 3), ErrorNotice("timeout"))
