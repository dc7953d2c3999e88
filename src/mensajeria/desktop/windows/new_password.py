"""The part of a form in which a person chooses a password: the field, its strength, and the repetition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, QTimer

from mensajeria.desktop.widgets.fields import Field, Meter, PasswordField
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import PasswordStrength

_STRENGTH_MS = 150


class NewPassword(QObject):
    """Three widgets for a form's column; `name` tells the user name that the password must not contain."""

    def __init__(self, ui: UiContext, session: SessionModel, label: str, name: Callable[[], str]) -> None:
        self.password = PasswordField(ui, label)
        super().__init__(self.password)  # goes when the form goes, and its connections with it
        self._session, self._name, self._accepted = session, name, False
        self.meter = Meter(ui)
        self.repeat = PasswordField(ui, "register.repeat", confirm=True)
        self.parts = (self.password, self.meter, self.repeat)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_STRENGTH_MS)
        self._timer.timeout.connect(self._check)
        self.password.edited.connect(self._edited)
        self.repeat.edited.connect(self._compare)
        session.password_checked.connect(self._answered)

    @property
    def secret(self) -> Secret:
        """What was typed."""
        return Secret.from_text(self.password.text)

    def first_wrong(self) -> Field | None:
        """The field that must be mended, told so; None when the password may be used."""
        if not self._accepted:
            self.password.fail("password.too_weak" if self.password.text else "auth.missing")
            return self.password
        if self.repeat.text != self.password.text:
            self.repeat.fail("register.differs")
            return self.repeat
        return None

    def wipe(self) -> None:
        """Forget what was typed."""
        self._accepted = False
        self.password.wipe()
        self.repeat.wipe()
        self.meter.clear()

    def _edited(self) -> None:
        self._accepted = False
        self.password.calm()
        self._timer.start()
        self._compare()

    def _check(self) -> None:
        if self.password.text:
            self._session.check_password(self.secret, self._name())
        else:
            self.meter.clear()

    def _answered(self, strength: PasswordStrength) -> None:
        if self.password.text and self.password.isVisible():
            self._accepted = strength.accepted
            self.meter.show_score(strength.score, strength.advice)

    def _compare(self) -> None:
        same = bool(self.repeat.text) and self.repeat.text == self.password.text
        self.repeat.set_matching(same)
        if same or not self.repeat.text or self.password.text.startswith(self.repeat.text):
            self.repeat.calm()
        else:
            self.repeat.fail("register.differs")
