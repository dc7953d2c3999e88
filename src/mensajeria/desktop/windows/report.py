"""Telling the operator of the server about a person: what one chooses, shown whole before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import DraftReport, ReportDrafted, SendReport, SetBlocked
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.fields import Helper
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.markup import one_line
from mensajeria.desktop.widgets.text_area import TextArea
from mensajeria.desktop.widgets.toggles import CheckBox
from mensajeria.protocol import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice, MessageRow

OFFERED: Final = 20
"""Newest messages of the person that can be chosen."""
_LIST_HEIGHT: Final = 132


class ReportDialog(Dialog):
    """First the words and the messages, then exactly what would be sent, then it is sent."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget, handle: str, chosen: str = "") -> None:
        """`chosen` is the id of the message that the report is about, empty for none."""
        super().__init__(ui, host, "report.title", width=520)
        self._session, self._handle = session, handle
        self._chat = session.current
        self._request: Request | None = None
        self._text = ""
        intro = Label(ui, role=fonts.PREVIEW, ink="text2", wrap=True)
        intro.say("report.text", name=handle)
        self.words = TextArea(ui, "report.words", limit=limits.REPORT_MAX_CHARS, placeholder="report.words_hint")
        self.choices: dict[str, MessageChoice] = {}
        self.block = CheckBox(ui, "report.block")
        self.exact = TextArea(ui, "report.exact", height=220)
        self.exact.lines.setReadOnly(True)
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.back = Button(ui, "report.back", Kind.SECONDARY)
        self.go = Button(ui, "report.review", Kind.PRIMARY)
        self._first = self._writing(intro, offered(session, handle, chosen), chosen)
        for part in (self._first, self.exact, self.problem):
            self.card.column.addWidget(part)
        self._close_column()
        self._show_step(reviewing=False)
        session.asks.answered.connect(self._answered)
        session.asks.finished.connect(self._finished)

    def _writing(self, intro: Label, rows: Sequence[MessageRow], chosen: str) -> QWidget:
        made = QWidget()
        column = QVBoxLayout(made)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(14)
        column.addWidget(intro)
        column.addWidget(self.words)
        if rows:
            column.addWidget(Label(self.ui, "report.messages", fonts.LABEL))
            column.addWidget(self._list(rows, chosen))
        row = self._session.chats.find(self._chat)
        self.block.setVisible(row is None or not row.blocked)
        column.addWidget(self.block)
        return made

    def _list(self, rows: Sequence[MessageRow], chosen: str) -> QScrollArea:
        inside, area = QWidget(), QScrollArea()
        column = QVBoxLayout(inside)
        column.setContentsMargins(2, 2, 10, 2)
        column.setSpacing(6)
        for row in rows:
            choice = MessageChoice(self.ui, row)
            choice.setChecked(row.mid == chosen)
            self.choices[row.mid] = choice
            column.addWidget(choice)
        column.addStretch(1)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(inside)
        area.setFixedHeight(min(_LIST_HEIGHT, 8 + 30 * len(rows)))
        for ground in (inside, present(area.viewport())):
            ground.setAutoFillBackground(False)
        return area

    def _close_column(self) -> None:
        self.problem.hide()
        self.cancel = Button(self.ui, "action.cancel", Kind.SECONDARY)
        self.cancel.clicked.connect(self.dismiss)
        self.back.clicked.connect(lambda: self._show_step(reviewing=False))
        self.go.clicked.connect(self._go)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addStretch()
        for button in (self.cancel, self.back, self.go):
            row.addWidget(button)
        self.card.column.addLayout(row)

    def _show_step(self, *, reviewing: bool) -> None:
        self._reviewing = reviewing
        self._first.setVisible(not reviewing)
        self.exact.setVisible(reviewing)
        self.back.setVisible(reviewing)
        self.go.say("report.send" if reviewing else "report.review")
        self.problem.hide()
        if self.isVisible():
            (self.go if reviewing else self.words.lines).setFocus(Qt.FocusReason.OtherFocusReason)
        self.refit()

    def _go(self) -> None:
        if self._request is not None:
            return
        mids = tuple(mid for mid, choice in self.choices.items() if choice.isChecked())
        if self._reviewing:
            self._request = SendReport(self._handle, self._text)
        else:
            self._request = DraftReport(self._handle, self.words.text, self._chat if mids else "", mids)
        self.go.setEnabled(False)
        self.problem.hide()
        self._session.asks.ask(self._request)

    def _answered(self, answer: object) -> None:
        if isinstance(answer, ReportDrafted) and answer.handle == self._handle and self._request is not None:
            self._text = answer.text
            self.exact.lines.setPlainText(answer.text)

    def _finished(self, request: object, error: ErrorNotice | None) -> None:
        if self._request is None or request is not self._request:
            return
        self._request = None
        self.go.setEnabled(True)
        if error is not None:
            self.problem.label.show_text(self.ui.translator.error(error.code, error.params))
            self.problem.show()
            self.refit()
        elif isinstance(request, DraftReport):
            self._show_step(reviewing=True)
        else:
            self._done()

    def _done(self) -> None:
        self.dismiss()
        if self.block.isChecked():
            self._session.asks.ask(SetBlocked(self._handle, on=True))


class MessageChoice(CheckBox):
    """A message as a line that can be ticked."""

    def __init__(self, ui: UiContext, row: MessageRow) -> None:
        name = row.file.name if row.file is not None else ""
        words = " ".join(part for part in (name, one_line(row.text)) if part)
        self._line = f"{ui.wording.short_date(row.time_ms)}  {words}"
        super().__init__(ui, "report.messages")
        self.setMinimumWidth(60)

    def _translate(self) -> None:
        self.setText(self._line)
        self.setAccessibleName(self._line)


def offered(session: SessionModel, handle: str, chosen: str) -> list[MessageRow]:
    """What can be shown to the operator: what this person wrote, newest first, the chosen one among them."""
    theirs = [
        row
        for row in reversed(session.timeline.rows)
        if row.is_message and not row.outgoing and row.sender.handle == handle
    ]
    shown = theirs[:OFFERED]
    return shown + [row for row in theirs[OFFERED:] if row.mid == chosen]
