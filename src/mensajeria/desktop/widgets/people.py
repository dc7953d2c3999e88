"""Rows of people: one with an avatar, a name, a line below and buttons; and a field that gathers names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import FindPerson, Found
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.fields import Field
from mensajeria.desktop.widgets.labels import ElidedLabel
from mensajeria.desktop.widgets.signs import Sign

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import AskModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice, Person

CHECK_MS = 400
"""How long the person must pause before a name is looked up."""


def clean(handle: str) -> str:
    """A user name as it was probably meant."""
    return handle.strip().lower().removeprefix("@")


class PersonRow(QWidget):
    """Avatar of 40 px, name with its shield, a line below; whatever is added stands at the right."""

    def __init__(self, ui: UiContext, person: Person, *, name: str = "", detail: str = "") -> None:
        super().__init__()
        self.person = person
        picture = Avatar(ui, 40)
        picture.show_person(person.shown_name, person.hue, who=person.uid)
        self._name = ElidedLabel(ui, fonts.BODY_MEDIUM)
        self._name.show_text(name or person.shown_name)
        self._detail = ElidedLabel(ui, fonts.CAPTION, "text2")
        self._detail.show_text(detail or f"@{person.handle}")
        first = QHBoxLayout()
        first.setSpacing(6)
        first.addWidget(self._name)
        if person.verified:
            shield = Sign(ui, "shield-check-fill", 14, "accent_text")
            shield.setToolTip(ui.say("chat.verified"))
            first.addWidget(shield)
        first.addStretch(1)
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addLayout(first)
        lines.addWidget(self._detail)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 4, 0, 4)
        self.row.setSpacing(12)
        self.row.addWidget(picture)
        self.row.addLayout(lines, 1)
        words = [self._name.text, ui.say("chat.verified") if person.verified else "", self._detail.text]
        self.setAccessibleName(", ".join(word for word in words if word))


class PeopleField(QWidget):
    """Gathers people by their user names: Enter takes the name that was looked up, the cross takes a person away."""

    changed = pyqtSignal()
    resized = pyqtSignal()
    """The number of rows has changed: whoever holds the field makes room."""

    def __init__(self, ui: UiContext, asks: AskModel) -> None:
        super().__init__()
        self._ui, self._asks = ui, asks
        self._rows: dict[str, PersonRow] = {}
        self._known: dict[str, Person] = {}
        self._wanted = ""
        self.field = Field(ui, "people.handle", "user-plus", "people.hint")
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.field)
        column.addLayout(self._list)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self._look_up)
        self._later = QTimer(self)  # a child: it goes with the field
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.resized)
        self.field.edited.connect(self._edited)
        self.field.submitted.connect(self.take)
        asks.answered.connect(self._answered)
        asks.finished.connect(self._finished)

    @property
    def handles(self) -> tuple[str, ...]:
        """Who was gathered."""
        return tuple(self._rows)

    @property
    def pending(self) -> str:
        """A name that stands in the line and was not taken yet."""
        return clean(self.field.text)

    def take(self) -> None:
        """Take the name in the line, as soon as it is known that somebody has it."""
        handle = self.pending
        if not handle:
            return
        if (person := self._known.get(handle)) is not None:
            self._add(person)
        else:
            self._wanted = handle
            self._look_up()

    def _edited(self) -> None:
        self._wanted = ""
        self.field.calm()
        self._timer.start()
        self.resized.emit()

    def _look_up(self) -> None:
        self._timer.stop()
        if self.pending:
            self.field.help("people.checking")
            self.resized.emit()
            self._asks.ask(FindPerson(self.pending))

    def _answered(self, answer: object) -> None:
        if not isinstance(answer, Found) or answer.handle != self.pending:
            return
        if answer.person is None:
            self.field.fail("people.nobody", name=answer.handle)
        else:
            self._known[answer.handle] = answer.person
            self.field.succeed("people.found", name=answer.handle)
            if self._wanted == answer.handle:
                self._add(answer.person)
        self.resized.emit()

    def _finished(self, request: object, error: ErrorNotice | None) -> None:
        if error is not None and isinstance(request, FindPerson) and request.handle == self.pending:
            self.field.fail_text(self._ui.translator.error(error.code, error.params))
            self.resized.emit()

    def _add(self, person: Person) -> None:
        self._wanted = ""
        self.field.line.clear()
        self.field.calm()
        if person.handle not in self._rows:
            row = PersonRow(self._ui, person)
            away = IconButton(self._ui, "people.take_away", "x", side=32, glyph=18)
            away.say("people.take_away", name=person.handle)
            away.clicked.connect(lambda: self._remove(person.handle))
            row.row.addWidget(away)
            self._rows[person.handle] = row
            self._list.addWidget(row)
            row.show()  # a row that is not shown has no height in the layout
        self.changed.emit()
        self._make_room()

    def _remove(self, handle: str) -> None:
        row = self._rows.pop(handle)
        self._list.removeWidget(row)
        row.hide()
        row.deleteLater()
        self.field.line.setFocus()
        self.changed.emit()
        self._make_room()

    def _make_room(self) -> None:
        """Tell that the rows are others; the layouts around know it only after the events that wait now."""
        self.updateGeometry()
        self._later.start()
