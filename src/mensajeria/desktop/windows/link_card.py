"""What an own device shows to a new one: the code as a picture and as text, while it is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QLineEdit, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.qr import QrCode

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import LinkMade

SIDE: Final = 248
"""Pixels: a code of some 350 characters keeps modules of three pixels."""
_WIDE_FROM: Final = 440
"""Below this width the words stand under the picture."""


class LinkCard(QWidget):
    """Hidden until `offer`; forgets the code when it has expired or the page leaves the screen."""

    expired = pyqtSignal()
    told = pyqtSignal(str)
    """A sentence of success."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.words = Label(ui, role=fonts.PREVIEW, ink="text2", wrap=True)
        self.code = QrCode(ui, SIDE)
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setFont(fonts.code(12))
        self.copy = Button(ui, "devices.link_copy", Kind.SECONDARY, icon="copy")
        self.copy.clicked.connect(self._copy)
        beside = QVBoxLayout()
        beside.setSpacing(12)
        for part in (self.words, self.line, self.copy):
            beside.addWidget(part)
        beside.addStretch()
        self._both = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._both.setContentsMargins(0, 0, 0, 0)
        self._both.setSpacing(16)
        self._both.addWidget(self.code, 0, Qt.AlignmentFlag.AlignTop)
        self._both.addLayout(beside, 1)
        self._over = QTimer(self)
        self._over.setSingleShot(True)
        self._over.timeout.connect(self._expire)
        ui.language_changed.connect(self._name)
        self._name()
        self.hide()

    def offer(self, link: LinkMade, now_ms: int) -> None:
        """Show a code until it expires."""
        self.words.say("devices.link_text", time=self._ui.wording.clock(link.expires_ms))
        self.code.show_modules(link.code)
        self.line.setText(link.text.reveal_text())
        self.line.setCursorPosition(0)
        self._over.start(max(0, link.expires_ms - now_ms))
        self.show()
        self.copy.setFocus(Qt.FocusReason.OtherFocusReason)

    def forget(self) -> None:
        """Show nothing any more."""
        self._over.stop()
        self.line.clear()
        self.code.show_modules(())
        self.hide()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Side by side, or one under the other."""
        super().resizeEvent(event)
        wide = self.width() >= _WIDE_FROM
        self._both.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)

    def _expire(self) -> None:
        self.forget()
        self.expired.emit()

    def _copy(self) -> None:
        present(application().clipboard()).setText(self.line.text())
        self.told.emit(self._ui.say("devices.link_copied"))

    def _name(self) -> None:
        words = self._ui.say("devices.link_code")
        self.line.setAccessibleName(words)
        self.code.setAccessibleName(words)
