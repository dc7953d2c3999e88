"""The page of what lies on this computer: how much it is, where, and the way to a copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import LoadStorage, StorageIs
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.windows.row_actions import downloads_folder
from mensajeria.desktop.windows.settings_page import AskingPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel


class DataPage(AskingPage):
    """Works without a connection."""

    backup_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.heading("data.storage")
        self.taken = Label(ui, "backup_page.loading", fonts.BODY_STRONG)
        self.column.addWidget(self.taken)
        self.folder = self._place("data.folder_text")
        self.open_folder = self._opener("data.open_folder", self.folder)
        self.open_folder.setEnabled(False)
        self.heading("data.downloads")
        self.downloads = self._place("data.downloads_text")
        self.downloads.show_text(downloads_folder())
        self.open_downloads = self._opener("data.open_downloads", self.downloads)
        self.heading("data.copy")
        self.text("data.copy_text")
        self.backup = Button(ui, "data.make_copy", Kind.SECONDARY, icon="floppy-disk")
        self.backup.clicked.connect(self.backup_wanted)
        self.column.addWidget(self.backup, 0, Qt.AlignmentFlag.AlignLeft)
        self.heading("data.keeping")
        self.text("data.keeping_text")
        self.column.addWidget(self.outcome)
        self.column.addStretch(1)

    def shown(self) -> None:
        """Ask how much it is."""
        self.ask(LoadStorage())

    def answered(self, answer: object) -> None:
        """How much it is, and where."""
        if isinstance(answer, StorageIs):
            self.taken.show_text(self.ui.wording.size(answer.bytes))
            self.folder.show_text(answer.folder)
            self.open_folder.setEnabled(True)

    def _place(self, key: str) -> Label:
        """What lies in a folder, and below it the path, which can be copied."""
        self.text(key)
        path = Label(self.ui, role=fonts.CAPTION, wrap=True)
        path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.column.addWidget(path)
        return path

    def _opener(self, key: str, path: Label) -> Button:
        button = Button(self.ui, key, Kind.SECONDARY, icon="archive")
        button.clicked.connect(lambda: self._open(Path(path.text())))
        self.column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        return button

    def _open(self, folder: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.tell("danger", self.ui.say("data.cannot_open"))
