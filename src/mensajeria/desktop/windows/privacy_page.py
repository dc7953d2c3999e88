"""The page of what others are let notice: read receipts, typing, presence; on all devices of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.desktop.viewmodels.asking import LoadPrivacy, PrivacyIs, SetPrivacy
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.windows.settings_page import AskingPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice
    from mensajeria.desktop.widgets.toggles import Switch

NAMES: Final = ("read_receipts", "typing", "presence")


class PrivacyPage(AskingPage):
    """Three switches; each shows what is in force, not what was pressed."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.text("privacy.text")
        self.switches: dict[str, Switch] = {}
        for name in NAMES:
            switch = self.switch(f"privacy.{name}", f"privacy.{name}_text")
            switch.setEnabled(False)
            switch.clicked.connect(lambda on, wanted=name: self.ask(SetPrivacy(wanted, on)))
            self.switches[name] = switch
        self.column.addWidget(self.outcome)
        self.heading("privacy.requests")
        self.column.addWidget(InfoCard(ui, "privacy.requests_text", icon="shield-check"))
        self.column.addStretch(1)
        self._known = PrivacyIs()

    def shown(self) -> None:
        """Ask what is in force."""
        self.ask(LoadPrivacy())

    def answered(self, answer: object) -> None:
        """What is in force."""
        if isinstance(answer, PrivacyIs):
            self._known = answer
            self._show()

    def failed(self, request: Request, error: ErrorNotice) -> None:
        """The switch goes back to what is in force."""
        super().failed(request, error)
        self._show()

    def _show(self) -> None:
        for name, switch in self.switches.items():
            switch.setChecked(getattr(self._known, name))
            switch.setEnabled(True)
