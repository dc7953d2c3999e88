"""The page for people who have lost their password and kept their recovery code, and what it shares with `reset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from PyQt6.QtWidgets import QWidget

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import SignIn

CODE_LETTERS: Final = 33
"""Letters and digits of a recovery code, its check character too."""
_OF_THE_CODE: Final = frozenset({"recovery_code_invalid", "recovery_invalid"})


class Words(NamedTuple):
    """Keys of what a page says."""

    title: str
    subtitle: str
    code: str
    code_hint: str
    submit: str
    busy: str


class ByCodePage(CodePage):
    """Server, name, a code, a new password. Subclasses say what the code is, and what is asked for with it."""

    other_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel, words: Words, kind: Kind = Kind.PRIMARY) -> None:
        super().__init__(ui, words.title, words.subtitle)
        self._session, self._keys = session, words
        self.column.setSpacing(10)
        self.server = ServerField(ui, session, registering=False)
        self.handle = Field(ui, "auth.handle", "user")
        self.code = Field(ui, words.code, "lock-key", words.code_hint)
        self.code.line.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self.chosen = NewPassword(ui, session, "recover.password", lambda: self.name)
        self.password = self.chosen.password
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.submit = Button(ui, words.submit, kind, height=46, wide=True)

    def build(self, advice: Sequence[QWidget], of_the_code: AbstractSet[str]) -> None:
        """Put the parts into the column, `advice` between fields and button. `of_the_code`: errors said under it."""
        above = (self.server, self.handle, self.code, *self.chosen.parts)
        for part in (*above, *advice, self.problem, self.submit):
            self.column.addWidget(part)
        self.submit.clicked.connect(self.send)
        for field in (self.server, self.handle, self.code, self.chosen.password, self.chosen.repeat):
            field.submitted.connect(self.send)
            field.edited.connect(self.problem.hide)
        self.handle.edited.connect(self.handle.calm)
        self.code.edited.connect(self.code.calm)
        self.follow(self._session, ready=self._keys.submit, busy=self._keys.busy, of_the_code=of_the_code)

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
        wrong = self.first_wrong()
        if wrong is not None:
            wrong.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self._session.sign_in(self.request(Secret.from_text(self.code.text.strip())))

    def request(self, code: Secret) -> SignIn:
        """What is asked for."""
        raise NotImplementedError

    def first_wrong(self) -> QWidget | None:
        """Where the first thing is mended that is not right, told so."""
        for field in (self.server, self.handle, self.code):
            if not field.text.strip():
                field.fail("auth.missing")
                return field.line
        wrong = self.chosen.first_wrong()
        return None if wrong is None else wrong.line


class RecoverPage(ByCodePage):
    """By the recovery code."""

    reset_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        words = Words(
            title="recover.title",
            subtitle="recover.subtitle",
            code="recover.code",
            code_hint="recover.code_hint",
            submit="recover.submit",
            busy="recover.busy",
        )
        super().__init__(ui, session, words)
        self.build([InfoCard(ui, "recover.advice")], _OF_THE_CODE)
        self.column.addLayout(other_way(ui, "recover.back", "register.login", self.other_wanted.emit))
        self.column.addLayout(other_way(ui, "recover.no_code", "reset.submit", self.reset_wanted.emit))

    def request(self, code: Secret) -> SignIn:
        """A new password."""
        return RecoverRequest(self.server.address, self.name, code, self.chosen.secret)

    def first_wrong(self) -> QWidget | None:
        """A code with a letter too few is not sent."""
        typed = self.code.text.strip()
        if typed and sum(not char.isspace() and char != "-" for char in typed) != CODE_LETTERS:
            self.code.fail("recover.code_wrong")
            return self.code.line
        return super().first_wrong()
