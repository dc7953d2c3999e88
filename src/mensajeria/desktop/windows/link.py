"""The page on which a new device takes the code that another device of the account shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, pyqtSignal

from mensajeria.desktop.viewmodels.types import CheckState, LinkRequest
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.fields import Field, Helper, PasswordField
from mensajeria.desktop.windows.code_page import CodePage
from mensajeria.desktop.windows.login import other_way
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import LinkCheck

CODE_MAX: Final = 8192
"""Characters; a code with a long address and line breaks stays far below."""
_OF_THE_CODE: Final = frozenset({"link_code_invalid", "server_changed", "identity_swapped"})


class LinkPage(CodePage):
    """The code, and the account's password: only that unwraps what signs the new device."""

    other_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, "link_device.title", "link_device.subtitle")
        self._session = session
        self._good = False
        self.code = Field(ui, "link_device.code", "qr-code", "link_device.code_hint")
        self.code.line.setMaxLength(CODE_MAX)
        self.code.line.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self.password = PasswordField(ui, "auth.password")
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.submit = Button(ui, "link_device.submit", Kind.PRIMARY, height=46, wide=True)
        for part in (self.code, self.password, InfoCard(ui, "link_device.advice"), self.problem, self.submit):
            self.column.addWidget(part)
        self.column.addLayout(other_way(ui, "link_device.back", "register.login", self.other_wanted.emit))
        self.submit.clicked.connect(self.send)
        for field in (self.code, self.password):
            field.submitted.connect(self.send)
            field.edited.connect(self.problem.hide)
        self.password.edited.connect(self.password.calm)
        self.code.line.textChanged.connect(self._check)
        session.link_checked.connect(self._answered)
        self.follow(session, ready="link_device.submit", busy="link_device.busy", of_the_code=_OF_THE_CODE)

    def wipe(self) -> None:
        """Forget code and password."""
        self.code.line.clear()
        self.password.wipe()

    def send(self) -> None:
        """Link if both fields are right, else lead to the first that is not."""
        for field in (self.code, self.password):
            if not field.text.strip():
                field.fail("auth.missing")
                field.line.setFocus()
                return
        if not self._good:
            self.code.line.setFocus()
            return
        code = Secret.from_text(self.code.text.strip())
        self._session.sign_in(LinkRequest(code, Secret.from_text(self.password.text)))

    def _check(self, text: str) -> None:
        self._good = False
        self.code.calm()
        if text.strip():
            self._session.check_link(Secret.from_text(text.strip()))

    def _answered(self, check: LinkCheck) -> None:
        if not self.code.text.strip():
            return
        self._good = check.state is CheckState.OK
        if self._good:
            self.code.succeed("link_device.code_ok", handle=check.handle, server=check.server.split("://")[-1])
        else:
            self.code.fail_text(self.ui.translator.error(check.error))
