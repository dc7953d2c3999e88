"""The page of what others are let notice: read receipts, typing, presence; and of who is blocked.

Both hold on all devices of the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtWidgets import QVBoxLayout

from mensajeria.desktop.viewmodels.asking import (
    Blocked,
    BlockMoved,
    LoadBlocked,
    LoadPrivacy,
    NewChatsTimerIs,
    PrivacyIs,
    SetBlocked,
    SetNewChatsTimer,
    SetPrivacy,
)
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.people import PersonRow
from mensajeria.desktop.widgets.timer_chips import TimerChips
from mensajeria.desktop.windows.settings_page import AskingPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice, Person
    from mensajeria.desktop.widgets.toggles import Switch

NAMES: Final = ("read_receipts", "typing", "presence")


class PrivacyPage(AskingPage):
    """Three switches; each shows what is in force, not what was pressed."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.text("privacy.text")
        self.switches: dict[str, Switch] = {}
        for name in NAMES:
            switch = self.switch(f"privacy.{name}", f"privacy.{name}_text")
            switch.setEnabled(False)
            switch.clicked.connect(lambda on, wanted=name: self.ask(SetPrivacy(wanted, on)))
            self.switches[name] = switch
        self.column.addWidget(self.outcome)
        self.heading("privacy.new_chats")
        self.text("privacy.new_chats_text")
        self.timers = TimerChips(ui)
        self.timers.chosen.connect(lambda seconds: self.ask(SetNewChatsTimer(seconds)))
        self.column.addWidget(self.timers)
        self.heading("privacy.requests")
        self.column.addWidget(InfoCard(ui, "privacy.requests_text", icon="shield-check"))
        self.heading("privacy.blocked")
        self.nobody = self.text("privacy.nobody_blocked")
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        self.column.addLayout(self._list)
        self.rows: list[PersonRow] = []
        self.column.addStretch(1)
        self._known = PrivacyIs()
        self._timer_s = 0

    def shown(self) -> None:
        """Ask what is in force."""
        self.ask(LoadPrivacy())
        self.ask(LoadBlocked())

    def answered(self, answer: object) -> None:
        """What is in force."""
        if isinstance(answer, PrivacyIs):
            self._known = answer
            self._show()
        elif isinstance(answer, NewChatsTimerIs):
            self._timer_s = answer.seconds
            self.timers.show_length(answer.seconds)
        elif isinstance(answer, Blocked):
            self._show_blocked(answer)
        elif isinstance(answer, BlockMoved) and self.isVisible():
            self.ask(LoadBlocked())

    def failed(self, request: Request, error: ErrorNotice) -> None:
        """The switch goes back to what is in force."""
        super().failed(request, error)
        self._show()
        if isinstance(request, SetNewChatsTimer):
            self.timers.show_length(self._timer_s)

    def _show_blocked(self, answer: Blocked) -> None:
        for row in self.rows:
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [self._blocked(person) for person in answer.people]
        for row in self.rows:
            self._list.addWidget(row)
        self.nobody.setVisible(not self.rows)

    def _blocked(self, person: Person) -> PersonRow:
        row = PersonRow(self.ui, person)
        undo = Button(self.ui, "info.unblock", Kind.SECONDARY, height=34)
        undo.setAccessibleName(f"{undo.text()}: {person.shown_name}")
        undo.clicked.connect(lambda: self.ask(SetBlocked(person.handle, on=False)))
        row.row.addWidget(undo)
        return row

    def _show(self) -> None:
        for name, switch in self.switches.items():
            switch.setChecked(getattr(self._known, name))
            switch.setEnabled(True)
