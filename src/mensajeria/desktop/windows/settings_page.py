"""What the pages of the settings share: a column that scrolls, and requests whose end the page itself tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QEvent, Qt, pyqtSignal
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.fields import Helper
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.toggles import Switch

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice


_BESIDE: Final = 380
"""Buttons stand beside each other from this width on."""


class Foot(QWidget):
    """What stays in view below a page that scrolls: a word, and buttons, the first one at the right or on top."""

    resized = pyqtSignal()
    """It needs another height."""

    def __init__(self, page: QWidget, word: QWidget, buttons: Sequence[QWidget]) -> None:
        super().__init__(page)
        self._buttons = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._buttons.setSpacing(10)
        for button in buttons:
            self._buttons.addWidget(button, 1)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(4, 12, 12, 4)
        column.setSpacing(10)
        column.addWidget(word)
        column.addLayout(self._buttons)

    def height_at(self, width: int) -> int:
        """How high it is at this width."""
        wide = width >= _BESIDE
        self._buttons.setDirection(QBoxLayout.Direction.RightToLeft if wide else QBoxLayout.Direction.TopToBottom)
        layout = self._column
        return layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()

    def event(self, event: QEvent | None) -> bool:
        """A word came or went."""
        done = super().event(event)
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.resized.emit()
        return done


class SettingsPage(QScrollArea):
    """A page. Subclasses fill `column`."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self.ui = ui
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        self.column = QVBoxLayout(inside)
        self.column.setContentsMargins(4, 4, 12, 4)
        self.column.setSpacing(12)
        self.setWidget(inside)
        self._foot: Foot | None = None
        # The card below shows through: its ground is another one than the window's.
        for ground in (inside, present(self.viewport())):
            ground.setAutoFillBackground(False)

    def shown(self) -> None:
        """The page comes to the front: ask for what it shows."""

    def stand_below(self, word: QWidget, *buttons: QWidget) -> None:
        """Keep these in view, whatever scrolls above them."""
        self._foot = Foot(self, word, buttons)
        self._foot.resized.connect(self._place_foot)
        self._place_foot()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The foot stays at the bottom."""
        super().resizeEvent(event)
        self._place_foot()

    def _place_foot(self) -> None:
        if self._foot is not None:
            width = present(self.viewport()).width()
            height = self._foot.height_at(width)
            if self.viewportMargins().bottom() != height:
                self.setViewportMargins(0, 0, 0, height)
            self._foot.setGeometry(0, self.height() - height, width, height)

    def heading(self, key: str) -> None:
        """A title over a section."""
        self.column.addWidget(Label(self.ui, key, fonts.LABEL, "text2"))

    def text(self, key: str) -> Label:
        """A paragraph."""
        made = Label(self.ui, key, fonts.PREVIEW, "text2", wrap=True)
        self.column.addWidget(made)
        return made

    def switch(self, title: str, text: str) -> Switch:
        """A switch with its title and a line of what it does."""
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(Label(self.ui, title, fonts.BODY_MEDIUM, wrap=True))
        words.addWidget(Label(self.ui, text, fonts.CAPTION, "text2", wrap=True))
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addLayout(words, 1)
        switch = Switch(self.ui, title)
        row.addWidget(switch)
        self.column.addLayout(row)
        return switch


class AskingPage(SettingsPage):
    """A page that asks; `outcome` says how its last request ended."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui)
        self.session = session
        self.outcome = Helper(ui)
        self.outcome.hide()
        self._running: list[Request] = []
        session.asks.answered.connect(self.answered)
        session.asks.finished.connect(self._finished)

    @property
    def busy(self) -> bool:
        """A request of this page runs."""
        return bool(self._running)

    def ask(self, request: Request) -> None:
        """Ask, and tell how it ends."""
        self.outcome.hide()
        self._running.append(request)
        self.session.asks.ask(request)

    def answered(self, answer: object) -> None:
        """Something to show has come; it may be for somebody else."""

    def done(self, request: Request) -> None:
        """A request of this page has succeeded."""

    def failed(self, request: Request, error: ErrorNotice) -> None:  # noqa: ARG002 - for those that look at it
        """A request of this page has failed: said under the form."""
        self.tell("danger", self.ui.translator.error(error.code, error.params))

    def tell(self, ink: str, sentence: str) -> None:
        """A word about the last request: ``danger`` or ``success``."""
        self.outcome.set_ink(ink)
        self.outcome.label.show_text(sentence)
        self.outcome.setAccessibleName(sentence)
        self.outcome.show()

    def _finished(self, request: object, error: ErrorNotice | None) -> None:
        mine = next((one for one in self._running if one is request), None)
        if mine is None:
            return
        self._running = [one for one in self._running if one is not mine]
        if error is None:
            self.done(mine)
        else:
            self.failed(mine, error)
