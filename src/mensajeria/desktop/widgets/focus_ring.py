"""The ring around the focused control: one overlay for the window, shown only while the keyboard is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt
from PyQt6.QtGui import QPainter, QPaintEvent, QPen, QWindow
from PyQt6.QtWidgets import QApplication, QWidget

from mensajeria.desktop.qt import application

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

_REACH = 4
_FOLLOWED = (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Hide, QEvent.Type.Show, QEvent.Type.LayoutRequest)


class FocusRing(QWidget):
    """Draws 2 px around every control that has a ``ring_radius``, with a gap of 2 px.

    Others mark their focus themselves. It hears the native window, through which keys and the pointer come, and the
    control that has the focus: hearing every object of the program costs a third of the work of showing a window.
    """

    def __init__(self, ui: UiContext, window: QWidget) -> None:
        super().__init__(window)
        self._ui, self._window, self._keyboard = ui, window, False
        self._target: QWidget | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        application().focusWindowChanged.connect(self._window_changed)
        application().focusChanged.connect(self._focus_changed)
        self.hide()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Learn whether keys or the pointer are in use, and follow the control."""
        if event is not None:
            kind = event.type()
            if kind == QEvent.Type.KeyPress and not self._keyboard:
                self._keyboard = True
                self._follow()
            elif kind == QEvent.Type.MouseButtonPress and self._keyboard:
                self._keyboard = False
                self.hide()
            elif kind in _FOLLOWED and watched is self._target:
                self._follow()
        return False

    def _window_changed(self, native: QWindow | None) -> None:
        top = self._window.window()
        if native is not None and top is not None and native is top.windowHandle():
            native.installEventFilter(self)

    def _focus_changed(self, old: QWidget | None, new: QWidget | None) -> None:
        if old is not None:
            old.removeEventFilter(self)
        if new is not None:
            new.installEventFilter(self)
        self._target = new
        self._follow()

    def _follow(self) -> None:
        target = self._target
        wanted = (
            self._keyboard
            and target is not None
            and hasattr(target, "ring_radius")
            and target.isVisible()
            and target.window() is self._window.window()
        )
        if not wanted or target is None:
            self.hide()
            return
        place = QRect(target.mapTo(self._window, QPoint(0, 0)), target.size())
        self.setGeometry(place.adjusted(-_REACH, -_REACH, _REACH, _REACH))
        self.raise_()
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The ring."""
        target = QApplication.focusWidget()
        radius = float(getattr(target, "ring_radius", 8.0)) + _REACH - 1
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._ui.theme["focus"], 2))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), radius, radius)
