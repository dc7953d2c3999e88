"""The ring around the focused control: seen with the keyboard only, and heard of without listening to everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtCore import QEvent, QObject, QPoint, Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.focus_ring import FocusRing
from tests.desktop.hands import press

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext

_QTEST: Any = QTest


class Heard(FocusRing):
    """Notes who is listened to."""

    def __init__(self, ui: UiContext, window: QWidget) -> None:
        self.objects: list[QObject | None] = []
        super().__init__(ui, window)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        self.objects.append(watched)
        return super().eventFilter(watched, event)


@pytest.fixture
def window(qtbot: QtBot, ui: UiContext) -> QWidget:
    """Two buttons, the first one with the focus."""
    made = QWidget()
    made.resize(400, 200)
    for at in range(2):
        button = Button(ui, "action.close", Kind.SECONDARY)
        button.setParent(made)
        button.setGeometry(20, 20 + 60 * at, 120, 40)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def ring(qtbot: QtBot, ui: UiContext, window: QWidget) -> Heard:
    made = Heard(ui, window)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    buttons(window)[0].setFocus()
    return made


def buttons(window: QWidget) -> list[Button]:
    return window.findChildren(Button)


def click(window: QWidget, at: QPoint) -> None:
    """As the window system does: to the native window."""
    nothing = Qt.KeyboardModifier.NoModifier
    _QTEST.mouseClick(present(window.windowHandle()), Qt.MouseButton.LeftButton, nothing, at)


def test_it_is_not_seen_before_a_key_was_pressed(ring: Heard) -> None:
    assert not ring.isVisible()


def test_tab_brings_it_around_the_next_control(ring: Heard, window: QWidget) -> None:
    first, second = buttons(window)
    press(first, Qt.Key.Key_Tab)
    assert second.hasFocus()
    assert ring.isVisible()
    assert ring.geometry() == second.geometry().adjusted(-4, -4, 4, 4)


def test_a_key_that_comes_from_the_window_system_is_enough(ring: Heard, window: QWidget) -> None:
    _QTEST.keyClick(present(window.windowHandle()), Qt.Key.Key_Shift)
    assert ring.isVisible()


def test_the_pointer_takes_it_away_until_the_next_key(ring: Heard, window: QWidget) -> None:
    first, second = buttons(window)
    press(first, Qt.Key.Key_Tab)
    click(window, QPoint(300, 150))
    assert not ring.isVisible()
    first.setFocus()
    assert not ring.isVisible()
    press(first, Qt.Key.Key_Tab)
    assert second.hasFocus()
    assert ring.isVisible()


def test_it_follows_the_control(ring: Heard, window: QWidget) -> None:
    first, second = buttons(window)
    press(first, Qt.Key.Key_Tab)
    second.move(200, 100)
    assert ring.geometry() == second.geometry().adjusted(-4, -4, 4, 4)
    second.hide()
    assert first.hasFocus()
    assert ring.geometry() == first.geometry().adjusted(-4, -4, 4, 4)


def test_others_are_not_listened_to(qtbot: QtBot, ring: Heard, window: QWidget) -> None:
    first, second = buttons(window)
    press(first, Qt.Key.Key_Tab)
    ring.objects.clear()
    for one in (first, second, window):
        one.update()
    qtbot.wait(20)
    QApplication.sendEvent(first, QEvent(QEvent.Type.Move))
    assert {*ring.objects} <= {second, window.windowHandle()}
