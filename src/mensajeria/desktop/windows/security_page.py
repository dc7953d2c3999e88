"""The page of what protects the account: password, recovery code, and the way to another identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal

from mensajeria.desktop.viewmodels.asking import ChangePassword
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.fields import Field, PasswordField
from mensajeria.desktop.windows.new_password import NewPassword
from mensajeria.desktop.windows.settings_page import AskingPage
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel


class SecurityPage(AskingPage):
    """Another password; what the recovery code is for; whoever fears for the account is led on."""

    renewal_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        handle = session.account.handle if session.account is not None else ""
        self.heading("account.password")
        self.text("account.password_text")
        self.old = PasswordField(ui, "account.old")
        self.column.addWidget(self.old)
        self.chosen = NewPassword(ui, session, "account.new", lambda: handle)
        for part in self.chosen.parts:
            self.column.addWidget(part)
        self.code = Field(ui, "devices.code", "key", "devices.code_hint")
        self.column.addWidget(self.code)
        self.go = Button(ui, "account.change")
        self.column.addWidget(self.go)
        self.column.addWidget(self.outcome)
        self.heading("account.recovery")
        self.column.addWidget(InfoCard(ui, "account.recovery_text", icon="key"))
        self.heading("renewal.title")
        self.text("renewal.subtitle")
        self.renew = Button(ui, "renewal.open", Kind.SECONDARY, icon="identification-card")
        self.renew.clicked.connect(self.renewal_wanted)
        self.column.addWidget(self.renew, 0, Qt.AlignmentFlag.AlignLeft)
        self.column.addStretch(1)
        self.go.clicked.connect(self.send)
        self.chosen.repeat.submitted.connect(self.send)
        self.old.edited.connect(lambda _text: self.old.calm())

    def send(self) -> None:
        """Change the password, or put the focus on the field that is wrong."""
        if self.busy:
            return
        if not self.old.text:
            self.old.fail("auth.missing")
            self.old.line.setFocus()
            return
        if (wrong := self.chosen.first_wrong()) is not None:
            wrong.line.setFocus()
            return
        code = Secret.from_text(self.code.text.strip()) if self.code.text.strip() else None
        self.go.setEnabled(False)
        self.ask(ChangePassword(Secret.from_text(self.old.text), self.chosen.secret, code))

    def done(self, request: Request) -> None:  # noqa: ARG002 - it asks for one thing only
        """Forget what was typed."""
        self.old.wipe()
        self.chosen.wipe()
        self.code.line.clear()
        self.tell("success", self.ui.say("account.changed"))

    def tell(self, ink: str, sentence: str) -> None:
        """A failure can be tried again."""
        self.go.setEnabled(True)
        super().tell(ink, sentence)
