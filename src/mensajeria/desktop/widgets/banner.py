"""Notices across a pane: an icon, one or two lines, an optional action and a cross."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QRectF, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.widgets.buttons import IconButton, OutlinedButton
from mensajeria.desktop.widgets.labels import ElidedLabel, Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class Tone(NamedTuple):
    """Meaning of a banner: its colour token (with a ``_soft`` one for the ground) and icon."""

    ink: str
    icon: str


OFFLINE = Tone("warning", "wifi-slash")
BUSY = Tone("info", "arrows-clockwise")
IDENTITY = Tone("warning", "shield-warning-fill")
COMPARE = Tone("info", "shield-check-fill")
BAD = Tone("danger", "warning-circle-fill")


class Banner(QWidget):
    """A banner; hidden until ``tell``. ``acted`` fires for its action, ``closed`` for its cross."""

    acted = pyqtSignal()
    acted_otherwise = pyqtSignal()
    """Its second action."""
    closed = pyqtSignal()

    def __init__(self, ui: UiContext, *, height: int = 48, margin: int = 12, closable: bool = False) -> None:
        super().__init__()
        self._ui, self._tone = ui, OFFLINE
        self._margin = margin
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._title = ElidedLabel(ui, fonts.LABEL)
        self._text = ElidedLabel(ui, fonts.CAPTION)
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addStretch()
        lines.addWidget(self._title)
        lines.addWidget(self._text)
        lines.addStretch()
        self._action = OutlinedButton(ui, "action.retry", "warning")
        self._action.clicked.connect(self.acted)
        row = QHBoxLayout(self)
        row.setContentsMargins(margin + 34, 0, margin, 0)
        row.setSpacing(12)
        row.addLayout(lines, 1)
        row.addWidget(self._action)
        self._second = OutlinedButton(ui, "action.retry", "warning")
        self._second.clicked.connect(self.acted_otherwise)
        row.addWidget(self._second)
        self._close = IconButton(ui, "action.close", "x", side=32, glyph=18)
        self._close.clicked.connect(self.closed)
        self._close.setVisible(closable)
        if closable:
            row.addWidget(self._close)
        else:
            self._close.setParent(None)
        ui.theme_changed.connect(self.update)
        self.hide()

    def tell(self, tone: Tone, title: str, text: str, action: str = "", second: str = "") -> None:
        """Show finished sentences; the actions are keys of the catalogue, empty for none."""
        self._tone = tone
        self._title.show_text(title)
        self._text.show_text(text)
        self._text.setVisible(bool(text))
        for button, key in ((self._action, action), (self._second, second)):
            button.setVisible(bool(key))
            if key:
                button.say(key)
                button.set_ink(tone.ink)
        self._close.set_ink(tone.ink)
        self.setAccessibleName(f"{title}. {text}")
        self.show()
        self.update()

    @property
    def title(self) -> str:
        """The first line."""
        return self._title.text

    @property
    def text(self) -> str:
        """The second line."""
        return self._text.text

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground and icon."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme[f"{self._tone.ink}_soft"])
        box = QRectF(self._margin + 2, (self.height() - 20) / 2, 20, 20)
        icons.draw(painter, self._tone.icon, box, theme[self._tone.ink])


class InfoCard(QWidget):
    """A sunken card with an icon and a paragraph, for advice inside forms."""

    def __init__(self, ui: UiContext, key: str, *, ink: str = "info", icon: str = "info-fill") -> None:
        super().__init__()
        self._ui, self._ink, self._icon = ui, ink, icon
        label = self._label = Label(ui, key, fonts.CAPTION, "text2", wrap=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(46, 12, 14, 12)
        row.addWidget(label)
        ui.theme_changed.connect(self.update)

    def say(self, key: str, **params: object) -> None:
        """Another sentence."""
        self._label.say(key, **params)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground and icon."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme["surface_sunken"])
        painter.setBrush(theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        icons.draw(painter, self._icon, QRectF(14, 12, 20, 20), theme[self._ink])
