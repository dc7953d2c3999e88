"""The page of the own devices: names, new ones to confirm or deny, removal with the password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import (
    ConfirmDevice,
    Devices,
    LinkMade,
    LinkUsed,
    LoadDevices,
    MakeLink,
    RemoveDevice,
    RenameDevice,
)
from mensajeria.desktop.widgets import banner
from mensajeria.desktop.widgets.banner import Banner
from mensajeria.desktop.widgets.buttons import Button, IconButton, Kind
from mensajeria.desktop.widgets.fields import Field, PasswordField
from mensajeria.desktop.widgets.labels import ElidedLabel, Label
from mensajeria.desktop.widgets.signs import Pill, Sign
from mensajeria.desktop.windows.link_card import LinkCard
from mensajeria.desktop.windows.settings_page import AskingPage
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Device, Request
    from mensajeria.desktop.viewmodels.session import SessionModel


class DeviceRow(QWidget):
    """Name and dates of a device, and what can be done with it."""

    def __init__(self, ui: UiContext, device: Device, rename: Callable[[], None], remove: Callable[[], None]) -> None:
        super().__init__()
        self.device = device
        name, dates = ElidedLabel(ui, fonts.BODY_MEDIUM), ElidedLabel(ui, fonts.CAPTION, "text2")
        name.show_text(device.name or ui.say("devices.unnamed"))
        wording = ui.wording
        dates.show_text(
            ui.say(
                "devices.dates",
                created=wording.long_date(wording.day(device.created_ms)),
                seen=wording.long_date(wording.day(device.last_seen_ms)),
            )
            if device.last_seen_ms
            else ui.say("devices.added", created=wording.long_date(wording.day(device.created_ms)))
        )
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addWidget(name)
        lines.addWidget(dates)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 6, 0, 6)
        row.setSpacing(10)
        row.addWidget(Sign(ui, "laptop", 22, "text2"))
        row.addLayout(lines, 1)
        if device.current:
            row.addWidget(Pill(ui, "devices.this"))
        self.rename = IconButton(ui, "devices.rename", "pencil-simple", side=32, glyph=18)
        self.rename.say("devices.rename", name=name.text)
        self.rename.clicked.connect(rename)
        row.addWidget(self.rename)
        self.remove = IconButton(ui, "devices.remove", "trash", side=32, glyph=18, ink="danger")
        self.remove.say("devices.remove", name=name.text)
        self.remove.clicked.connect(remove)
        self.remove.setVisible(not device.current)
        row.addWidget(self.remove)
        self.setAccessibleName(f"{name.text}, {dates.text}")


class DevicesPage(AskingPage):
    """The list, and one form at a time under it."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self._chosen: Device | None = None
        self._removing = False
        self.new = Banner(ui, height=64, margin=12)
        self.new.acted.connect(self._deny_new)
        self.new.acted_otherwise.connect(self._confirm_new)
        self._new: Device | None = None
        self.column.addWidget(self.new)
        self.text("devices.text")
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        self.column.addLayout(self._list)
        self.link = Button(ui, "devices.link", Kind.SECONDARY, icon="qr-code")
        self.link.clicked.connect(self._make_link)
        self.card = LinkCard(ui)
        self.card.told.connect(lambda words: self.tell("success", words))
        self.card.expired.connect(self._link_over)
        self.column.addWidget(self.link, 0, Qt.AlignmentFlag.AlignLeft)
        self.column.addWidget(self.card)
        self.title = Label(ui, "devices.rename", fonts.LABEL, wrap=True)
        self.name = Field(ui, "devices.name", "laptop")
        self.password = PasswordField(ui, "auth.password")
        self.code = Field(ui, "devices.code", "key", "devices.code_hint")
        self.go = Button(ui, "devices.save", Kind.PRIMARY)
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        buttons.addWidget(self.go)
        buttons.addWidget(self.cancel)
        buttons.addStretch()
        for part in (self.title, self.name, self.password, self.code):
            self.column.addWidget(part)
        self.column.addLayout(buttons)
        self.column.addWidget(self.outcome)
        self.column.addStretch(1)
        self.go.clicked.connect(self.send)
        self.cancel.clicked.connect(self._close_form)
        for field in (self.name, self.password, self.code):
            field.submitted.connect(self.send)
        self.rows: list[DeviceRow] = []
        self._close_form()

    def shown(self) -> None:
        """Ask for the list."""
        self.ask(LoadDevices())

    def answered(self, answer: object) -> None:
        """The list has come, a code for a new device, or word that it was used."""
        if isinstance(answer, Devices):
            self._show(answer)
        elif isinstance(answer, LinkMade):
            self._close_form()
            self.link.hide()
            self.card.offer(answer, self.ui.wording.now_ms())
            QTimer.singleShot(0, lambda: self.ensureWidgetVisible(self.card))  # once it is laid out
        elif isinstance(answer, LinkUsed):
            self._end_link()
            self.tell("success", self.ui.say("devices.linked", name=answer.name))

    def done(self, request: Request) -> None:
        """What the form asked for is done."""
        if isinstance(request, RemoveDevice | RenameDevice):
            self._close_form()
            self.tell("success", self.ui.say("devices.done"))

    def send(self) -> None:
        """Rename or remove the chosen device."""
        device = self._chosen
        if device is None or self.busy:
            return
        field = self.password if self._removing else self.name
        if not field.text.strip():
            field.fail("auth.missing")
            return
        if self._removing:
            code = Secret.from_text(self.code.text.strip()) if self.code.text.strip() else None
            self.ask(RemoveDevice(device.did, Secret.from_text(self.password.text), code))
        else:
            self.ask(RenameDevice(device.did, self.name.text.strip()))

    def _show(self, answer: Devices) -> None:
        for row in self.rows:
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [self._row(device) for device in answer.rows]
        for row in self.rows:
            self._list.addWidget(row)
        self._new = next((one for one in answer.rows if one.is_new and not one.current), None)
        if self._new is None:
            self.new.hide()
        else:
            title = self.ui.say("devices.new", name=self._new.name)
            self.new.tell(banner.BAD, title, self.ui.say("devices.new_text"), "devices.deny", "devices.confirm")

    def _row(self, device: Device) -> DeviceRow:
        return DeviceRow(self.ui, device, lambda: self._open_form(device), lambda: self._open_form(device, remove=True))

    def _open_form(self, device: Device, *, remove: bool = False) -> None:
        self._chosen, self._removing = device, remove
        self.outcome.hide()
        self.title.say("devices.remove_text" if remove else "devices.rename", name=device.name)
        self.name.line.setText(device.name)
        for part, visible in (
            (self.title, True), (self.name, not remove), (self.password, remove), (self.code, remove), (self.go, True),
            (self.cancel, True),
        ):  # fmt: skip
            part.setVisible(visible)
        self.go.say("devices.cut_off" if remove else "devices.save")
        (self.password if remove else self.name).line.setFocus()

    def _close_form(self) -> None:
        self._chosen = None
        self.password.wipe()
        self.code.line.clear()
        for field in (self.name, self.password):
            field.calm()
        for part in (self.title, self.name, self.password, self.code, self.go, self.cancel):
            part.hide()

    def _make_link(self) -> None:
        if not self.busy:
            self.ask(MakeLink())

    def _end_link(self) -> None:
        self.card.forget()
        self.link.show()

    def _link_over(self) -> None:
        self._end_link()
        self.tell("danger", self.ui.say("devices.link_over"))

    def _deny_new(self) -> None:
        if self._new is not None:
            self._open_form(self._new, remove=True)

    def _confirm_new(self) -> None:
        if self._new is not None:
            self.ask(ConfirmDevice(self._new.did))
