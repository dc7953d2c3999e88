"""The page for people who have lost their password and kept their recovery code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, pyqtSignal

from mensajeria.desktop.viewmodels.types import RecoverRequest
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.fields import Field, Helper
from mensajeria.desktop.windows.code_page import CodePage
from mensajeria.desktop.windows.forms import ServerField
from mensajeria.desktop.windows.login import other_way
from mensajeria.desktop.windows.new_password import NewPassword
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel

CODE_LETTERS: Final = 33
"""Letters and digits of a recovery code, its check character too."""
_OF_THE_CODE: Final = frozenset({"recovery_code_invalid", "recovery_invalid"})


class RecoverPage(CodePage):
    """Server, name, recovery code, new password."""

    other_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, "recover.title", "recover.subtitle")
        self._session = session
        self.column.setSpacing(10)
        self.server = ServerField(ui, session, registering=False)
        self.handle = Field(ui, "auth.handle", "user")
        self.code = Field(ui, "recover.code", "lock-key", "recover.code_hint")
        self.code.line.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self.chosen = NewPassword(ui, session, "recover.password", lambda: self.name)
        self.password = self.chosen.password
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.submit = Button(ui, "recover.submit", Kind.PRIMARY, height=46, wide=True)
        fields = (self.server, self.handle, self.code, self.chosen.password, self.chosen.repeat)
        above = (self.server, self.handle, self.code, *self.chosen.parts)
        for part in (*above, InfoCard(ui, "recover.advice"), self.problem, self.submit):
            self.column.addWidget(part)
        self.column.addLayout(other_way(ui, "recover.back", "register.login", self.other_wanted.emit))
        self.submit.clicked.connect(self.send)
        for field in fields:
            field.submitted.connect(self.send)
            field.edited.connect(self.problem.hide)
        self.handle.edited.connect(self.handle.calm)
        self.code.edited.connect(self.code.calm)
        self.follow(session, ready="recover.submit", busy="recover.busy", of_the_code=_OF_THE_CODE)

    @property
    def name(self) -> str:
        """The name as the server knows it."""
        return self.handle.text.strip().lower().removeprefix("@")

    def wipe(self) -> None:
        """Forget code and password."""
        self.code.line.clear()
        self.chosen.wipe()

    def send(self) -> None:
        """Ask for the new password if every field is right, else lead to the first that is not."""
        wrong = self._first_wrong()
        if wrong is not None:
            wrong.line.setFocus()
            return
        code = Secret.from_text(self.code.text.strip())
        self._session.recover(RecoverRequest(self.server.address, self.name, code, self.chosen.secret))

    def _first_wrong(self) -> Field | None:
        for field in (self.server, self.handle, self.code):
            if not field.text.strip():
                field.fail("auth.missing")
                return field
        if sum(not char.isspace() and char != "-" for char in self.code.text) != CODE_LETTERS:
            self.code.fail("recover.code_wrong")
            return self.code
        return self.chosen.first_wrong()
