"""What the two sign-in pages that take a code share: the button while it runs, and where a failure is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt

from mensajeria.desktop.windows.forms import Page

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice
    from mensajeria.desktop.widgets.buttons import Button
    from mensajeria.desktop.widgets.fields import Field, Helper


class CodePage(Page):
    """Subclasses make the three parts and call `follow`."""

    code: Field
    problem: Helper
    submit: Button

    def follow(self, session: SessionModel, *, ready: str, busy: str, of_the_code: AbstractSet[str]) -> None:
        """Show how a sign-in goes. `ready`, `busy`: the button's words; `of_the_code`: errors said under the code."""
        self._words, self._of_the_code = {False: ready, True: busy}, of_the_code
        session.busy_changed.connect(self._show_busy)
        session.auth_failed.connect(self._failed)

    def _show_busy(self, busy: bool) -> None:
        self.submit.setEnabled(not busy)
        self.submit.say(self._words[busy])

    def _failed(self, error: ErrorNotice) -> None:
        if not self.isVisible():
            return
        sentence = self.ui.translator.error(error.code, error.params)
        if error.code in self._of_the_code:
            self.code.fail_text(sentence)
            self.code.line.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.problem.label.show_text(sentence)
            self.problem.show()
