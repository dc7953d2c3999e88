"""Keys and pointer. Qt's annotations take these static functions for methods: said once, here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

_QTEST: Any = QTest


def press(widget: QWidget, key: Qt.Key, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press and release a key."""
    _QTEST.keyClick(widget, key, held)


def write(widget: QWidget, text: str) -> None:
    """Type ASCII text."""
    _QTEST.keyClicks(widget, text)


def click(widget: QWidget | None, at: QPoint) -> None:
    """Press and release the left button."""
    _QTEST.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
