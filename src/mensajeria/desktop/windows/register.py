"""The registration page.

A name that is checked live, a password with its strength, an invite where the server wants one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal

from mensajeria.desktop.viewmodels.types import CheckState, RegisterRequest
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.fields import Field, Helper
from mensajeria.desktop.windows.forms import CHECK_MS, Page, ServerField
from mensajeria.desktop.windows.login import other_way
from mensajeria.desktop.windows.new_password import NewPassword

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice, NameCheck


class RegisterPage(Page):
    """Server, name, password twice, invite."""

    other_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, "register.title", "register.subtitle")
        self._session = session
        self.column.setSpacing(10)
        self.server = ServerField(ui, session, registering=True)
        self.handle = Field(ui, "register.handle", "at")
        self.chosen = NewPassword(ui, session, "auth.password", lambda: self.name)
        self.password, self.meter, self.repeat = self.chosen.parts
        self.invite = Field(ui, "register.invite", "ticket")
        self.invite.hide()
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.submit = Button(ui, "register.submit", Kind.PRIMARY, height=46, wide=True)
        parts = (self.server, self.invite, self.handle, self.password, self.meter, self.repeat)
        for part in (*parts, InfoCard(ui, "register.advice"), self.problem, self.submit):
            self.column.addWidget(part)
        self.column.addLayout(other_way(ui, "register.have_account", "register.login", self.other_wanted.emit))
        self._name_timer = QTimer(self)
        self._wire()

    def _wire(self) -> None:
        self._name_timer.setSingleShot(True)
        self._name_timer.setInterval(CHECK_MS)
        self._name_timer.timeout.connect(self._check_name)
        self.handle.edited.connect(self._name_edited)
        self.server.checked.connect(self._show_invite)
        self.submit.clicked.connect(self.send)
        for field in (self.server, self.handle, self.password, self.repeat, self.invite):
            field.submitted.connect(self.send)
            field.edited.connect(self.problem.hide)
        self._session.name_checked.connect(self._name_answered)
        self._session.busy_changed.connect(self._show_busy)
        self._session.auth_failed.connect(self._failed)

    @property
    def name(self) -> str:
        """The name as the server knows it."""
        return self.handle.text.strip().lower().removeprefix("@")

    def send(self) -> None:
        """Create the account if every field is right, else lead to the first that is not."""
        wrong = self._first_wrong()
        if wrong is not None:
            wrong.line.setFocus()
            return
        request = RegisterRequest(self.server.address, self.name, self.chosen.secret, self.invite.text.strip())
        self._session.sign_in(request)

    def _first_wrong(self) -> Field | None:
        if not self.server.address:
            self.server.fail("auth.missing")
            return self.server
        if self.invite.isVisible() and not self.invite.text.strip():
            self.invite.fail("auth.missing")
            return self.invite
        if not self.name:
            self.handle.fail("auth.missing")
            return self.handle
        if self._session.name_check.state is CheckState.BAD and self._session.name_check.handle == self.name:
            return self.handle
        return self.chosen.first_wrong()

    def _name_edited(self) -> None:
        self.handle.calm()
        self._name_timer.start()

    def wipe(self) -> None:
        """Forget the password."""
        self.chosen.wipe()

    def _check_name(self) -> None:
        self._session.check_name(self.server.address, self.name)

    def _name_answered(self, check: NameCheck) -> None:
        if check.handle != self.name:
            return
        if check.state is CheckState.OK:
            self.handle.succeed("register.handle_free")
        elif check.state is CheckState.BAD and len(check.suggestions) > 1:
            self.handle.fail("register.handle_taken", first=check.suggestions[0], second=check.suggestions[1])
        elif check.state is CheckState.BAD:
            self.handle.fail_text(self.ui.translator.error(check.error))

    def _show_invite(self) -> None:
        check = self._session.server_check
        self.invite.setVisible(check.state is CheckState.OK and not check.registration_open)

    def _show_busy(self, busy: bool) -> None:
        self.submit.setEnabled(not busy)
        self.submit.say("register.busy" if busy else "register.submit")

    def _failed(self, error: ErrorNotice) -> None:
        if not self.isVisible():
            return
        sentence = self.ui.translator.error(error.code, error.params)
        field = {
            "handle_taken": self.handle,
            "handle_invalid": self.handle,
            "invite_required": self.invite,
            "invite_invalid": self.invite,
        }.get(error.code)
        if field is None:
            self.problem.label.show_text(sentence)
            self.problem.show()
            return
        field.show()
        field.fail_text(sentence)
        field.line.setFocus()
