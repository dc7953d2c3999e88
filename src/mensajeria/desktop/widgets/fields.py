"""Form fields: label above, outlined box with icon, a line of help or error under it; and the password meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QFocusEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from PyQt6.QtGui import QMouseEvent

    from mensajeria.desktop.theme.context import UiContext

MAX_INPUT = 1024
"""Longest text a form field takes, characters."""


class LineEdit(QLineEdit):
    """A borderless line that tells when it has the focus."""

    focus_changed = pyqtSignal(bool)

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Tell the frame."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Tell the frame."""
        super().focusOutEvent(event)
        self.focus_changed.emit(False)


class Frame(QWidget):
    """The outlined box of 44 px: icon, line, and room for something at the end."""

    def __init__(self, ui: UiContext, icon: str) -> None:
        super().__init__()
        self._ui, self._icon = ui, icon
        self.bad = False
        self.line = LineEdit()
        self.line.setMaxLength(MAX_INPUT)
        self.line.setFont(fonts.font(fonts.BODY))
        self.line.setAttribute(Qt.WidgetAttribute.WA_MacShowFocusRect, on=False)
        self.line.focus_changed.connect(self.update)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(41 if icon else 11, 2, 8, 2)
        self.row.setSpacing(4)
        self.row.addWidget(self.line)
        self.setFixedHeight(44)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        ui.theme_changed.connect(self.update)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A press anywhere in the box goes to the line."""
        self.line.setFocus(Qt.FocusReason.MouseFocusReason)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Outline: strong, accent with focus, danger when wrong."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.line.hasFocus()
        ink = "danger" if self.bad else "accent" if focused else "border_strong"
        width = 2.0 if focused or self.bad else 1.0
        painter.setPen(QPen(theme[ink], width))
        painter.setBrush(theme["surface_raised"])
        half = width / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(half, half, -half, -half), 10, 10)
        if self._icon:
            icons.draw(painter, self._icon, QRectF(13, 13, 18, 18), theme["text2"])


class Helper(QWidget):
    """The line under a field: an icon and a sentence, in the colour of its meaning."""

    ICONS = {"danger": "warning-circle-fill", "success": "check-circle-fill", "info": "info-fill", "text2": ""}  # noqa: RUF012

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._ink = ui, "text2"
        self.label = Label(ui, role=fonts.CAPTION, ink="text2", wrap=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label)
        self._row = row
        ui.theme_changed.connect(self.update)

    def set_ink(self, ink: str) -> None:
        """Change meaning: ``danger``, ``success`` or ``text2``."""
        self._ink = ink
        self.label.set_ink(ink)
        self._row.setContentsMargins(21 if self.ICONS[ink] else 0, 0, 0, 0)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The icon; the label paints itself."""
        if icon := self.ICONS[self._ink]:
            painter = QPainter(self)
            icons.draw(painter, icon, QRectF(0, 0, 15, 15), self._ui.theme[self._ink])


class Field(QWidget):
    """A labelled line. ``edited`` fires for what the person types, not for what the program sets."""

    edited = pyqtSignal(str)
    submitted = pyqtSignal()

    def __init__(self, ui: UiContext, label: str, icon: str = "", placeholder: str = "") -> None:
        super().__init__()
        self.ui, self._label_key, self._placeholder = ui, label, placeholder
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.label = Label(ui, label, fonts.LABEL)
        self.frame = Frame(ui, icon)
        self.line = self.frame.line
        self.helper = Helper(ui)
        self.helper.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for part in (self.label, self.frame, self.helper):
            column.addWidget(part)
        self.label.setBuddy(self.line)
        self.setFocusProxy(self.line)
        self.line.textEdited.connect(self.edited)
        self.line.returnPressed.connect(self.submitted)
        ui.language_changed.connect(self._translate)
        self._translate()

    @property
    def text(self) -> str:
        """What stands in the line."""
        return self.line.text()

    def help(self, key: str, **params: object) -> None:
        """A neutral or good word under the field (see ``succeed`` and ``fail``)."""
        self._tell("text2", key, **params)

    def succeed(self, key: str, **params: object) -> None:
        """What was typed is right."""
        self._tell("success", key, **params)

    def fail(self, key: str, **params: object) -> None:
        """What was typed is wrong, and why."""
        self._tell("danger", key, **params)

    def fail_text(self, sentence: str) -> None:
        """Like ``fail``, with a finished sentence."""
        self._tell("danger", "")
        self.helper.label.show_text(sentence)
        self.line.setAccessibleDescription(sentence)

    def calm(self) -> None:
        """Take the word under the field away."""
        self.helper.hide()
        self._mark(bad=False)

    def _tell(self, ink: str, key: str, **params: object) -> None:
        self.helper.set_ink(ink)
        if key:
            self.helper.label.say(key, **params)
        self.line.setAccessibleDescription(self.helper.label.text())
        self.helper.show()
        self._mark(bad=ink == "danger")

    def _mark(self, *, bad: bool) -> None:
        self.frame.bad = bad
        self.frame.update()

    def _translate(self) -> None:
        self.line.setAccessibleName(self.ui.say(self._label_key))
        if self._placeholder:
            self.line.setPlaceholderText(self.ui.say(self._placeholder))


class PasswordField(Field):
    """A field that hides what is typed, with an eye to show it; ``confirm`` shows a tick instead of the eye."""

    def __init__(self, ui: UiContext, label: str, *, confirm: bool = False) -> None:
        super().__init__(ui, label, "key")
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.line.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self._tick = Tick(ui)
        self._tick.hide()
        self.frame.row.addWidget(self._tick)
        if not confirm:
            self.eye = IconButton(ui, "auth.show_password", "eye", side=32, glyph=20)
            self.eye.clicked.connect(self._toggle)
            self.frame.row.addWidget(self.eye)

    def set_matching(self, matching: bool) -> None:
        """Show (or hide) the tick."""
        self._tick.setVisible(matching)

    def wipe(self) -> None:
        """Forget what was typed, undo history too."""
        self.line.clear()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)

    def _toggle(self) -> None:
        hidden = self.line.echoMode() == QLineEdit.EchoMode.Password
        self.line.setEchoMode(QLineEdit.EchoMode.Normal if hidden else QLineEdit.EchoMode.Password)
        self.eye.set_icon("eye-slash" if hidden else "eye")
        self.eye.say("auth.hide_password" if hidden else "auth.show_password")


class Tick(QWidget):
    """A green tick, 20 px, at the end of a field."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setFixedSize(28, 24)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The tick."""
        icons.draw(QPainter(self), "check-circle-fill", QRectF(0, 2, 20, 20), self._ui.theme["success"])


class Meter(QWidget):
    """How strong a password is: four bars, a word, and one line of advice."""

    WORDS = ("very_weak", "weak", "fair", "strong", "very_strong")
    TOKENS = ("danger", "danger", "warning", "success", "success")

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._score = ui, -1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._word = Label(ui, role=fonts.CAPTION_STRONG)
        self._word.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._advice = Label(ui, role=fonts.CAPTION, ink="text2", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._word)
        column.addWidget(self._advice)
        self.hide()
        ui.theme_changed.connect(self.update)

    @property
    def score(self) -> int:
        """0 to 4, -1 when nothing is shown."""
        return self._score

    def show_score(self, score: int, advice: str) -> None:
        """Show a score of 0 to 4; ``advice`` is a key of the catalogue or empty."""
        self._score = min(max(score, 0), 4)
        self._word.say(f"password.{self.WORDS[self._score]}")
        self._word.set_ink(self.TOKENS[self._score])
        self._advice.setVisible(bool(advice))
        if advice:
            self._advice.say(advice)
        self.setAccessibleName(f"{self._word.text()}. {self._advice.text() if advice else ''}")
        self.show()
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._score = -1
        self.hide()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The bars, left of the word."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        room = self.width() - fonts.metrics(fonts.CAPTION_STRONG).horizontalAdvance(self._word.text()) - 14
        bar = (room - 3 * 4) / 4
        for place in range(4):
            filled = place < max(1, self._score)
            painter.setBrush(theme[self.TOKENS[self._score] if filled else "pressed"])
            painter.drawRoundedRect(QRectF(place * (bar + 4), 6, bar, 4), 2, 2)


class SearchBox(QWidget):
    """The pill of 38 px over a list; the cross clears it."""

    edited = pyqtSignal(str)
    submitted = pyqtSignal()

    def __init__(self, ui: UiContext, placeholder: str) -> None:
        super().__init__()
        self._ui, self._placeholder = ui, placeholder
        self.setFixedHeight(38)
        self.line = LineEdit(self)
        self.line.setMaxLength(MAX_INPUT)
        self.line.setFont(fonts.font(fonts.BODY))
        self.line.textChanged.connect(self._changed)
        self.line.returnPressed.connect(self.submitted)
        self.line.focus_changed.connect(self.update)
        self._clear = IconButton(ui, "sidebar.clear_search", "x", side=28, glyph=16)
        self._clear.clicked.connect(self.line.clear)
        self._clear.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(41, 0, 6, 0)
        row.addWidget(self.line)
        row.addWidget(self._clear)
        self.setFocusProxy(self.line)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Sunken pill with the glass; outlined in accent with focus."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.line.hasFocus()
        painter.setPen(QPen(theme["accent"], 2) if focused else Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_sunken"])
        inset = 1 if focused else 0
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), 19 - inset, 19 - inset)
        icons.draw(painter, "magnifying-glass", QRectF(13, 10, 18, 18), theme["text2"])

    def _changed(self, text: str) -> None:
        self._clear.setVisible(bool(text))
        self.edited.emit(text)

    def _translate(self) -> None:
        words = self._ui.say(self._placeholder)
        self.line.setPlaceholderText(words)
        self.line.setAccessibleName(words)
