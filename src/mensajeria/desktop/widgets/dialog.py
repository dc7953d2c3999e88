"""Dialogs inside the window.

A scrim, a card, Tab stays inside, Esc closes, the focus goes back to where it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QApplication, QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, shadow
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class Card(QWidget):
    """The raised card of a dialog."""

    def __init__(self, ui: UiContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui = ui
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(28, 24, 28, 28)
        self.column.setSpacing(16)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A rounded ground."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ui.theme["surface_raised"])
        painter.drawRoundedRect(QRectF(self.rect()), 16, 16)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """A press on the card is not one on the scrim."""
        if event is not None:
            event.accept()


class Scrim(QWidget):
    """Darkens what lies under a panel; a press anywhere on it is told."""

    pressed = pyqtSignal()

    def __init__(self, ui: UiContext, host: QWidget) -> None:
        super().__init__(host)
        self._ui = ui
        self.hide()
        ui.theme_changed.connect(self.update)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Nothing under it is pressed."""
        if event is not None:
            event.accept()
            self.pressed.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The scrim."""
        QPainter(self).fillRect(self.rect(), self._ui.theme["scrim"])


class Dialog(QWidget):
    """A modal layer over ``host``. Subclasses fill ``self.card.column``; deleted when it is closed."""

    closed = pyqtSignal()

    def __init__(self, ui: UiContext, host: QWidget, title: str, *, width: int = 440) -> None:
        super().__init__(host)
        self.ui, self._host = ui, host
        self._opener = QApplication.focusWidget()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.card = Card(ui, self)
        self._wanted = width
        heading = QHBoxLayout()
        self._title = Label(ui, title, fonts.TITLE)
        close = IconButton(ui, "action.close", "x", side=36, glyph=20)
        close.clicked.connect(self.dismiss)
        heading.addWidget(self._title, 1)
        heading.addWidget(close)
        heading.setContentsMargins(0, 0, -8, 0)
        self.card.column.addLayout(heading)
        self._close = close
        host.installEventFilter(self)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._rename)
        self._rename()

    def present(self, first: QWidget | None = None) -> None:
        """Show the dialog with the focus on ``first``."""
        self.setGeometry(self._host.rect())
        self.show()
        self.raise_()
        (first or self._close).setFocus(Qt.FocusReason.OtherFocusReason)
        self._place()

    def dismiss(self) -> None:
        """Close, and give the focus back."""
        self._host.removeEventFilter(self)
        self.hide()
        if self._opener is not None and self._opener.isVisible():
            self._opener.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()
        self.deleteLater()

    def refit(self) -> None:
        """Something inside has changed its size."""
        self._place()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the host's size."""
        if watched is self._host and event is not None and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._host.rect())
        return super().eventFilter(watched, event)

    def focusNextPrevChild(self, next: bool) -> bool:  # noqa: A002 - Qt's name
        """Tab goes round inside the card."""
        stops = [
            each
            for each in self.findChildren(QWidget)
            if each.isVisible() and each.isEnabled() and each.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        stops = [each for each in stops if each.focusProxy() is None]
        current = QApplication.focusWidget()
        at = stops.index(current) if current in stops else -1
        if stops:
            stops[(at + (1 if next else -1)) % len(stops)].setFocus(
                Qt.FocusReason.TabFocusReason if next else Qt.FocusReason.BacktabFocusReason
            )
        return True

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc closes; nothing reaches what lies under the scrim."""
        if event is not None:
            event.accept()
            if event.key() == Qt.Key.Key_Escape:
                self.dismiss()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """A press beside the card closes."""
        if event is not None and not self.card.geometry().contains(event.pos()):
            self.dismiss()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the card in the middle."""
        super().resizeEvent(event)
        self._place()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Scrim and the card's shadow."""
        painter, theme = QPainter(self), self.ui.theme
        painter.fillRect(self.rect(), theme["scrim"])
        shadow.draw(painter, QRectF(self.card.geometry()), 16, shadow.DIALOG, theme["shadow"])

    def _place(self) -> None:
        width = min(self._wanted, self.width() - 32)
        layout = self.card.column
        wanted = layout.heightForWidth(width) if layout.hasHeightForWidth() else layout.sizeHint().height()
        height = min(max(wanted, layout.minimumSize().height()), self.height() - 32)
        self.card.setGeometry((self.width() - width) // 2, (self.height() - height) // 2, width, height)
        self.update()

    def _rename(self) -> None:
        self.setAccessibleName(self._title.text())
