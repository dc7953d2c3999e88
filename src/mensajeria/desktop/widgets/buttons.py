"""Push buttons, icon buttons, links and filter chips.

Painted QAbstractButtons, so that role, state and keys stay Qt's.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QEnterEvent, QKeyEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QAbstractButton, QSizePolicy

from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.fonts import Role

_CENTRE = Qt.AlignmentFlag.AlignCenter


class Kind(Enum):
    """How much a button asks to be pressed."""

    PRIMARY = auto()
    SECONDARY = auto()
    DANGER = auto()


class PaintedButton(QAbstractButton):
    """Base of the painted buttons: hover and press repaint, Enter presses, the words follow the language.

    The name for screen readers is the text, or for buttons without text the tooltip.
    """

    ring_radius = 10.0

    def __init__(self, ui: UiContext, key: str) -> None:
        super().__init__()
        self.ui, self._key = ui, key
        self._params: dict[str, object] = {}
        self.hovered = False
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self.translate)
        self.translate()

    def say(self, key: str, **params: object) -> None:
        """Show another sentence of the catalogue."""
        self._key, self._params = key, params
        self.translate()

    def translate(self) -> None:
        """Take the words from the catalogue again."""
        text = self.ui.say(self._key, **self._params)
        self.setText(text)
        self.setAccessibleName(text)
        self.updateGeometry()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Hover begins."""
        self.hovered = True
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent | None) -> None:
        """Hover ends."""
        self.hovered = False
        self.update()
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter presses too, not only Space."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        super().keyPressEvent(event)

    def start(self) -> QPainter:
        """A painter with smooth edges and the usual font."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        return painter


class Button(PaintedButton):
    """A push button, 40 px high or as given, with an optional icon before the text."""

    def __init__(
        self,
        ui: UiContext,
        key: str,
        kind: Kind = Kind.PRIMARY,
        *,
        icon: str = "",
        height: int = 40,
        wide: bool = False,
    ) -> None:
        self._kind, self._icon, self._height = kind, icon, height
        super().__init__(ui, key)
        self.setFixedHeight(height)
        if wide:
            self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_kind(self, kind: Kind) -> None:
        """How much it asks to be pressed may change."""
        self._kind = kind
        self.update()

    def sizeHint(self) -> QSize:
        """Text, icon and 18 px on either side."""
        width = fonts.metrics(fonts.LABEL).horizontalAdvance(self.text())
        return QSize(round(width) + 36 + (28 if self._icon else 0), self._height)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Fill, icon, text."""
        painter = self.start()
        fill, ink = self._colours()
        painter.setBrush(fill)
        painter.drawRoundedRect(QRectF(self.rect()), 10, 10)
        painter.setPen(ink)
        painter.setFont(fonts.font(fonts.LABEL))
        metrics, icon = fonts.metrics(fonts.LABEL), 28 if self._icon else 0
        words = metrics.elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width() - 16 - icon)
        content = metrics.horizontalAdvance(words) + icon
        left = (self.width() - content) / 2
        if self._icon:
            icons.draw(painter, self._icon, QRectF(left, (self.height() - 18) / 2, 18, 18), ink)
            left += 28
        painter.drawText(QRectF(left, 0, content, self.height()), Qt.AlignmentFlag.AlignVCenter, words)

    def _colours(self) -> tuple[QColor, QColor]:
        theme = self.ui.theme
        if not self.isEnabled():
            return theme["pressed"], theme["text_disabled"]
        state = "_pressed" if self.isDown() else "_hover" if self.hovered else ""
        if self._kind is Kind.PRIMARY:
            return theme[f"accent{state}"], theme["on_accent"]
        if self._kind is Kind.DANGER:
            return theme["danger_soft"], theme["danger"]
        return theme["pressed" if state else "surface_sunken"], theme["text"]


class OutlinedButton(PaintedButton):
    """The action of a banner: 32 px high, outlined in the banner's ink."""

    ring_radius = 8.0

    def __init__(self, ui: UiContext, key: str, ink: str) -> None:
        self._ink = ink
        super().__init__(ui, key)
        self.setFixedHeight(32)

    def set_ink(self, ink: str) -> None:
        """Change the ink."""
        self._ink = ink
        self.update()

    def sizeHint(self) -> QSize:
        """Text and 13 px on either side."""
        return QSize(round(fonts.metrics(fonts.LABEL).horizontalAdvance(self.text())) + 26, 32)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Outline and text; filled faintly under the pointer."""
        painter = self.start()
        ink = self.ui.theme[self._ink]
        if self.hovered:
            wash = QColor(ink)
            wash.setAlphaF(0.12)
            painter.setBrush(wash)
        painter.setPen(QPen(ink, 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.setFont(fonts.font(fonts.LABEL))
        painter.drawText(self.rect(), _CENTRE, self.text())


class IconButton(PaintedButton):
    """A button that is only an icon; its name is its tooltip. ``side`` px square, icon ``glyph`` px."""

    def __init__(
        self, ui: UiContext, key: str, icon: str, *, side: int = 38, glyph: int = 22, ink: str = "text2"
    ) -> None:
        self._icon, self._glyph, self._ink = icon, glyph, ink
        super().__init__(ui, key)
        self.setFixedSize(side, side)

    def translate(self) -> None:
        """The words are shown as the tooltip."""
        super().translate()
        self.setToolTip(self.text())

    def set_icon(self, icon: str) -> None:
        """Change the icon."""
        self._icon = icon
        self.update()

    def set_ink(self, ink: str) -> None:
        """Change the ink."""
        self._ink = ink
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A faint square under the pointer, and the icon."""
        painter = self.start()
        if self.hovered or self.isDown() or self.isChecked():
            ground = "accent_soft" if self.isChecked() else "pressed" if self.isDown() else "hover"
            painter.setBrush(self.ui.theme[ground])
            painter.drawRoundedRect(QRectF(self.rect()), 10, 10)
        inset = (self.width() - self._glyph) / 2
        box = QRectF(self.rect()).adjusted(inset, inset, -inset, -inset)
        icons.draw(painter, self._icon, box, self.ui.theme[self._ink])


class SendButton(PaintedButton):
    """The composer's round button: accent when there is something to send."""

    ring_radius = 20.0

    def __init__(self, ui: UiContext) -> None:
        super().__init__(ui, "composer.send")
        self.setFixedSize(40, 40)
        self.setEnabled(False)

    def translate(self) -> None:
        """The words are shown as the tooltip."""
        super().translate()
        self.setToolTip(self.text())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A disc with the paper plane."""
        painter = self.start()
        theme = self.ui.theme
        accent = "accent_pressed" if self.isDown() else "accent_hover" if self.hovered else "accent"
        painter.setBrush(theme[accent if self.isEnabled() else "surface_sunken"])
        painter.drawEllipse(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        ink = theme["on_accent" if self.isEnabled() else "text_disabled"]
        icons.draw(painter, "paper-plane-right-fill", QRectF(9, 9, 22, 22), ink)


class LinkButton(PaintedButton):
    """A link in a line of text, or a quiet button with an icon."""

    ring_radius = 5.0

    def __init__(
        self, ui: UiContext, key: str, *, icon: str = "", ink: str = "accent_text", role: Role = fonts.LABEL
    ) -> None:
        self._icon, self._ink, self._role = icon, ink, role
        super().__init__(ui, key)
        self.setFixedHeight(max(24, role.line))

    def sizeHint(self) -> QSize:
        """Exactly the text and the icon."""
        width = fonts.metrics(self._role).horizontalAdvance(self.text())
        return QSize(round(width) + 2 + (26 if self._icon else 0), self.height())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Icon and text, underlined under the pointer."""
        painter = self.start()
        ink = self.ui.theme[self._ink]
        left = 26.0 if self._icon else 0.0
        if self._icon:
            icons.draw(painter, self._icon, QRectF(0, (self.height() - 18) / 2, 18, 18), ink)
        painter.setPen(ink)
        painter.setFont(fonts.font(self._role))
        painter.drawText(QRectF(left, 0, self.width(), self.height()), Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.hovered and not self._icon:
            base = self.height() / 2 + self._role.size / 2
            painter.drawLine(round(left), round(base), self.width() - 2, round(base))


class Chip(PaintedButton):
    """A filter that is on or off, 30 px high."""

    ring_radius = 15.0

    def __init__(self, ui: UiContext, key: str) -> None:
        super().__init__(ui, key)
        self.setCheckable(True)
        self.setFixedHeight(30)

    def sizeHint(self) -> QSize:
        """Text and 13 px on either side."""
        return QSize(round(fonts.metrics(fonts.LABEL).horizontalAdvance(self.text())) + 27, 30)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Filled when on, outlined when off."""
        painter = self.start()
        theme = self.ui.theme
        on = self.isChecked()
        if on:
            painter.setBrush(theme["accent_soft"])
        else:
            painter.setPen(QPen(theme["border"], 1))
            painter.setBrush(theme["hover"] if self.hovered else theme["bg_window"])
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 14.5, 14.5)
        painter.setPen(theme["accent_text" if on else "text2"])
        painter.setFont(fonts.font(fonts.LABEL if on else fonts.LABEL_MEDIUM))
        painter.drawText(self.rect(), _CENTRE, self.text())
