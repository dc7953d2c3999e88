"""Dialogs about a message: delete it, open a risky file, what is known of it; and the chat's disappearing messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.message_actions import TIMERS
from mensajeria.desktop.widgets.buttons import Button, Chip, Kind
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.timer_chips import TimerChip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.parts import VersionRow
    from mensajeria.desktop.viewmodels.types import MessageRow

_MAX_VERSIONS, _MAX_SHOWN = 8, 300


class DeleteDialog(Dialog):
    """Asks for whom a message is to go; nothing goes without an answer."""

    chosen = pyqtSignal(bool)
    """For everybody."""

    def __init__(self, ui: UiContext, host: QWidget, row: MessageRow, *, may_for_all: bool) -> None:
        super().__init__(ui, host, "delete_message.title")
        if may_for_all:
            text = "delete_message.text_own" if row.outgoing else "delete_message.text_admin"
        else:
            text = "delete_message.text_other"
        self.card.column.addWidget(Label(ui, text, fonts.PREVIEW, "text2", wrap=True))
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        self.cancel.clicked.connect(self.dismiss)
        self.for_me = Button(ui, "delete_message.for_me", Kind.DANGER, icon="trash")
        self.for_me.clicked.connect(lambda: self._choose(for_all=False))
        self.for_all = Button(ui, "delete_message.for_all", Kind.DANGER, icon="trash")
        self.for_all.clicked.connect(lambda: self._choose(for_all=True))
        # What has not been sent yet can only be dropped, which is the same for everybody.
        self.for_me.setVisible(row.position_is_final)
        self.for_all.setVisible(may_for_all)
        for button in (self.for_all, self.for_me):
            self.card.column.addWidget(button)
        row_of = QHBoxLayout()
        row_of.addStretch()
        row_of.addWidget(self.cancel)
        self.card.column.addLayout(row_of)

    def _choose(self, *, for_all: bool) -> None:
        self.dismiss()
        self.chosen.emit(for_all)


class RiskyFileDialog(Dialog):
    """Says that a file can run something, and opens it only when told to."""

    confirmed = pyqtSignal()

    def __init__(self, ui: UiContext, host: QWidget, name: str) -> None:
        super().__init__(ui, host, "risky_file.title")
        words = Label(ui, "risky_file.text", fonts.PREVIEW, "text2", wrap=True)
        words.say("risky_file.text", name=name)
        self.card.column.addWidget(words)
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        self.cancel.clicked.connect(self.dismiss)
        self.go = Button(ui, "risky_file.open", Kind.DANGER)
        self.go.clicked.connect(self._confirm)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        self.card.column.addLayout(row)

    def _confirm(self) -> None:
        self.dismiss()
        self.confirmed.emit()


class InfoDialog(Dialog):
    """When it was sent, by whom, its state, who reacted, what it said before."""

    def __init__(self, ui: UiContext, host: QWidget, row: MessageRow) -> None:
        super().__init__(ui, host, "message.info")
        self.mid = row.mid
        moment = f"{ui.wording.long_date(ui.wording.day(row.time_ms))}, {ui.wording.clock(row.time_ms)}"
        who = ui.say("timeline.you") if row.outgoing else row.sender.shown_name
        facts = [("message_info.author", who), ("message_info.sent", moment)]
        if row.outgoing:
            facts.append(("message_info.state", ui.wording.state(row.state)))
        if row.file is not None:
            facts.append(("message_info.file", f"{row.file.name} · {ui.wording.file_line(row.file)}"))
        for each in row.reactions:
            names = (*((ui.say("timeline.you"),) if each.mine else ()), *each.names)
            facts.append(("message_info.reactions", f"{each.emoji}  {', '.join(names)}"))
        for key, words in facts:
            self._fact(key, words)
        if row.expire_s:
            timer = Label(ui, "message_info.timer", fonts.PREVIEW, "text2", wrap=True)
            timer.say("message_info.timer", time=ui.translator.span(row.expire_s))
            self.card.column.addWidget(timer)

    def show_versions(self, mid: str, versions: Sequence[VersionRow]) -> None:
        """Earlier wordings, the newest first; the present one stands in the timeline."""
        earlier = list(versions)[:-1][-_MAX_VERSIONS:]
        if mid != self.mid or not earlier:
            return
        self._add(Label(self.ui, "message_info.edits", fonts.LABEL))
        for version in reversed(earlier):
            words = Label(self.ui, "", fonts.PREVIEW, "text2", wrap=True)
            words.show_text(f"{self.ui.wording.clock(version.time_ms)}  {version.text[:_MAX_SHOWN]}")
            self._add(words)
        self.refit()

    def _add(self, label: Label) -> None:
        """Shown at once: what is not visible has no room when the card is measured."""
        self.card.column.addWidget(label)
        label.show()

    def _fact(self, key: str, words: str) -> None:
        row = QHBoxLayout()
        row.setSpacing(16)
        name = Label(self.ui, key, fonts.PREVIEW, "text2")
        name.setFixedWidth(110)
        value = Label(self.ui, "", fonts.PREVIEW, wrap=True)
        value.show_text(words)
        row.addWidget(name)
        row.addWidget(value, 1)
        self.card.column.addLayout(row)


class TimerDialog(Dialog):
    """After how long what is written from now on disappears."""

    chosen = pyqtSignal(int)

    def __init__(self, ui: UiContext, host: QWidget, seconds: int) -> None:
        super().__init__(ui, host, "disappearing.title", width=480)
        self.card.column.addWidget(Label(ui, "disappearing.text", fonts.PREVIEW, "text2", wrap=True))
        self.chips: list[Chip] = []
        lengths = TIMERS if seconds in TIMERS else (*TIMERS, seconds)
        for start in range(0, len(lengths), 4):
            row = QHBoxLayout()
            row.setSpacing(8)
            for length in lengths[start : start + 4]:
                row.addWidget(self._chip(length, checked=length == seconds))
            row.addStretch()
            self.card.column.addLayout(row)

    def first(self) -> Chip:
        """The one in force: it gets the focus."""
        return next(chip for chip in self.chips if chip.isChecked())

    def _chip(self, seconds: int, *, checked: bool) -> Chip:
        chip = TimerChip(self.ui, seconds)
        chip.setChecked(checked)
        chip.clicked.connect(lambda: self._choose(seconds))
        self.chips.append(chip)
        return chip

    def _choose(self, seconds: int) -> None:
        self.dismiss()
        self.chosen.emit(seconds)
