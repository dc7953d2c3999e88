"""The page on which the account moves to another identity, by its recovery code; what that means is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import RenewIdentity
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.facts import Facts
from mensajeria.desktop.widgets.fields import Field, PasswordField
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.windows.new_password import NewPassword
from mensajeria.desktop.windows.settings_page import AskingPage
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice

_UNSURE: Final = frozenset({"network", "timeout", "not_a_server", "tls"})
"""Errors after which nobody knows whether the server has done it."""


class RenewalPage(AskingPage):
    """Contacts and groups follow, all other devices are cut off. It cannot be taken back."""

    left = pyqtSignal()
    """The person goes back."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        handle = session.account.handle if session.account is not None else ""
        self.column.addWidget(Label(ui, "renewal.subtitle", fonts.BODY, "text2", wrap=True))
        facts = [
            ("users-three", "renewal.contacts"),
            ("chat-teardrop-text", "renewal.history"),
            ("laptop", "renewal.devices"),
            ("key", "renewal.code_stays"),
        ]
        self.column.addWidget(Facts(ui, facts, ink="warning"))
        self.old = PasswordField(ui, "account.old")
        self.chosen = NewPassword(ui, session, "account.new", lambda: handle)
        self.code = Field(ui, "recover.code", "key", "recover.code_hint")
        self.code.line.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self.form = QWidget()
        fields = QVBoxLayout(self.form)
        fields.setContentsMargins(0, 0, 0, 0)
        fields.setSpacing(12)
        for part in (self.old, *self.chosen.parts, self.code):
            fields.addWidget(part)
        self.column.addWidget(self.form)
        self.go = Button(ui, "renewal.submit", Kind.DANGER, wide=True)
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY, wide=True)
        self.column.addStretch(1)
        self.stand_below(self.outcome, self.go, self.cancel)
        self._wire()

    def _wire(self) -> None:
        self.go.clicked.connect(self.send)
        self.cancel.clicked.connect(self.left)
        for field in (self.old, self.chosen.repeat, self.code):
            field.submitted.connect(self.send)
        for field in (self.old, self.code):
            field.edited.connect(field.calm)

    def shown(self) -> None:
        """Begin with an empty form."""
        if self.busy:
            return
        self._wipe()
        self.outcome.hide()
        self._ready(done=False)
        self.old.line.setFocus(Qt.FocusReason.OtherFocusReason)

    def send(self) -> None:
        """Move, or put the focus on the field that is wrong."""
        if self.busy:
            return
        if (wrong := self._first_wrong()) is not None:
            wrong.line.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        code = Secret.from_text(self.code.text.strip())
        for button in (self.go, self.cancel):
            button.setEnabled(False)
        self.go.say("renewal.busy")
        self.ask(RenewIdentity(Secret.from_text(self.old.text), self.chosen.secret, code))

    def done(self, request: Request) -> None:  # noqa: ARG002 - it asks for one thing only
        """Forget what was typed; only the way back is left."""
        self._wipe()
        self._ready(done=True)
        self.tell("success", self.ui.say("renewal.done"))
        self.cancel.setFocus(Qt.FocusReason.OtherFocusReason)

    def failed(self, request: Request, error: ErrorNotice) -> None:
        """Said at the field that it is about; who cannot know whether it was done is told what to do."""
        self._ready(done=False)
        field: Field | None = {
            "bad_credentials": self.old,
            "recovery_invalid": self.code,
            "recovery_code_invalid": self.code,
            "weak_password": self.chosen.password,
        }.get(error.code)
        if field is not None:
            field.fail_text(
                self.ui.say("renewal.wrong_old") if field is self.old else self.ui.translator.error(error.code)
            )
            field.line.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        super().failed(request, error)
        if error.code in _UNSURE:
            self.tell("danger", f"{self.ui.translator.error(error.code)} {self.ui.say('renewal.unsure')}")

    def _first_wrong(self) -> Field | None:
        if not self.old.text:
            self.old.fail("auth.missing")
            return self.old
        if (wrong := self.chosen.first_wrong()) is not None:
            return wrong
        if not self.code.text.strip():
            self.code.fail("auth.missing")
            return self.code
        return None

    def _ready(self, *, done: bool) -> None:
        self.form.setVisible(not done)
        self.go.setVisible(not done)
        self.go.say("renewal.submit")
        self.cancel.say("action.close" if done else "action.cancel")
        for button in (self.go, self.cancel):
            button.setEnabled(True)

    def _wipe(self) -> None:
        self.old.wipe()
        self.chosen.wipe()
        self.code.line.clear()
        self.code.calm()
