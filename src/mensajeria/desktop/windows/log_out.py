"""Leaving the account on this computer, or on all devices: what stays and what stops is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import BackupInfo, LoadBackup, LogOut
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Kind
from mensajeria.desktop.widgets.fields import Helper
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.toggles import CheckBox
from mensajeria.desktop.windows.group_dialogs import AskingDialog

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel


class LogOutDialog(AskingDialog):
    """Needs the server: a login that the server does not end would live on there."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget) -> None:
        super().__init__(ui, session, host, "log_out.title", "log_out.submit")
        self.everywhere = CheckBox(ui, "log_out.everywhere")
        self.erase = CheckBox(ui, "log_out.erase")
        self.kept = InfoCard(ui, "log_out.kept")
        self.erased = InfoCard(ui, "log_out.erased", ink="danger", icon="trash")
        self.erased.hide()
        self.unsaved = Helper(ui)
        self.unsaved.set_ink("danger")
        self.unsaved.hide()
        column = self.card.column
        column.addWidget(Label(ui, "log_out.text", fonts.BODY, "text2", wrap=True))
        column.addWidget(self.kept)
        column.addWidget(self.erased)
        column.addWidget(self.unsaved)
        column.addWidget(self.everywhere)
        column.addWidget(self.erase)
        self.close_column()
        self.erase.toggled.connect(self._choose)
        session.asks.answered.connect(self._answered)

    def present(self, first: QWidget | None = None) -> None:
        """Show, and ask whether everything is in the backup."""
        super().present(first)
        self.session.asks.ask(LoadBackup())

    def request(self) -> Request:
        """The end of this login, or of all."""
        return LogOut(everywhere=self.everywhere.isChecked(), erase=self.erase.isChecked())

    def done(self) -> None:
        """To the login page."""
        self.session.sign_in_again()

    def _choose(self, erase: bool) -> None:
        """Say what happens to what is stored here."""
        self.kept.setVisible(not erase)
        self.erased.setVisible(erase)
        self.go.set_kind(Kind.DANGER if erase else Kind.PRIMARY)
        self.go.say("log_out.erase_submit" if erase else "log_out.submit")
        self.refit()

    def _answered(self, answer: object) -> None:
        """Keys that only this computer has: whoever throws it away now loses messages."""
        if isinstance(answer, BackupInfo) and answer.pending:
            words = self.ui.say("log_out.unsaved", count=answer.pending)
            self.unsaved.label.show_text(words)
            self.unsaved.setAccessibleName(words)
            self.unsaved.show()
            self.refit()
