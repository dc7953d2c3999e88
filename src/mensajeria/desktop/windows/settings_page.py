"""What the pages of the settings share: a column that scrolls, and requests whose end the page itself tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

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
        # The card below shows through: its ground is another one than the window's.
        for ground in (inside, present(self.viewport())):
            ground.setAutoFillBackground(False)

    def shown(self) -> None:
        """The page comes to the front: ask for what it shows."""

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
