"""The dialog in which a person makes sure of another: number and code to show, emoji to compare, code to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QHBoxLayout, QLayout, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import (
    CancelComparing,
    CheckCode,
    Comparison,
    ConfirmEmoji,
    LookAtPerson,
    PersonInfo,
    StartComparing,
    TrustMoved,
    WithdrawTrust,
)
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import Button, Kind, LinkButton
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.emoji_row import EmojiRow
from mensajeria.desktop.widgets.fields import Field, Helper
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.number_grid import NumberGrid
from mensajeria.desktop.widgets.qr import QrCode
from mensajeria.desktop.widgets.signs import Pill
from mensajeria.desktop.windows.info_panel import show_trust

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice

ROOM_FOR_CODE: Final = 740
"""Height of the window from which on there is room for the QR code."""
RUNNING: Final = frozenset({"incoming", "asked", "comparing", "confirmed"})


class VerifyDialog(Dialog):
    """Shows number and code; while emoji are compared, only those."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget, handle: str) -> None:
        super().__init__(ui, host, "verify.title", width=480)
        self._session, self._handle = session, handle
        self._info: PersonInfo | None = None
        self._phase = ""
        self.card.column.setSpacing(14)
        self._picture = Avatar(ui, 44)
        self._name = Label(ui, role=fonts.BODY_STRONG)
        self._name.show_text(handle)
        self._at = Label(ui, role=fonts.CAPTION, ink="text2")
        self._at.show_text(f"@{handle}")
        self.pill = Pill(ui, "trust.unverified")
        self.words = Label(ui, "verify.text", fonts.PREVIEW, "text2", wrap=True)
        self.code = QrCode(ui)
        self.number = NumberGrid(ui)
        self.copy = LinkButton(ui, "verify.copy", icon="copy")
        self.compare = LinkButton(ui, "verify.compare", icon="smiley")
        self.enter = LinkButton(ui, "verify.enter", icon="qr-code")
        self.their_code = Field(ui, "verify.their_code", "qr-code", "verify.their_code_hint")
        self.emoji = EmojiRow(ui)
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.differs = Button(ui, "verify.differs", Kind.SECONDARY)
        self.same = Button(ui, "verify.mark", Kind.PRIMARY, icon="shield-check-fill", wide=True)
        self._build()
        self._wire()
        self._refresh()

    def present(self, first: QWidget | None = None) -> None:
        """Show, and ask for what there is to show."""
        super().present(first or self.compare)
        self._ask(LookAtPerson(self._handle))

    def _build(self) -> None:
        column = self.card.column
        column.addLayout(self._head())
        column.addWidget(self.words)
        column.addWidget(self.code, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.number)
        links = QHBoxLayout()
        links.setSpacing(22)
        links.addStretch()
        for link in (self.copy, self.compare, self.enter):
            links.addWidget(link)
        links.addStretch()
        column.addLayout(links)
        column.addWidget(self.their_code)
        column.addWidget(self.emoji)
        column.addWidget(self.problem)
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        buttons.addWidget(self.differs)
        buttons.addWidget(self.same, 1)
        column.addLayout(buttons)
        for part in (self.their_code, self.problem):
            part.hide()

    def _head(self) -> QLayout:
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self._name)
        names.addWidget(self._at)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self._picture)
        row.addLayout(names, 1)
        row.addWidget(self.pill)
        return row

    def _wire(self) -> None:
        asks = self._session.asks
        asks.answered.connect(self._answered)
        asks.finished.connect(self._finished)
        self.copy.clicked.connect(self._copy)
        self.compare.clicked.connect(lambda: self._ask(StartComparing(self._handle)))
        self.enter.clicked.connect(self._enter)
        self.their_code.submitted.connect(self._check)
        self.their_code.edited.connect(lambda _text: self.their_code.calm())
        self.same.clicked.connect(self._agree)
        self.differs.clicked.connect(self._disagree)

    def dismiss(self) -> None:
        """Close; a comparison goes on, and is found again here."""
        self._session.asks.answered.disconnect(self._answered)
        self._session.asks.finished.disconnect(self._finished)
        super().dismiss()

    # ---- what the person does ----------------------------------------------------------------------------------------

    def _ask(self, request: Request) -> None:
        self.problem.hide()
        self._session.asks.ask(request)

    def _copy(self) -> None:
        present(application().clipboard()).setText(self.number.text)
        self.copy.say("verify.copied")

    def _enter(self) -> None:
        self.their_code.show()
        self.code.hide()
        self.their_code.line.setFocus()
        self.refit()

    def _check(self) -> None:
        text = self.their_code.text.strip()
        if text:
            self._ask(CheckCode(self._handle, text))
        else:
            self.their_code.fail("auth.missing")

    def _agree(self) -> None:
        if self._phase == "incoming":
            self._ask(StartComparing(self._handle))
        elif self._phase == "comparing":
            self._ask(ConfirmEmoji(self._handle))
        elif self._info is None:
            return
        elif self._info.person.verified:
            self._ask(WithdrawTrust(self._handle))
        elif not self.their_code.isHidden() and self.their_code.text.strip():
            self._check()
        else:
            # The number that stands here is sent back: if it has changed meanwhile, nothing is verified.
            self._ask(CheckCode(self._handle, self.number.text))

    def _disagree(self) -> None:
        if self._phase in RUNNING:
            self._ask(CancelComparing(self._handle, mismatch=self._phase == "comparing"))
        elif self._info is not None and self._info.person.verified:
            self.dismiss()
        else:
            self._tell(self.ui.say("verify.warning"))

    # ---- what comes --------------------------------------------------------------------------------------------------

    def _answered(self, answer: object) -> None:
        if isinstance(answer, PersonInfo) and answer.person.handle == self._handle:
            self._info = answer
            if answer.person.verified:
                self.their_code.hide()
            self._refresh()
        elif isinstance(answer, Comparison) and answer.person.handle == self._handle:
            self._compared(answer)
        elif isinstance(answer, TrustMoved) and answer.handle == self._handle:
            self._session.asks.ask(LookAtPerson(self._handle))

    def _compared(self, step: Comparison) -> None:
        self._phase = step.phase
        self.emoji.show_emoji(step.emoji)
        self._refresh()
        if step.phase == "cancelled":
            key = f"verification.{step.reason or 'by_person'}"
            self._tell(self.ui.say(key if self.ui.translator.has(key) else "verification.out_of_order"))

    def _finished(self, request: object, error: ErrorNotice | None) -> None:
        ours = (LookAtPerson, StartComparing, ConfirmEmoji, CancelComparing, CheckCode, WithdrawTrust)
        if error is not None and isinstance(request, ours) and request.handle == self._handle:
            self._tell(self.ui.translator.error(error.code, error.params))

    def _tell(self, sentence: str) -> None:
        self.problem.label.show_text(sentence)
        self.problem.show()
        self.refit()

    def _refresh(self) -> None:
        running, info = self._phase in RUNNING, self._info
        if info is not None:
            self._picture.show_person(info.person.shown_name, info.person.hue)
            self._name.show_text(info.person.shown_name)
            show_trust(self.pill, info)
            self.number.show_number(info.number)
            self.code.show_modules(info.code)
        self.pill.setVisible(info is not None)
        for part in (self.number, self.copy, self.compare, self.enter):
            part.setVisible(not running)
        room = self._host.height() >= ROOM_FOR_CODE
        self.code.setVisible(not running and self.their_code.isHidden() and room)
        if running:
            self.their_code.hide()
        self.emoji.setVisible(running and bool(self.emoji.accessibleName()))
        self._say_what_now(verified=info is not None and info.person.verified)
        self.refit()

    def _say_what_now(self, *, verified: bool) -> None:
        name = self._name.text()
        if self._phase in RUNNING:
            self.words.say(f"verification.{self._phase}", name=name)
        else:
            self.words.say("verify.done" if verified else "verify.text", name=name)
        self.same.setVisible(self._phase not in {"asked", "confirmed"})
        self.same.setEnabled(self._info is not None or self._phase in RUNNING)
        if self._phase == "incoming":
            self.same.say("verify.accept")
        elif self._phase == "comparing":
            self.same.say("verify.equal")
        else:
            self.same.say("verify.withdraw" if verified else "verify.mark")
        if self._phase == "comparing":
            self.differs.say("verify.unequal")
        elif self._phase in RUNNING:
            self.differs.say("action.cancel")
        else:
            self.differs.say("action.close" if verified else "verify.differs")
