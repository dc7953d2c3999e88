"""The recovery code: shown once, to be kept on paper or in a file before anything else can be done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QSizePolicy, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.toggles import CheckBox
from mensajeria.desktop.windows.forms import Page

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel

_ROW = 4


class CodeCard(QWidget):
    """The code in groups, four to a line, in the fixed-width font."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._groups = ui, [""]
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)

    def show_code(self, code: str) -> None:
        """Show a code whose groups are separated by hyphens or blanks."""
        self._groups = code.replace("-", " ").split()
        rows = -(-len(self._groups) // _ROW)
        self.setFixedHeight(rows * 34 + 36)
        self.setAccessibleName(" ".join(self._groups))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A sunken card with the groups."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)
        painter.setPen(theme["text"])
        painter.setFont(fonts.code(20))
        cell = (self.width() - 32) / _ROW
        for place, group in enumerate(self._groups):
            line, column = divmod(place, _ROW)
            box = QRectF(16 + column * cell, 18 + line * 34, cell, 34)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, group)


class RecoveryPage(Page):
    """Code, copy, save, and a box to tick before the way on opens."""

    told = pyqtSignal(str, bool)
    """(sentence, good news?)"""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, "recovery.title", "recovery.subtitle")
        self._session = session
        self.card = CodeCard(ui)
        self.copy = Button(ui, "recovery.copy", Kind.SECONDARY, icon="copy", wide=True)
        self.save = Button(ui, "recovery.save", Kind.SECONDARY, icon="download-simple", wide=True)
        self.saved = CheckBox(ui, "recovery.saved")
        self.go_on = Button(ui, "recovery.continue", Kind.PRIMARY, height=46, wide=True)
        self.go_on.setEnabled(False)
        ways = QHBoxLayout()
        ways.setSpacing(10)
        ways.addWidget(self.copy)
        ways.addWidget(self.save)
        self.unsure = InfoCard(ui, "recovery.unsure", ink="warning", icon="warning-fill")
        self.column.addWidget(self.unsure)
        self.column.addWidget(self.card)
        self.column.addLayout(ways)
        for part in (InfoCard(ui, "recovery.advice", ink="warning", icon="warning-fill"), self.saved, self.go_on):
            self.column.addWidget(part)
        self.saved.toggled.connect(self.go_on.setEnabled)
        self.copy.clicked.connect(self._copy)
        self.save.clicked.connect(self._ask_where)
        self.go_on.clicked.connect(session.confirm_recovery_saved)

    def refresh(self) -> None:
        """Show the session's code."""
        code = self._session.recovery_code
        self.saved.setChecked(False)
        self.unsure.setVisible(self._session.is_unsure)
        self.card.show_code(code.reveal_text() if code is not None else "")

    def write(self, path: Path) -> None:
        """Write the code to a file that only its owner can read. Raises ``OSError``."""
        code = self._session.recovery_code
        if code is None:
            return
        account = self._session.account
        name = account.handle if account is not None else ""
        text = self.ui.say("recovery.file", handle=name, code=code.reveal_text())
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(text.replace("|", "\n") + "\n")

    def _copy(self) -> None:
        code = self._session.recovery_code
        if code is not None:
            present(application().clipboard()).setText(code.reveal_text())
            self.told.emit(self.ui.say("recovery.copied"), True)

    def _ask_where(self) -> None:
        proposed = str(Path.home() / self.ui.say("recovery.file_name"))
        chosen, _ = QFileDialog.getSaveFileName(self, self.ui.say("recovery.save"), proposed)
        if not chosen:
            return
        try:
            self.write(Path(chosen))
        except OSError as error:
            self.told.emit(self.ui.say("recovery.not_written", reason=self.ui.translator.reason(error)), False)
        else:
            self.told.emit(self.ui.say("recovery.written", name=Path(chosen).name), True)
