"""Dialogs about groups: make one, add people, give another name; and the question before something final."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QButtonGroup, QHBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import HISTORY, AddMembers, CreateGroup, GroupMade, RenameGroup
from mensajeria.desktop.widgets.buttons import Button, Chip, Kind
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.fields import Field, Helper
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.people import PeopleField
from mensajeria.protocol import limits

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice


class AskingDialog(Dialog):
    """A dialog that sends one request and closes when it is done; an error stays under the fields."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget, title: str, submit: str) -> None:
        super().__init__(ui, host, title)
        self.session = session
        self._request: Request | None = None
        self.problem = Helper(ui)
        self.problem.set_ink("danger")
        self.problem.hide()
        self.go = Button(ui, submit, Kind.PRIMARY)
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        self.go.clicked.connect(self.send)
        self.cancel.clicked.connect(self.dismiss)
        session.asks.finished.connect(self._finished)

    def close_column(self) -> None:
        """Put the error's line and the buttons under what the subclass has added."""
        self.card.column.addWidget(self.problem)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        self.card.column.addLayout(row)

    def send(self) -> None:
        """Ask, unless something is missing or an answer is awaited."""
        if self._request is not None:
            return
        request = self.request()
        if request is not None:
            self._request = request
            self.go.setEnabled(False)
            self.problem.hide()
            self.session.asks.ask(request)
        self.refit()

    def request(self) -> Request | None:
        """What is asked for; None when a field must be filled first, and has been told so."""
        raise NotImplementedError

    def done(self) -> None:
        """The dialog is closed, and what was asked for is done."""

    def _finished(self, request: object, error: ErrorNotice | None) -> None:
        if self._request is None or request is not self._request:
            return
        self._request = None
        self.go.setEnabled(True)
        if error is None:
            self.dismiss()
            self.done()
            return
        self.problem.label.show_text(self.ui.translator.error(error.code, error.params))
        self.problem.show()
        self.go.setFocus(Qt.FocusReason.OtherFocusReason)
        self.refit()


class NewGroupDialog(AskingDialog):
    """Name and people of a new group."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget) -> None:
        super().__init__(ui, session, host, "new_group.title", "new_group.submit")
        self._made = ""
        self.name = Field(ui, "new_group.name", "users-three", "new_group.name_hint")
        self.people = PeopleField(ui, session.asks)
        self.card.column.addWidget(Label(ui, "new_group.text", fonts.PREVIEW, "text2", wrap=True))
        self.card.column.addWidget(self.name)
        self.card.column.addWidget(self.people)
        self.close_column()
        self.name.edited.connect(self._edited)
        self.name.submitted.connect(self.people.field.line.setFocus)
        self.people.resized.connect(self.refit)
        session.asks.answered.connect(self._answered)

    def request(self) -> Request | None:
        """The group; a name that still stands in the line belongs to it."""
        name = self.name.text.strip()
        if not name:
            self.name.fail("auth.missing")
            self.name.line.setFocus()
            return None
        handles = _with_pending(self.people)
        if not handles:
            self.people.field.fail("new_group.nobody")
            self.people.field.line.setFocus()
            return None
        return CreateGroup(name, handles)

    def _edited(self) -> None:
        self.name.calm()
        self.refit()

    def _answered(self, answer: object) -> None:
        if isinstance(answer, GroupMade):
            self._made = answer.chat_id

    def done(self) -> None:
        """Go to the group."""
        self.session.open_chat(self._made)


class AddMembersDialog(AskingDialog):
    """More people for a group."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget, chat_id: str) -> None:
        super().__init__(ui, session, host, "add_members.title", "add_members.submit")
        self._chat_id = chat_id
        self.people = PeopleField(ui, session.asks)
        self.card.column.addWidget(Label(ui, "add_members.text", fonts.PREVIEW, "text2", wrap=True))
        self.card.column.addWidget(self.people)
        self.past = self._past()
        self.close_column()
        self.people.resized.connect(self.refit)

    def request(self) -> Request | None:
        """The people."""
        handles = _with_pending(self.people)
        if not handles:
            self.people.field.fail("auth.missing")
            self.people.field.line.setFocus()
            return None
        return AddMembers(self._chat_id, handles, next(name for name, chip in self.past.items() if chip.isChecked()))

    def _past(self) -> dict[str, Chip]:
        """What they may read of what came before; nothing, unless the person says otherwise."""
        self.card.column.addWidget(Label(self.ui, "add_members.history", fonts.LABEL))
        chips = {name: Chip(self.ui, f"add_members.past.{name}") for name in HISTORY}
        group, row = QButtonGroup(self), QHBoxLayout()
        row.setSpacing(6)
        for chip in chips.values():
            group.addButton(chip)
            row.addWidget(chip)
        row.addStretch()
        chips[HISTORY[0]].setChecked(True)
        self.card.column.addLayout(row)
        return chips


class RenameGroupDialog(AskingDialog):
    """Another name or description for a group."""

    def __init__(
        self, ui: UiContext, session: SessionModel, host: QWidget, chat_id: str, name: str, description: str
    ) -> None:
        super().__init__(ui, session, host, "rename_group.title", "rename_group.submit")
        self._chat_id = chat_id
        self.name = Field(ui, "new_group.name", "users-three")
        self.name.line.setText(name)
        self.name.line.selectAll()
        self.name.line.setMaxLength(limits.GROUP_NAME_CHARS)
        self.description = Field(ui, "rename_group.description", "note-pencil", "rename_group.description_hint")
        self.description.line.setMaxLength(limits.GROUP_DESCRIPTION_CHARS)
        self.description.line.setText(description)
        self.card.column.addWidget(self.name)
        self.card.column.addWidget(self.description)
        self.close_column()
        self.name.submitted.connect(self.send)
        self.description.submitted.connect(self.send)
        self.name.edited.connect(self._edited)

    def _edited(self) -> None:
        self.name.calm()
        self.refit()

    def request(self) -> Request | None:
        """The name."""
        name = self.name.text.strip()
        if not name:
            self.name.fail("auth.missing")
            return None
        return RenameGroup(self._chat_id, name, self.description.text.strip())


class ConfirmDialog(Dialog):
    """A question before something that cannot be taken back."""

    confirmed = pyqtSignal()

    def __init__(self, ui: UiContext, host: QWidget, key: str, *, danger: bool = True, **params: object) -> None:
        """`key` has the sentences `confirm.<key>.title`, `.text` and `.submit`."""
        super().__init__(ui, host, f"confirm.{key}.title")
        text = Label(ui, "", fonts.BODY, "text2", wrap=True)
        text.say(f"confirm.{key}.text", **params)
        self.go = Button(ui, f"confirm.{key}.submit", Kind.DANGER if danger else Kind.PRIMARY)
        self.cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        self.go.clicked.connect(self._confirm)
        self.cancel.clicked.connect(self.dismiss)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        self.card.column.addWidget(text)
        self.card.column.addLayout(row)

    def _confirm(self) -> None:
        self.dismiss()
        self.confirmed.emit()


def _with_pending(people: PeopleField) -> tuple[str, ...]:
    """Who was gathered, and the name that still stands in the line."""
    pending = people.pending
    return (*people.handles, pending) if pending and pending not in people.handles else people.handles
