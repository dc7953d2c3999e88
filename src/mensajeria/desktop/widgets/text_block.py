"""A laid out paragraph of message text: fixed line pitch, styled stretches, links that can be hit."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QTextCharFormat, QTextLayout, QTextOption

from mensajeria.desktop.qt import utf16_offset
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.finding import stretches
from mensajeria.desktop.widgets.markup import Style

if TYPE_CHECKING:
    from PyQt6.QtGui import QPainter

    from mensajeria.desktop.theme.fonts import Role
    from mensajeria.desktop.widgets.markup import Marked, Span

_LINE_SEPARATOR = "\u2028"


class Inks:
    """Colours of one side's bubbles."""

    __slots__ = ("code", "link", "text")

    def __init__(self, text: QColor, link: QColor, code: QColor) -> None:
        self.text, self.link, self.code = text, link, code


class Marks(NamedTuple):
    """What was searched for, folded, and how it is painted."""

    words: tuple[str, ...]
    ground: QColor
    ink: QColor


class TextBlock:
    """Text broken into lines of at most ``width`` px; ``height`` and ``widest`` say what it takes."""

    def __init__(self, marked: Marked, role: Role, width: float, inks: Inks) -> None:
        self.role = role
        self.height = 0.0
        self.widest = 0.0
        self.last_width = 0.0
        self._ink = inks.text
        self._marks: tuple[tuple[str, ...], list[tuple[int, int]]] | None = None
        text = marked.text.replace("\n", _LINE_SEPARATOR)
        self._links = [
            (utf16_offset(text, span.start), utf16_offset(text, span.end), span.url)
            for span in marked.spans
            if span.style is Style.LINK
        ]
        self._layout = QTextLayout(text, fonts.font(role))
        self._layout.setCacheEnabled(True)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._layout.setTextOption(option)
        if marked.spans:
            self._layout.setFormats([_format(text, span, role, inks) for span in marked.spans])
        self._break(width)

    def _break(self, width: float) -> None:
        self._layout.beginLayout()
        base = fonts.baseline(self.role)
        while (line := self._layout.createLine()).isValid():
            line.setLineWidth(width)
            # Positioned by the baseline: an emoji or code in the line never changes the pitch.
            line.setPosition(QPointF(0, self.height + base - line.ascent()))
            self.last_width = line.naturalTextWidth()
            self.widest = max(self.widest, self.last_width)
            self.height += self.role.line
        self._layout.endLayout()
        self.widest, self.last_width = ceil(self.widest), ceil(self.last_width)

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self._layout.lineCount()

    def draw(self, painter: QPainter, at: QPointF, marks: Marks | None = None) -> None:
        """Paint with the first line's top left corner at ``at``; what was searched for on a ground of its own."""
        painter.setPen(self._ink)
        self._layout.draw(painter, at, self._marked(marks) if marks is not None else [])

    def _marked(self, marks: Marks) -> list[QTextLayout.FormatRange]:
        if self._marks is None or self._marks[0] != marks.words:
            text = self._layout.text()
            self._marks = (
                marks.words,
                [(utf16_offset(text, start), utf16_offset(text, end)) for start, end in stretches(text, marks.words)],
            )
        style = QTextCharFormat()
        style.setBackground(marks.ground)
        style.setForeground(marks.ink)
        return [_range(start, end, style) for start, end in self._marks[1]]

    def link_at(self, point: QPointF) -> str:
        """Address of the link under ``point`` (relative to the block's corner), or empty."""
        if not self._links or not 0 <= point.y() < self.height:
            return ""
        line = self._layout.lineAt(int(point.y() // self.role.line))
        if not line.isValid() or not 0 <= point.x() <= line.naturalTextWidth():
            return ""
        cursor = line.xToCursor(point.x())
        return next((url for start, end, url in self._links if start <= cursor <= end), "")


def _format(text: str, span: Span, role: Role, inks: Inks) -> QTextLayout.FormatRange:
    style = QTextCharFormat()
    if span.style is Style.LINK:
        style.setForeground(inks.link)
        style.setFontUnderline(True)
    elif span.style is Style.BOLD:
        style.setFontWeight(QFont.Weight.DemiBold)
    else:
        style.setFontFamilies([fonts.CODE_FAMILY])
        style.setProperty(QTextCharFormat.Property.FontPixelSize, role.size - 1)
        style.setBackground(inks.code)
    return _range(utf16_offset(text, span.start), utf16_offset(text, span.end), style)


def _range(start: int, end: int, style: QTextCharFormat) -> QTextLayout.FormatRange:
    made = QTextLayout.FormatRange()
    made.start, made.length, made.format = start, end - start, style
    return made


def elide(text: str, role: Role, width: float) -> str:
    """One line of ``text`` that fits ``width`` px."""
    metrics: QFontMetricsF = fonts.metrics(role)
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)
