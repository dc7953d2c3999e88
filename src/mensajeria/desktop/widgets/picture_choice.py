"""The own picture, with the buttons that choose another one or take it away; and the dialog that chooses a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.labels import ElidedLabel

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.types import Person


class PictureChoice(QWidget):
    """``chosen``: the file of another picture; ``removed``: none at all. What is in force is shown by the avatar."""

    changed = pyqtSignal()

    def __init__(self, ui: UiContext, person: Person | None) -> None:
        super().__init__()
        self._ui = ui
        self.chosen: Path | None = None
        self.removed = False
        picture = Avatar(ui, 64)
        if person is not None:
            picture.show_person(person.shown_name, person.hue, who=person.uid)
        self.choose = Button(ui, "profile.choose_picture", Kind.SECONDARY, icon="image", height=34)
        self.remove = Button(ui, "profile.remove_picture", Kind.SECONDARY, icon="trash", height=34)
        self.remove.setEnabled(False)
        self.name = ElidedLabel(ui, fonts.CAPTION, "text2")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        ways = QVBoxLayout()
        ways.setSpacing(6)
        for part in (self.choose, self.remove, self.name):
            ways.addWidget(part)
        self.name.hide()
        row.addLayout(ways)
        row.addStretch(1)
        self.choose.clicked.connect(self._ask)
        self.remove.clicked.connect(lambda: self.take(None, removed=True))

    def take(self, path: Path | None, *, removed: bool = False) -> None:
        """Note what was chosen; nothing is sent before the form is."""
        self.chosen, self.removed = path, removed
        words = self._ui.say("profile.picture_goes") if removed else path.name if path is not None else ""
        self.name.show_text(words)
        self.name.setVisible(bool(words))
        self.setAccessibleDescription(words)
        self.changed.emit()

    def _ask(self) -> None:
        path = choose_picture(self, self._ui)
        if path is not None:
            self.take(path)


def choose_picture(parent: QWidget, ui: UiContext) -> Path | None:
    """A picture file that the person chooses; None when they do not."""
    title = ui.say("profile.choose_picture")
    name, _ = QFileDialog.getOpenFileName(parent, title, str(Path.home()), f"{title} (*.jpg *.jpeg *.png *.webp *.gif)")
    return Path(name) if name else None
