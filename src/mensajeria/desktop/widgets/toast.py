"""Short word at the bottom of the window: one at a time, gone by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, QPoint, QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons, shadow
from mensajeria.desktop.widgets.buttons import LinkButton
from mensajeria.desktop.widgets.labels import ElidedLabel

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

PLAIN_MS, WITH_ACTION_MS = 4000, 8000
_SHADOW = 24
_HEIGHT = 44


class Toast(QWidget):
    """A toast over ``host``, ``lift`` px above its lower edge, in the middle of ``column`` while that is on screen."""

    acted = pyqtSignal()

    def __init__(self, ui: UiContext, host: QWidget, lift: int, column: QWidget | None = None) -> None:
        super().__init__(host)
        self._ui, self._host, self._lift, self._icon = ui, host, lift, "check-circle-fill"
        self._column = column
        self._label = ElidedLabel(ui, fonts.LABEL_MEDIUM, "on_toast")
        self._action = LinkButton(ui, "action.retry", ink="toast_action")
        self._action.clicked.connect(self._act)
        row = QHBoxLayout(self)
        row.setContentsMargins(_SHADOW + 42, _SHADOW, _SHADOW + 18, _SHADOW)
        row.setSpacing(24)
        row.addWidget(self._label, 1)
        row.addWidget(self._action)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, on=False)
        host.installEventFilter(self)
        self.hide()

    def tell(self, text: str, *, good: bool = True, action: str = "") -> None:
        """Show a finished sentence; a new one takes the place of the last. ``action`` is a key of the catalogue."""
        self._icon = "check-circle-fill" if good else "warning-circle-fill"
        self._label.show_text(text)
        self._action.setVisible(bool(action))
        if action:
            self._action.say(action)
        self.setAccessibleName(text)
        self._place()
        self.show()
        self.raise_()
        self._timer.start(WITH_ACTION_MS if action else PLAIN_MS)

    @property
    def text(self) -> str:
        """What is said."""
        return self._label.text

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stay in the middle when the host is resized."""
        if event is not None and event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def _act(self) -> None:
        self.hide()
        self.acted.emit()

    def _place(self) -> None:
        wanted = self._label.sizeHint().width() + 60 + 2 * _SHADOW
        if not self._action.isHidden():
            wanted += self._action.sizeHint().width() + 24
        left, room = 0, self._host.width()
        if self._column is not None and self._column.isVisible():
            left = self._column.mapTo(self._host, QPoint(0, 0)).x()
            room = self._column.width()
        width = min(wanted, room)
        top = self._host.height() - self._lift - _HEIGHT - _SHADOW
        self.setGeometry(left + (room - width) // 2, top, width, _HEIGHT + 2 * _SHADOW)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Shadow, inverse ground, icon."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(_SHADOW, _SHADOW, -_SHADOW, -_SHADOW)
        shadow.draw(painter, box, 12, shadow.FLOATING, theme["shadow"])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["toast"])
        painter.drawRoundedRect(box, 12, 12)
        icons.draw(painter, self._icon, QRectF(box.x() + 14, box.y() + 12, 20, 20), theme["toast_action"])
