"""Six emoji to react with: a pill over the message's menu, or alone beside the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QPoint, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts, shadow
from mensajeria.desktop.widgets.buttons import IconButton, PaintedButton

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

QUICK: Final = ("👍", "❤️", "😂", "😮", "😢", "🙏")
_SIDE, _MARGIN = 40, 14


class EmojiButton(PaintedButton):
    """One emoji; marked when it is the own reaction already."""

    ring_radius = 20.0

    def __init__(self, ui: UiContext, emoji: str, *, mine: bool) -> None:
        self.emoji, self._mine = emoji, mine
        super().__init__(ui, "message.react_with")
        self.setFixedSize(_SIDE, _SIDE)

    def translate(self) -> None:
        """The name says what the emoji is for; it is also the tooltip."""
        self._params = {"emoji": self.emoji}
        super().translate()
        self.setToolTip(self.text())

    def sizeHint(self) -> QSize:
        """A square."""
        return QSize(_SIDE, _SIDE)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A disc under the own one, a fainter one under the pointer or focus."""
        painter, theme = self.start(), self.ui.theme
        if self._mine or self.hovered or self.hasFocus():
            painter.setBrush(theme["accent_soft" if self._mine else "hover"])
            painter.drawEllipse(self.rect())
        painter.setFont(fonts.emoji(22))
        painter.setPen(theme["text"])
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.emoji)


class QuickReactions(QWidget):
    """A row of emoji; left and right walk through it. ``chosen`` carries the emoji, ``more_wanted`` asks for others."""

    chosen = pyqtSignal(str)
    more_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, mine: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(3, 3, 3, 3)
        self._row.setSpacing(2)
        self.buttons = [EmojiButton(ui, emoji, mine=emoji == mine) for emoji in QUICK]
        for button in self.buttons:
            button.clicked.connect(lambda _checked, emoji=button.emoji: self.chosen.emit(emoji))
            self._row.addWidget(button)
        self.more = IconButton(ui, "message.react_more", "plus", side=_SIDE, glyph=18)
        self.more.clicked.connect(self.more_wanted)
        self._row.addWidget(self.more)
        self.stops: list[PaintedButton] = [*self.buttons, self.more]

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Left and right."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0) if event is not None else 0
        at = next((place for place, each in enumerate(self.stops) if each.hasFocus()), 0)
        if step:
            self.stops[(at + step) % len(self.stops)].setFocus(Qt.FocusReason.TabFocusReason)
        else:
            super().keyPressEvent(event)


class ReactionPopup(QWidget):
    """The emoji alone, as a pop-up: closes with Esc, with a press elsewhere, and once one is chosen."""

    chosen = pyqtSignal(str)
    more_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, mine: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._ui = ui
        self.setAccessibleName(ui.say("message.react"))
        self.quick = QuickReactions(ui, mine, self)
        row = QHBoxLayout(self)
        row.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        row.addWidget(self.quick)
        self.quick.chosen.connect(self._choose)
        self.quick.more_wanted.connect(self._more)

    def open_at(self, at: QPoint) -> None:
        """Show it near a point of the screen, inside the screen, with the focus on the first emoji."""
        self.adjustSize()
        screen = application().screenAt(at) or present(application().primaryScreen())
        free = screen.availableGeometry()
        left = min(max(at.x() - _MARGIN, free.left()), free.right() - self.width())
        top = min(max(at.y() - _MARGIN, free.top()), free.bottom() - self.height())
        self.move(left, top)
        self.show()
        self.quick.buttons[0].setFocus(Qt.FocusReason.PopupFocusReason)

    def _choose(self, emoji: str) -> None:
        self.close()
        self.chosen.emit(emoji)

    def _more(self) -> None:
        self.close()
        self.more_wanted.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A floating pill."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        shadow.draw(painter, box, box.height() / 2, shadow.FLOATING, theme["shadow"])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
