"""Text that follows theme and language: wrapping labels and one-line labels that elide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent, QPalette
from PyQt6.QtWidgets import QLabel, QSizePolicy, QWidget

from mensajeria.desktop.theme import fonts

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.fonts import Role


class Label(QLabel):
    """A sentence of the catalogue (or given text), always plain: nothing a person wrote is read as markup."""

    def __init__(
        self, ui: UiContext, key: str = "", role: Role = fonts.BODY, ink: str = "text", *, wrap: bool = False
    ) -> None:
        super().__init__()
        self._ui, self._key, self._ink, self._role = ui, key, ink, role
        self._params: dict[str, object] = {}
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setFont(fonts.font(role))
        self.setWordWrap(wrap)
        if not wrap:
            self.setMinimumHeight(role.line)
        ui.theme_changed.connect(self._recolour)
        ui.language_changed.connect(self._translate)
        self._recolour()
        self._translate()

    def say(self, key: str, **params: object) -> None:
        """Show the sentence ``key`` of the catalogue."""
        self._key, self._params = key, params
        self._translate()

    def show_text(self, text: str) -> None:
        """Show text that is in no catalogue (a name, an address)."""
        self._key = ""
        self.setText(text)

    def set_ink(self, ink: str) -> None:
        """Change the colour."""
        self._ink = ink
        self._recolour()

    def _translate(self) -> None:
        if self._key:
            self.setText(self._ui.say(self._key, **self._params))

    def _recolour(self) -> None:
        palette = self.palette()
        palette.setColor(QPalette.ColorRole.WindowText, self._ui.theme[self._ink])
        self.setPalette(palette)


class ElidedLabel(QWidget):
    """One line that gives way: too long text ends in an ellipsis and is shown whole in the tooltip."""

    def __init__(self, ui: UiContext, role: Role, ink: str = "text") -> None:
        super().__init__()
        self._ui, self._role, self._ink, self._text = ui, role, ink, ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)

    def show_text(self, text: str, ink: str | None = None) -> None:
        """Show ``text``, in another colour if ``ink`` is given."""
        self._text, self._ink = text, ink or self._ink
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    @property
    def text(self) -> str:
        """The whole text."""
        return self._text

    def sizeHint(self) -> QSize:
        """Room for the whole text."""
        return QSize(round(fonts.metrics(self._role).horizontalAdvance(self._text)) + 2, self._role.line)

    def minimumSizeHint(self) -> QSize:
        """Room for an ellipsis."""
        return QSize(24, self._role.line)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Paint what fits."""
        painter = QPainter(self)
        painter.setFont(fonts.font(self._role))
        painter.setPen(self._ui.theme[self._ink])
        shown = fonts.metrics(self._role).elidedText(self._text, Qt.TextElideMode.ElideRight, self.width())
        self.setToolTip(self._text if shown != self._text else "")
        painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
