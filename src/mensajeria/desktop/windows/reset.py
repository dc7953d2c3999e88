"""The page for people who have lost everything, and what is said to them once they are back in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtWidgets import QHBoxLayout

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import ResetRequest
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.facts import Facts
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.toggles import CheckBox
from mensajeria.desktop.windows.login import other_way
from mensajeria.desktop.windows.recover import ByCodePage, Words

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import SignIn
    from mensajeria.kit.secrets import Secret

_OF_THE_CODE: Final = frozenset({"reset_code_invalid", "reset_invalid"})


class ResetPage(ByCodePage):
    """By a code of the operator: another identity, which nobody vouches for. What that means is said before."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        words = Words(
            title="reset.title",
            subtitle="reset.subtitle",
            code="reset.code",
            code_hint="reset.code_hint",
            submit="reset.submit",
            busy="reset.busy",
        )
        super().__init__(ui, session, words, Kind.DANGER)
        self.facts = Facts(
            ui,
            [
                ("chat-teardrop-text", "reset.history"),
                ("laptop", "reset.devices"),
                ("shield-warning", "reset.contacts"),
                ("users-three", "reset.groups"),
            ],
            ink="warning",
        )
        self.understood = CheckBox(ui, "reset.understood")
        self.build([self.facts, self.understood], _OF_THE_CODE)
        self.column.addLayout(other_way(ui, "reset.back", "login.recover", self.other_wanted.emit))
        self.understood.toggled.connect(self.problem.hide)

    def wipe(self) -> None:
        """Nothing is understood for the next time."""
        super().wipe()
        self.understood.setChecked(False)

    def request(self, code: Secret) -> SignIn:
        """A new beginning."""
        return ResetRequest(self.server.address, self.name, code, self.chosen.secret)

    def first_wrong(self) -> QWidget | None:
        """Whoever has not read what is lost is led there last."""
        wrong = super().first_wrong()
        if wrong is None and not self.understood.isChecked():
            self.problem.label.say("reset.not_understood")
            self.problem.show()
            return self.understood
        return wrong


class AnewDialog(Dialog):
    """What is to be done after a new beginning."""

    def __init__(self, ui: UiContext, host: QWidget) -> None:
        super().__init__(ui, host, "reset.anew_title", width=480)
        column = self.card.column
        column.addWidget(Label(ui, "reset.anew_text", fonts.BODY, "text2", wrap=True))
        column.addWidget(
            Facts(
                ui,
                [
                    ("users-three", "reset.anew_groups"),
                    ("shield-check", "reset.anew_verify"),
                    ("chat-teardrop-text", "reset.anew_history"),
                ],
            )
        )
        self.go = Button(ui, "reset.anew_go", Kind.PRIMARY)
        self.go.clicked.connect(self.dismiss)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.go)
        column.addLayout(row)
