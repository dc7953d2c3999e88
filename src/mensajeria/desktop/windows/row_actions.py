"""What is done with one message: its menu, and what the menu, the keys and the pointer lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, QPoint, QRect, QSize, QStandardPaths, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWidgets import QFileDialog, QWidget, QWidgetAction

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.viewmodels.parts import FilePhase
from mensajeria.desktop.viewmodels.types import MessageState
from mensajeria.desktop.widgets.emoji_picker import EmojiPicker
from mensajeria.desktop.widgets.file_block import FileAct, act_of
from mensajeria.desktop.widgets.menu import Menu
from mensajeria.desktop.widgets.quick_reactions import QuickReactions, ReactionPopup
from mensajeria.desktop.windows.message_dialogs import DeleteDialog, InfoDialog, RiskyFileDialog
from mensajeria.desktop.windows.report import ReportDialog

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import MessageRow


class RowActions(QObject):
    """Knows the session and the window that dialogs stand in; the composer is told by signals."""

    reply = pyqtSignal(object)
    edit = pyqtSignal(object)
    told = pyqtSignal(str)
    """A sentence for a toast."""
    dialog_wanted = pyqtSignal(object)
    """(function from the host to the dialog and the widget that gets the focus)"""

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session, self._window = ui, session, parent

    def show_menu(self, row: MessageRow, at: QPoint) -> None:
        """Everything that can be done with a row, at a point of the screen."""
        menu = Menu(self._ui, self._window)
        if row.is_message and row.position_is_final:
            self._add_quick(menu, row)
        self._fill(menu, row)
        if menu.actions():
            menu.popup(at)

    def _add_quick(self, menu: Menu, row: MessageRow) -> None:
        quick = QuickReactions(self._ui, own_reaction(row))
        quick.chosen.connect(menu.close)
        quick.chosen.connect(lambda emoji: self._session.messages.toggle_reaction(row, emoji))
        quick.more_wanted.connect(lambda: self._more_reactions(row, menu))
        holder = QWidgetAction(menu)
        holder.setDefaultWidget(quick)
        menu.addAction(holder)
        menu.addSeparator()

    def _fill(self, menu: Menu, row: MessageRow) -> None:
        say = self._ui.say
        if row.is_message and row.position_is_final:
            menu.add("message.react", "smiley", lambda: self.choose_reaction(row, menu.pos()), "+")
            menu.add("message.reply", "arrow-bend-up-left", lambda: self.reply.emit(row), "R")
        if row.text:
            menu.add("message.copy", "copy", lambda: self.copy(row), say("keys.copy"))
        if row.is_editable:
            menu.add("message.edit", "pencil-simple", lambda: self.edit.emit(row), "E")
        if row.file is not None:
            self._fill_file(menu, row)
        if row.state is MessageState.FAILED:
            menu.add("action.retry", "arrow-clockwise", lambda: self._session.retry(row.key))
            menu.add("action.discard", "trash", lambda: self._session.discard(row.key), danger=True)
        if row.mid and row.service is None:
            menu.addSeparator()
            menu.add("message.info", "info", lambda: self.show_info(row))
            if row.is_message and not row.outgoing and row.position_is_final:
                menu.add("message.report", "warning", lambda: self.report(row))
            menu.add("message.delete", "trash", lambda: self.delete(row), say("keys.delete"), danger=True)

    def _fill_file(self, menu: Menu, row: MessageRow) -> None:
        file, act = row.file, self._act(row)
        if file is None or act is FileAct.RETRY:
            return
        if act is FileAct.CANCEL:
            menu.add("message.stop", "x", lambda: self._cancel(row))
            return
        if file.phase is FilePhase.SAVED:
            menu.add("message.open", "eye", lambda: self.open_file(row))
            menu.add("message.show_in_folder", "archive", lambda: self._open_path(Path(file.saved_to).parent))
        else:
            menu.add("message.download", "download-simple", lambda: self._download(row, downloads_folder()))
        menu.add("message.save_as", "floppy-disk", lambda: self.save_as(row))

    def choose_reaction(self, row: MessageRow, at: QPoint) -> None:
        """Offer the quick emoji alone."""
        if not row.is_message or not row.position_is_final:
            return
        popup = ReactionPopup(self._ui, own_reaction(row), self._window)
        popup.chosen.connect(lambda emoji: self._session.messages.toggle_reaction(row, emoji))
        popup.more_wanted.connect(lambda: self._more_reactions(row, popup))
        popup.open_at(at)

    def _more_reactions(self, row: MessageRow, instead_of: QWidget) -> None:
        """Offer all emoji, where the few stood."""
        at = instead_of.pos()
        instead_of.close()
        picker = EmojiPicker(self._ui, self._window)
        picker.chosen.connect(lambda emoji: self._session.messages.toggle_reaction(row, emoji))
        picker.open_over(QRect(at, QSize(picker.width(), 1)))

    def copy(self, row: MessageRow) -> None:
        """Copy a message's text as it was written."""
        if row.text:
            present(application().clipboard()).setText(row.text)
            self.told.emit(self._ui.say("message.copied"))

    def delete(self, row: MessageRow) -> None:
        """Ask, then delete."""
        if not row.mid or row.service is not None:
            return
        chat = self._session.current_row
        # What somebody else wrote, unless one administers the group, and what is deleted already can only go from here.
        may_for_all = (row.outgoing or (chat is not None and chat.administers)) and row.unreadable is None

        def make(host: QWidget) -> tuple[DeleteDialog, QWidget]:
            dialog = DeleteDialog(self._ui, host, row, may_for_all=may_for_all)
            dialog.chosen.connect(lambda for_all: self._session.messages.delete(row.mid, for_all=for_all))
            return dialog, dialog.cancel

        self.dialog_wanted.emit(make)

    def show_info(self, row: MessageRow) -> None:
        """Say what is known of a message."""

        def make(host: QWidget) -> tuple[InfoDialog, None]:
            dialog = InfoDialog(self._ui, host, row)
            self._session.messages.versions_came.connect(dialog.show_versions)
            return dialog, None

        self.dialog_wanted.emit(make)
        if row.edited:
            self._session.messages.ask_versions(row.mid)

    def report(self, row: MessageRow) -> None:
        """Tell the operator about whoever wrote a message."""

        def make(host: QWidget) -> tuple[ReportDialog, QWidget]:
            dialog = ReportDialog(self._ui, self._session, host, row.sender.handle, row.mid)
            return dialog, dialog.words.lines

        self.dialog_wanted.emit(make)

    # ---- files ---------------------------------------------------------------------------------------------

    def press_file(self, row: MessageRow, on_button: bool) -> None:
        """A file was pressed: what that does depends on where it is. Only the button itself stops a transfer."""
        act = self._act(row)
        if act is FileAct.DOWNLOAD:
            self._download(row, downloads_folder())
        elif act is FileAct.OPEN:
            self.open_file(row)
        elif act is FileAct.RETRY:
            self._session.retry(row.key)
        elif act is FileAct.CANCEL and on_button:
            self._cancel(row)

    def open_file(self, row: MessageRow) -> None:
        """Open a saved file with the system's program; one that can run something only after a question."""
        file = row.file
        if file is None:
            return
        path = Path(file.saved_to)
        if not path.exists():
            self.told.emit(self._ui.say("message.file_gone"))
            self._download(row, downloads_folder())
        elif file.risky:
            self._ask_risky(file.name, path)
        else:
            self._open_path(path)

    def save_as(self, row: MessageRow) -> None:
        """Choose a folder and fetch the file into it."""
        dialog = QFileDialog(self._window, self._ui.say("message.choose_folder"), downloads_folder())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(lambda folder: self._download(row, folder))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _act(self, row: MessageRow) -> FileAct | None:
        return None if row.file is None else act_of(row.file, self._session.timeline.transfers.get(row.mid))

    def _download(self, row: MessageRow, folder: str) -> None:
        self._session.messages.download(row, folder)

    def _cancel(self, row: MessageRow) -> None:
        upload = row.file is not None and row.file.phase is FilePhase.UPLOADING
        self._session.messages.cancel_transfer(row.mid, upload=upload)

    def _ask_risky(self, name: str, path: Path) -> None:
        def make(host: QWidget) -> tuple[RiskyFileDialog, QWidget]:
            dialog = RiskyFileDialog(self._ui, host, name)
            dialog.confirmed.connect(lambda: self._open_path(path))
            return dialog, dialog.cancel

        self.dialog_wanted.emit(make)

    def _open_path(self, path: Path) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def own_reaction(row: MessageRow) -> str:
    """The emoji that the person has put under a message, or empty."""
    return next((each.emoji for each in row.reactions if each.mine), "")


def downloads_folder() -> str:
    """Where files are saved unless another folder is chosen."""
    found = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DownloadLocation)
    return found or str(Path.home())
