"""A session without a client behind it, and the windows that show it: the real ones, on the offscreen platform."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from mensajeria.client.i18n import Translator
from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.types import Phase, Preferences, ThemeChoice
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.desktop.windows.app_window import AppWindow
from tests.desktop.material import NOW_MS

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.fixture(scope="module", autouse=True)
def windows_go_with_their_module() -> Iterator[None]:
    """What is left of them has its last words here, not while a test of something else listens to Qt's warnings."""
    yield
    gc.collect()
    if QCoreApplication.instance() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def wording() -> Wording:
    return Wording(Translator("es"), lambda: NOW_MS, UTC)


@pytest.fixture
def session(qapp: object, wording: Wording) -> SessionModel:
    return SessionModel(wording, Preferences(theme=ThemeChoice.LIGHT, reduce_motion=True))


@pytest.fixture
def ui(session: SessionModel) -> UiContext:
    # The window of the test before is closed and still there; with it, dressing takes ten times as long.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    return UiContext(session)


@pytest.fixture
def window(qtbot: QtBot, ui: UiContext, session: SessionModel) -> AppWindow:
    """The window on screen, signed out."""
    return _on_screen(qtbot, ui, session)


@pytest.fixture
def signed_in(qtbot: QtBot, ui: UiContext, session: SessionModel) -> AppWindow:
    """The window on screen, signed in, without chats; it has never shown the pages for signing in."""
    session.set_phase(Phase.READY)
    window = _on_screen(qtbot, ui, session)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def _on_screen(qtbot: QtBot, ui: UiContext, session: SessionModel) -> AppWindow:
    made = AppWindow(ui, session)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made
