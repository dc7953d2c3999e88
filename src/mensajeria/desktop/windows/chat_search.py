"""Search inside the open chat: asks, walks through what was found, and has the timeline show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal

from mensajeria.desktop.viewmodels.asking import ChatFound, SearchChat
from mensajeria.desktop.viewmodels.finding import FOUND_MAX, words_of
from mensajeria.desktop.widgets.find_bar import FindBar

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.widgets.timeline_view import TimelineView

_SETTLE_MS: Final = 150
"""Letters that are typed faster are searched for together."""


class ChatSearch(QObject):
    """Owns the bar. The results are places of the open chat, the newest first, and one of them is the current one."""

    closed = pyqtSignal()
    """The bar is gone: the focus belongs elsewhere."""

    def __init__(self, ui: UiContext, session: SessionModel, timeline: TimelineView) -> None:
        super().__init__(timeline)
        self._ui, self._session, self._timeline = ui, session, timeline
        self.bar = FindBar(ui)
        self._found: tuple[int, ...] = ()
        self._whole = True
        self._at = -1
        self._asked = self._answered = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self._ask)
        self.bar.edited.connect(self._edited)
        self.bar.step_wanted.connect(self.step)
        self.bar.closed.connect(self.close)
        session.asks.answered.connect(self._take)
        session.current_changed.connect(self._moved)
        session.current_row_changed.connect(self._changed)
        session.timeline.rowsRemoved.connect(self._changed)
        ui.language_changed.connect(self._tell)

    @property
    def is_open(self) -> bool:
        """Whether the bar is there."""
        return not self.bar.isHidden()

    def open(self) -> None:
        """Show the bar, what was typed before selected."""
        if self._session.current:
            self.bar.show()
            self.bar.search.line.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.bar.search.line.selectAll()
            self._tell()

    def close(self) -> None:
        """Away with the bar and the marks."""
        if self.is_open:
            self._forget()
            self.closed.emit()

    def step(self, step: int) -> None:
        """Show the next older (+1) or newer (-1) result; behind the last one comes the first."""
        if self.bar.search.line.text().strip() and self._timer.isActive():
            self._timer.stop()
            self._ask()
        elif self._found:
            self._at = (self._at + step) % len(self._found)
            self._show()

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _moved(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._asked = self._answered = ""
        self._found, self._at = (), -1
        self.bar.hide()
        self.bar.search.line.clear()
        self._timeline.mark((), None)

    def _edited(self, text: str) -> None:
        if text.strip():
            self._timer.start()
        elif self.is_open:
            self._timer.stop()
            self._asked = self._answered = ""
            self._found, self._at = (), -1
            self._timeline.mark((), None)
            self._tell()

    def _changed(self) -> None:
        """Messages have come or gone: what was found may not be all of it any more."""
        if self.is_open and self._asked and not self._timer.isActive():
            self._timer.start()

    def _ask(self) -> None:
        self._asked = self.bar.search.line.text().strip()
        if self._asked and self._session.current:
            self._session.asks.ask(SearchChat(self._session.current, self._asked))

    def _take(self, answer: object) -> None:
        if not isinstance(answer, ChatFound) or not self.is_open:
            return
        if (answer.chat_id, answer.text) != (self._session.current, self._asked):
            return
        again, former = answer.text == self._answered, self._found[self._at] if self._found else None
        self._answered, self._found, self._whole = answer.text, answer.positions, answer.whole
        if again and former in self._found:  # the same words: the person stays where they are
            self._at = self._found.index(former)
            self._mark()
            return
        self._at = 0 if self._found else -1
        self._show()

    def _show(self) -> None:
        """Go to the current result, in the window or beyond it."""
        self._mark()
        if self._at < 0:
            return
        position = self._found[self._at]
        place = self._session.timeline.find_position(position)
        if place >= 0:
            self._timeline.show_row(place)
        else:
            self._session.messages.jump_to(position)

    def _mark(self) -> None:
        self._timeline.mark(words_of(self._answered), self._found[self._at] if self._found else None)
        self._tell()

    def _tell(self) -> None:
        say = self._ui.say
        if not self._answered:
            words = ""
        elif not self._found:
            words = say("find.nothing")
        elif self._whole:
            words = say("find.count", at=self._at + 1, all=len(self._found))
        else:
            words = say("find.count_more", at=self._at + 1, all=FOUND_MAX)
        self.bar.tell(words, may_step=len(self._found) > 1)
