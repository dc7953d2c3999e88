"""The strip above the composer: what is being answered or worded anew, and a way out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPainterPath, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.widgets import markup
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.labels import ElidedLabel

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.types import MessageRow


class ContextStrip(QWidget):
    """Sunken, with an accent bar, an icon, a name and one line, 46 px high."""

    closed = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._icon = ui, "arrow-bend-up-left"
        self._title = ElidedLabel(ui, fonts.CAPTION_STRONG, "accent_text")
        self._line = ElidedLabel(ui, fonts.PREVIEW, "text2")
        self.stop = IconButton(ui, "composer.stop", "x", side=32, glyph=18)
        self.stop.clicked.connect(self.closed)
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addWidget(self._title)
        lines.addWidget(self._line)
        row = QHBoxLayout(self)
        row.setContentsMargins(48, 5, 7, 5)
        row.setSpacing(8)
        row.addLayout(lines, 1)
        row.addWidget(self.stop)
        self.setFixedHeight(46)
        ui.theme_changed.connect(self.update)
        self.hide()

    def show_reply(self, row: MessageRow) -> None:
        """This message is being answered."""
        key = "composer.reply_self" if row.outgoing else "composer.reply"
        self._show("arrow-bend-up-left", self._ui.say(key, name=row.sender.shown_name), row)

    def show_edit(self, row: MessageRow) -> None:
        """This message is being worded anew."""
        self._show("pencil-simple", self._ui.say("composer.edit"), row)

    @property
    def words(self) -> str:
        """What the strip says, for tests and screen readers."""
        return f"{self._title.text}: {self._line.text}"

    def _show(self, icon: str, title: str, row: MessageRow) -> None:
        self._icon = icon
        line = row.text or (row.file.name if row.file is not None else "")
        self._title.show_text(title)
        self._line.show_text(markup.one_line(line))
        self.setAccessibleName(self.words)
        self.update()
        self.show()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground, bar, icon."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        path, box = QPainterPath(), QRectF(self.rect())
        path.addRoundedRect(box, 8, 8)
        painter.fillPath(path, theme["surface_sunken"])
        painter.setClipRect(QRectF(0, 0, 3, box.height()), Qt.ClipOperation.IntersectClip)
        painter.fillPath(path, theme["accent"])
        painter.setClipping(False)
        icons.draw(painter, self._icon, QRectF(16, (box.height() - 20) / 2, 20, 20), theme["accent_text"])
