"""The page of how the program looks: theme, text size, language, motion, what Enter does. It applies at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from PyQt6.QtCore import QPointF, QRectF, QSize
from PyQt6.QtGui import QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QButtonGroup, QHBoxLayout, QWidget

from mensajeria.client.i18n import LANGUAGES
from mensajeria.desktop.theme import fonts, wallpaper
from mensajeria.desktop.viewmodels.timeline import Decor
from mensajeria.desktop.viewmodels.types import TEXT_SIZES, MessageRow, MessageState, Person, Preferences, ThemeChoice
from mensajeria.desktop.widgets import message_delegate
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.message_layout import MessageLayout
from mensajeria.desktop.widgets.toggles import Radio, Slider
from mensajeria.desktop.windows.settings_page import SettingsPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

T = TypeVar("T")
_NOBODY = Person("", "", "", 0)
_NOON_MS = 43_440_000
_APART = 28


class Preview(QWidget):
    """Two bubbles in the size that is chosen."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setFixedHeight(112)
        for change in (ui.theme_changed, ui.text_size_changed, ui.language_changed):
            change.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Wallpaper and bubbles."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(self.rect()), 12, 12)
        painter.setClipPath(clip)
        wallpaper.draw(painter, QRectF(self.rect()), QPointF(0, 0), theme["bg_chat"], theme["bg_pattern"])
        question = self._row("settings.preview_question", MessageState.NONE)
        answer = self._row("settings.preview_answer", MessageState.READ)
        top = 12
        for row in (question, answer):
            layout = MessageLayout(self._ui, row, Decor(), self.width())
            painter.save()
            painter.translate(0, top)
            message_delegate.paint_message(painter, self._ui, layout)
            painter.restore()
            top += layout.height

    def _row(self, key: str, state: MessageState) -> MessageRow:
        outgoing = state is not MessageState.NONE
        return MessageRow(key, 0, _NOBODY, outgoing, _NOON_MS, self._ui.say(key), state)


class Choices(QWidget):
    """Radio buttons side by side, or one below the other where there is no room."""

    def __init__(self, radios: list[Radio]) -> None:
        super().__init__()
        self._radios = radios
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(_APART)
        for radio in radios:
            self._row.addWidget(radio)
        self._row.addStretch()

    def minimumSizeHint(self) -> QSize:
        """As wide as the longest."""
        return QSize(max(radio.sizeHint().width() for radio in self._radios), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Beside each other, or below."""
        super().resizeEvent(event)
        wanted = sum(radio.sizeHint().width() for radio in self._radios) + _APART * (len(self._radios) - 1)
        below = wanted > self.width()
        direction = QBoxLayout.Direction.TopToBottom if below else QBoxLayout.Direction.LeftToRight
        if direction != self._row.direction():
            self._row.setDirection(direction)
            self._row.setSpacing(8 if below else _APART)


class AppearancePage(SettingsPage):
    """A section for each setting."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__(ui)
        self._themes = self._choices("settings.theme", [(choice, f"theme.{choice.value}") for choice in ThemeChoice])
        self._size = self._slider()
        self.column.addWidget(Preview(ui))
        self._languages = self._choices("settings.language", [(name, f"language.{name}") for name in LANGUAGES])
        self._motion = self.switch("settings.reduce_motion", "settings.reduce_motion_text")
        self._enter = self.switch("settings.enter_sends", "settings.enter_sends_text")
        self.column.addStretch(1)
        self._fill(ui.preferences)
        for choice, radio in self._themes.items():
            radio.clicked.connect(lambda _on, wanted=choice: self._set(replace(ui.preferences, theme=wanted)))
        for name, radio in self._languages.items():
            radio.clicked.connect(lambda _on, wanted=name: self._set(replace(ui.preferences, language=wanted)))
        self._size.valueChanged.connect(lambda at: self._set(replace(ui.preferences, text_size=TEXT_SIZES[at])))
        self._motion.clicked.connect(lambda on: self._set(replace(ui.preferences, reduce_motion=on)))
        self._enter.clicked.connect(lambda on: self._set(replace(ui.preferences, enter_sends=on)))

    def _set(self, wanted: Preferences) -> None:
        self.ui.change(wanted)

    def _fill(self, now: Preferences) -> None:
        self._themes[now.theme].setChecked(True)
        self._languages[now.language].setChecked(True)
        self._size.setValue(TEXT_SIZES.index(now.text_size))
        self._motion.setChecked(now.reduce_motion)
        self._enter.setChecked(now.enter_sends)

    def _choices(self, title: str, options: list[tuple[T, str]]) -> dict[T, Radio]:
        self.column.addWidget(Label(self.ui, title, fonts.LABEL, "text2"))
        group = QButtonGroup(self)
        made = {value: Radio(self.ui, key) for value, key in options}
        for radio in made.values():
            group.addButton(radio)
        self.column.addWidget(Choices(list(made.values())))
        return made

    def _slider(self) -> Slider:
        self.column.addWidget(Label(self.ui, "settings.text_size", fonts.LABEL, "text2"))
        row = QHBoxLayout()
        row.setSpacing(12)
        small, large = Label(self.ui, role=fonts.PREVIEW, ink="text2"), Label(self.ui, role=fonts.TITLE, ink="text2")
        small.show_text("A")
        large.show_text("A")
        slider = Slider(self.ui, "settings.text_size", len(TEXT_SIZES) - 1)
        for part in (small, slider, large):
            row.addWidget(part)
        self.column.addLayout(row)
        return slider
