"""Starts the desktop program for one profile. The client's thread starts first, so that both load side by side."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtWidgets import QApplication, QMessageBox

from mensajeria.client.i18n import Translator
from mensajeria.desktop.app import preferences as preferences_file
from mensajeria.desktop.app.instance import SingleInstance
from mensajeria.desktop.app.program import Program, ShowOptions
from mensajeria.desktop.app.signals import SignalWatch
from mensajeria.desktop.bridge.bridge import Bridge
from mensajeria.desktop.bridge.options import ProfileOptions
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.types import ErrorNotice, Preferences
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.kit.clock import SystemClock
from mensajeria.kit.process import forbid_core_dumps

if TYPE_CHECKING:
    from mensajeria.kit.secrets import Secret

NAME: Final = "MensajeriaApp"
_NO_SCREEN: Final = frozenset({"offscreen", "minimal"})


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What the command line says. `language` is that of a profile that has not chosen one."""

    profile: Path
    language: str = "es"
    passphrase: Secret | None = None
    ca_file: Path | None = None
    show: ShowOptions = field(default_factory=ShowOptions)


def run(options: StartOptions) -> ErrorNotice | None:
    """Run until the person leaves. Returns why the program could not go on, or None.

    A second start for a profile whose window is open brings that window to the front and returns at once.
    """
    forbid_core_dumps()
    app = QApplication.instance() or QApplication([NAME])
    QApplication.setApplicationName(NAME)
    QApplication.setQuitOnLastWindowClosed(False)  # the client has still to put everything away
    QApplication.setDesktopFileName("mensajeria")
    options.profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    instance = SingleInstance(options.profile)
    if not instance.claim():
        return None
    watch = SignalWatch()
    try:
        program = build(options)
        instance.raise_asked.connect(program.raise_window)
        watch.asked.connect(program.leave)
        program.ended.connect(app.quit)
        app.exec()
        _tell(program)
        return program.failure
    finally:
        watch.close()
        instance.release()


def build(options: StartOptions) -> Program:
    """Everything of one profile, started: the window appears as soon as the profile is open. Needs a QApplication."""
    preferences = preferences_file.load(options.profile, Preferences(language=options.language))
    wording = Wording(Translator(preferences.language), SystemClock().now_ms)
    session = SessionModel(wording, preferences)
    bridge = Bridge(session, ProfileOptions(options.profile, options.passphrase, options.ca_file), session)
    bridge.start()
    from mensajeria.desktop.theme.context import UiContext  # noqa: PLC0415 - while the client's thread loads the client
    from mensajeria.desktop.windows.app_window import AppWindow  # noqa: PLC0415 - see above

    ui = UiContext(session, session)
    window = AppWindow(ui, session)
    session.setParent(window)
    return Program(session, bridge, window, options.profile, options.show)


def _tell(program: Program) -> None:
    """Without a terminal nobody would see the error line: show it in a box."""
    if program.failure is None or QApplication.platformName() in _NO_SCREEN:
        return
    if sys.stderr is None or not sys.stderr.isatty():
        QMessageBox.critical(None, NAME, program.sentence)
