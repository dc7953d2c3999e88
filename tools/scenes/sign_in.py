"""The windows before the main one."""

from __future__ import annotations

from mensajeria.desktop.viewmodels.types import (
    CheckState,
    ConnectionPhase,
    ConnectionState,
    ErrorNotice,
    LinkCheck,
    NameCheck,
    PasswordStrength,
    Phase,
    ServerCheck,
)
from mensajeria.kit.secrets import Secret
from scenes.stage import CARMEN, Scene, type_into


def login(scene: Scene) -> None:
    """The login page, filled in."""
    scene.window.resize(960, 640)
    page = scene.window.auth.login
    page.server.show_address("chat.ruiz.es")
    scene.session.set_server_check(ServerCheck("chat.ruiz.es", CheckState.OK, "0.1.0", registration_open=True))
    page.handle.line.setText("carmen")
    page.password.line.setText("correct horse battery")
    page.password.line.setFocus()


def login_wrong(scene: Scene) -> None:
    """The login page after a wrong password."""
    login(scene)
    scene.session.fail_auth(ErrorNotice("bad_credentials"))


def recover(scene: Scene) -> None:
    """The page for people without their password, filled in."""
    login(scene)
    scene.window.resize(960, 800)
    scene.window.auth.show_recover()
    page = scene.window.auth.recover
    page.code.line.setText("7KQ4-M2XW-9RTD-H3BC-61ZF-VN8E-YP5J-A0GS-K")
    type_into(page.password.line, "girasol tranvía 47 niebla")
    asked = Secret.from_text("girasol tranvía 47 niebla")
    scene.session.check_password(asked, "carmen")
    scene.session.set_password_strength(asked, PasswordStrength(4, "", accepted=True))
    type_into(page.chosen.repeat.line, "girasol tranvía 47 niebla")


def link(scene: Scene) -> None:
    """The page for a new device, filled in."""
    scene.window.resize(960, 640)
    scene.window.auth.show_link()
    page = scene.window.auth.link
    code = Secret.from_text("mensajeria-link:" + "hKN1cmy1aHR0cHM6Ly9jaGF0" * 14)
    page.code.line.setText(code.reveal_text())
    scene.session.check_link(code)
    scene.session.set_link_check(code, LinkCheck(CheckState.OK, "https://chat.ruiz.es", "carmen"))
    page.password.line.setText("girasol tranvía 47 niebla")


def register(scene: Scene) -> None:
    """The registration page with a taken name."""
    scene.window.auth.show_register()
    page = scene.window.auth.register
    page.server.show_address("chat.ruiz.es")
    scene.session.set_server_check(ServerCheck("chat.ruiz.es", CheckState.OK, "0.1.0", registration_open=True))
    type_into(page.handle.line, "carmen")
    scene.session.check_name("chat.ruiz.es", "carmen")
    names = ("carmen.ruiz", "carmen_r")
    scene.session.set_name_check(NameCheck("carmen", CheckState.BAD, names, "handle_taken"))
    for field in (page.repeat, page.password):
        type_into(field.line, "trigo nube farol")
    secret = Secret.from_text("trigo nube farol")
    scene.session.check_password(secret, "carmen")
    strength = PasswordStrength(3, "password.advice.one_more_word", accepted=True)
    scene.session.set_password_strength(secret, strength)
    page.password.line.setFocus()


def recovery(scene: Scene) -> None:
    """The recovery code."""
    scene.session.set_account(CARMEN)
    scene.session.set_recovery_code(Secret.from_text("7K2M-9QXD-4TRB-0HVN-6PWE-3ZJF-8GAC-5SYK"))
    scene.window.auth.recovery.saved.setChecked(True)


def recovery_unsure(scene: Scene) -> None:
    """The same after the server's answer was lost: whether the account was made is not known."""
    scene.session.set_account(CARMEN)
    scene.session.set_recovery_code(Secret.from_text("7K2M-9QXD-4TRB-0HVN-6PWE-3ZJF-8GAC-5SYK"), unsure=True)


def reset(scene: Scene) -> None:
    """The page for people who have lost everything, filled in."""
    login(scene)
    scene.window.resize(960, 900)
    scene.window.auth.show_recover()
    scene.window.auth.show_reset()
    page = scene.window.auth.reset
    page.code.line.setText("q3Zf0aVdS1yT8mLkWnXc2A")
    type_into(page.password.line, "girasol tranvía 47 niebla")
    asked = Secret.from_text("girasol tranvía 47 niebla")
    scene.session.check_password(asked, "carmen")
    scene.session.set_password_strength(asked, PasswordStrength(4, "", accepted=True))
    type_into(page.chosen.repeat.line, "girasol tranvía 47 niebla")


def began_anew(scene: Scene) -> None:
    """What is said after a new beginning."""
    scene.session.set_account(CARMEN)
    scene.session.set_connection(ConnectionState(ConnectionPhase.ONLINE, "chat.ruiz.es"))
    scene.session.set_phase(Phase.READY)
    scene.window.resize(1180, 760)
    scene.window.main.tell_anew()


def login_kept(scene: Scene) -> None:
    """Signed out on a computer that keeps the account's messages."""
    login(scene)
    scene.session.set_account(CARMEN)
    scene.window.auth.login.set_kept(kept=True)
