"""What stands where no chat is open: the wallpaper with a card that says what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons, wallpaper
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class KeyCap(QWidget):
    """The name of a key in a small sunken box."""

    def __init__(self, ui: UiContext, text: str) -> None:
        super().__init__()
        self._ui, self._text = ui, text
        self.setFixedSize(round(fonts.metrics(fonts.MICRO_STRONG).horizontalAdvance(text)) + 18, 18)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Box and name."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 5, 5)
        painter.setPen(theme["text2"])
        painter.setFont(fonts.font(fonts.MICRO_STRONG))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)


class EmptyCard(QWidget):
    """Icon, title, sentence, button, hint: 400 px wide."""

    new_chat_wanted = pyqtSignal()
    new_group_wanted = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setMaximumWidth(400)
        title = Label(ui, "empty.title", fonts.TITLE)
        text = Label(ui, "empty.text", fonts.BODY, "text2", wrap=True)
        for label in (title, text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.button = Button(ui, "empty.new_chat", Kind.PRIMARY, icon="note-pencil")
        self.button.clicked.connect(self.new_chat_wanted)
        self.group = Button(ui, "empty.new_group", Kind.SECONDARY, icon="users-three")
        self.group.clicked.connect(self.new_group_wanted)
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        buttons.addStretch()
        buttons.addWidget(self.button)
        buttons.addWidget(self.group)
        buttons.addStretch()
        hint = QHBoxLayout()
        hint.setSpacing(6)
        hint.addStretch()
        hint.addWidget(KeyCap(ui, "Ctrl"))
        hint.addWidget(KeyCap(ui, "K"))
        hint.addWidget(Label(ui, "empty.hint", fonts.CAPTION, "text2"))
        hint.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(40, 116, 40, 27)
        column.setSpacing(0)
        column.addWidget(title)
        column.addSpacing(5)
        column.addWidget(text)
        column.addSpacing(19)
        column.addLayout(buttons)
        column.addSpacing(16)
        column.addLayout(hint)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground, disc, icon."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(QRectF(self.rect()), 20, 20)
        middle = QPointF(self.width() / 2, 70)
        painter.setBrush(theme["accent_soft"])
        painter.drawEllipse(middle, 38, 38)
        icon = QRectF(middle.x() - 19, middle.y() - 19, 38, 38)
        icons.draw(painter, "chat-teardrop-dots-fill", icon, theme["accent_text"])


class EmptyPane(QWidget):
    """The card on the wallpaper."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.card = EmptyCard(ui)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 20)
        column.addStretch()
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.card, 1000)
        row.addStretch()
        column.addLayout(row)
        column.addStretch()
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The wallpaper."""
        theme = self._ui.theme
        origin = QPointF(0, 0)
        wallpaper.draw(QPainter(self), QRectF(self.rect()), origin, theme["bg_chat"], theme["bg_pattern"])
