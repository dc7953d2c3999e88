"""The login page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import LoginRequest
from mensajeria.desktop.widgets.buttons import Button, Kind, LinkButton
from mensajeria.desktop.widgets.fields import Field, Helper, PasswordField
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.windows.forms import Page, ServerField
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice


class LoginPage(Page):
    """Server, name, password."""

    other_wanted = pyqtSignal()
    recover_wanted = pyqtSignal()
    link_wanted = pyqtSignal()
    erase_wanted = pyqtSignal()
    """What this computer keeps of an account that is signed out is to go."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, "login.title", "login.subtitle")
        self._session = session
        self.server = ServerField(ui, session, registering=False)
        self.handle = Field(ui, "auth.handle", "user")
        self.password = PasswordField(ui, "auth.password")
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.submit = Button(ui, "login.submit", Kind.PRIMARY, height=46, wide=True)
        for part in (self.server, self.handle, self.password, self.problem):
            self.column.addWidget(part)
        recover = LinkButton(ui, "login.recover")
        recover.clicked.connect(self.recover_wanted)
        link = LinkButton(ui, "login.link")
        link.clicked.connect(self.link_wanted)
        ways = QHBoxLayout()
        ways.addWidget(link)
        ways.addStretch()
        ways.addWidget(recover)
        self.column.addLayout(ways)
        self.column.addWidget(self.submit)
        self.column.addLayout(other_way(ui, "login.no_account", "login.create", self.other_wanted.emit))
        self.erase = LinkButton(ui, "log_out.erase_open", icon="trash", ink="danger")
        self.erase.clicked.connect(self.erase_wanted)
        self.erase.hide()
        self.column.addWidget(self.erase, 0, Qt.AlignmentFlag.AlignHCenter)
        self.submit.clicked.connect(self.send)
        for field in (self.server, self.handle, self.password):
            field.submitted.connect(self.send)
            field.edited.connect(self.problem.hide)
        session.busy_changed.connect(self._show_busy)
        session.auth_failed.connect(self._failed)

    def wipe(self) -> None:
        """Forget the password."""
        self.password.wipe()

    def set_kept(self, *, kept: bool) -> None:
        """Whether this computer keeps something of an account."""
        self.erase.setVisible(kept)

    def send(self) -> None:
        """Sign in, or put the focus on the first field that is empty."""
        for field in (self.server, self.handle, self.password):
            if not field.text.strip():
                field.fail("auth.missing")
                field.line.setFocus()
                return
            if field is not self.server:
                field.calm()
        password = Secret.from_text(self.password.text)
        handle = self.handle.text.strip().lower().removeprefix("@")
        self._session.sign_in(LoginRequest(self.server.address, handle, password))

    def _show_busy(self, busy: bool) -> None:
        self.submit.setEnabled(not busy)
        self.submit.say("login.busy" if busy else "login.submit")

    def _failed(self, error: ErrorNotice) -> None:
        if self.isVisible():
            self.problem.label.show_text(self.ui.translator.error(error.code, error.params))
            self.problem.show()
            self.password.line.selectAll()
            self.password.line.setFocus(Qt.FocusReason.OtherFocusReason)


def other_way(ui: UiContext, question: str, answer: str, act: Callable[[], None]) -> QHBoxLayout:
    """The line under a form that leads to the other one."""
    row = QHBoxLayout()
    row.setSpacing(5)
    row.addStretch()
    row.addWidget(Label(ui, question, fonts.PREVIEW, "text2"))
    link = LinkButton(ui, answer)
    link.clicked.connect(act)
    row.addWidget(link)
    row.addStretch()
    return row
