"""What a person does with messages of the open chat: each method emits one request, answers come as changed rows.

Messages are named by their id (``MessageRow.mid``); rows without one (notices, unreadable places) take no actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

from mensajeria.desktop.viewmodels.parts import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mensajeria.desktop.viewmodels.parts import VersionRow
    from mensajeria.desktop.viewmodels.types import MessageRow

TIMERS = (0, 30, 300, 3600, 86_400, 604_800, 2_419_200)
"""Offered lengths of disappearing messages, seconds; 0 is off."""


class MessageActions(QObject):
    """Requests about messages, and the answers that no row carries."""

    reply_requested = pyqtSignal(str, str, str)
    """(chat id, text, id of the answered message)"""
    edit_requested = pyqtSignal(str, str, str)
    """(chat id, message id, text)"""
    react_requested = pyqtSignal(str, str, str)
    """(chat id, message id, emoji; empty takes the own one away)"""
    delete_requested = pyqtSignal(str, str, bool)
    """(chat id, message id, for all)"""
    files_requested = pyqtSignal(str, Outgoing)
    download_requested = pyqtSignal(str, str, str, str)
    """(chat id, message id, author's id, folder or empty for the usual one)"""
    cancel_requested = pyqtSignal(str, str, bool)
    """(chat id, message id, it is an upload)"""
    timer_requested = pyqtSignal(str, int)
    timer_asked = pyqtSignal(str)
    versions_requested = pyqtSignal(str, str)
    jump_requested = pyqtSignal(str, object)
    """(chat id, position): show the rows around it."""

    versions_came = pyqtSignal(str, object)
    """(message id, tuple of VersionRow)"""
    timer_changed = pyqtSignal(int)
    """Seconds after which what is written now disappears, 0 = never."""

    def __init__(self, current: Callable[[], str], parent: QObject) -> None:
        super().__init__(parent)
        self._current = current
        self._timer_s = 0

    @property
    def timer_s(self) -> int:
        """The open chat's timer, seconds; 0 = off."""
        return self._timer_s

    def reply(self, text: str, to: str) -> None:
        """Answer a message; blank text is not sent."""
        if text.strip():
            self._ask(self.reply_requested.emit, text.strip(), to)

    def edit(self, mid: str, text: str) -> None:
        """Give an own text another wording; blank text changes nothing."""
        if text.strip():
            self._ask(self.edit_requested.emit, mid, text.strip())

    def toggle_reaction(self, row: MessageRow, emoji: str) -> None:
        """Put an emoji under a message, or take it away when it is the own one there already."""
        mine = any(each.mine and each.emoji == emoji for each in row.reactions)
        if row.mid and row.position_is_final:
            self._ask(self.react_requested.emit, row.mid, "" if mine else emoji)

    def delete(self, mid: str, *, for_all: bool) -> None:
        """Delete a message here, or for everybody."""
        self._ask(self.delete_requested.emit, mid, for_all)

    def send_files(self, files: Outgoing) -> None:
        """Send files, the text with the last one."""
        if files.paths:
            self._ask(self.files_requested.emit, files)

    def download(self, row: MessageRow, folder: str = "") -> None:
        """Fetch a message's file into ``folder``, or into the usual one."""
        self._ask(self.download_requested.emit, row.mid, row.sender.uid, folder)

    def cancel_transfer(self, mid: str, *, upload: bool) -> None:
        """Stop a file on its way; one that was to be sent is dropped."""
        self._ask(self.cancel_requested.emit, mid, upload)

    def set_timer(self, seconds: int) -> None:
        """From now on messages of the open chat disappear so long after they were read."""
        self._ask(self.timer_requested.emit, seconds)

    def ask_timer(self) -> None:
        """A chat was opened: its timer is wanted."""
        self.put_timer(self._current(), 0)
        self._ask(self.timer_asked.emit)

    def ask_versions(self, mid: str) -> None:
        """What a text has said so far; ``versions_came`` answers."""
        self._ask(self.versions_requested.emit, mid)

    def jump_to(self, position: int) -> None:
        """Show a message that may lie outside the window; the answer is a new first page."""
        self._ask(self.jump_requested.emit, position)

    def put_timer(self, chat_id: str, seconds: int) -> None:
        """Answer to ``ask_timer``, and every later change."""
        if chat_id == self._current() and seconds != self._timer_s:
            self._timer_s = seconds
            self.timer_changed.emit(seconds)

    def put_versions(self, mid: str, versions: Sequence[VersionRow]) -> None:
        """Answer to ``ask_versions``."""
        self.versions_came.emit(mid, tuple(versions))

    def _ask(self, request: Callable[..., None], *arguments: object) -> None:
        if chat_id := self._current():
            request(chat_id, *arguments)
