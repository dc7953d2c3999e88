"""The page of how one is told of new messages: whether, what a notification says, and peace for a while."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QButtonGroup

from mensajeria.desktop.viewmodels.types import Preferences, Told
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.toggles import Radio
from mensajeria.desktop.windows.settings_page import SettingsPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel


class NotificationsPage(SettingsPage):
    """It holds on this computer only, and applies at once."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui)
        self.on = self.switch("notifications.on", "notifications.on_text")
        self.quiet = self.switch("notifications.do_not_disturb", "notifications.do_not_disturb_text")
        self.heading("notifications.says")
        group = QButtonGroup(self)
        self.told = {told: Radio(ui, f"notifications.told.{told.value}") for told in Told}
        for told, radio in self.told.items():
            group.addButton(radio)
            radio.clicked.connect(lambda _on, wanted=told: ui.change(replace(ui.preferences, told=wanted)))
            self.column.addWidget(radio)
        self.column.addWidget(InfoCard(ui, "notifications.advice", icon="eye-slash"))
        self.heading("notifications.muted")
        self.text("notifications.muted_text")
        self.column.addStretch(1)
        self.on.clicked.connect(lambda on: ui.change(replace(ui.preferences, notify=on)))
        self.quiet.clicked.connect(lambda on: ui.change(replace(ui.preferences, do_not_disturb=on)))
        session.preferences_changed.connect(self._fill)
        self._fill(ui.preferences)

    def _fill(self, now: Preferences) -> None:
        """Also what the menu beside the clock has changed."""
        self.on.setChecked(now.notify)
        self.quiet.setChecked(now.do_not_disturb)
        self.told[now.told].setChecked(True)
        for part in (self.quiet, *self.told.values()):
            part.setEnabled(now.notify)
