"""The right column: header, banner, timeline, composer of the open chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QKeySequence, QShortcut
from PyQt6.QtWidgets import QFileDialog, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.viewmodels.asking import Comparison, GroupMade, RecreateGroup
from mensajeria.desktop.widgets import banner
from mensajeria.desktop.widgets.banner import Banner
from mensajeria.desktop.widgets.composer import Composer
from mensajeria.desktop.widgets.drop_cover import DropCover
from mensajeria.desktop.widgets.editor import local_files
from mensajeria.desktop.widgets.empty import EmptyPane
from mensajeria.desktop.widgets.header import ChatHeader
from mensajeria.desktop.widgets.jump_button import MARGIN, JumpButton
from mensajeria.desktop.widgets.request_bar import RequestBar
from mensajeria.desktop.widgets.timeline_view import TimelineView
from mensajeria.desktop.windows.chat_search import ChatSearch
from mensajeria.desktop.windows.message_dialogs import TimerDialog
from mensajeria.desktop.windows.row_actions import RowActions

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.parts import Outgoing
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ChatRow, ErrorNotice, MessageRow


class ChatPane(QStackedWidget):
    """The empty card, or the open chat."""

    told = pyqtSignal(str)
    """A sentence for a toast."""
    dialog_wanted = pyqtSignal(object)
    """(function from the host to a dialog and the widget that gets the focus, or ``None``)"""
    back = pyqtSignal()
    verify_wanted = pyqtSignal(str)
    """(user name)"""
    unblock_wanted = pyqtSignal(str)
    """(user name)"""

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session = ui, session
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(300)
        self.empty = EmptyPane(ui)
        self.header = ChatHeader(ui)
        self.identity = Banner(ui, height=56, margin=18, closable=True)
        self.comparing = Banner(ui, height=56, margin=18)
        self.timeline = TimelineView(ui, session.timeline)
        self.search = ChatSearch(ui, session, self.timeline)
        self.jump = JumpButton(ui)
        self.jump.setParent(self.timeline)
        self.composer = Composer(ui)
        self.request = RequestBar(ui)
        self.request.hide()
        self.closed = Banner(ui, height=56, margin=18)
        chat = QWidget()
        column = QVBoxLayout(chat)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.search.bar)
        column.addWidget(self.identity)
        column.addWidget(self.comparing)
        column.addWidget(self.timeline, 1)
        column.addWidget(self.request)
        column.addWidget(self.closed)
        column.addWidget(self.composer)
        self.chat = chat
        self.addWidget(self.empty)
        self.addWidget(chat)
        self.timeline.installEventFilter(self)
        self.acts = RowActions(ui, session, self)
        self._cover = DropCover(ui, self)
        self.setAcceptDrops(True)
        self.composer.editor.setAcceptDrops(False)
        self._wire()
        self._wire_messages()

    def _wire(self) -> None:
        session = self._session
        session.current_changed.connect(self._opened)
        session.current_row_changed.connect(self._show_row)
        session.profiles.changed.connect(self._profile_changed)
        session.connection_changed.connect(self.header.show_connection)
        session.timeline.window_changed.connect(self._count)
        self.timeline.seen.connect(session.mark_read)
        self.timeline.retry_wanted.connect(session.retry)
        self.timeline.discard_wanted.connect(session.discard)
        self.timeline.distance_changed.connect(self._show_jump)
        self.jump.clicked.connect(self._jump)
        self.composer.submitted.connect(self._send)
        self.composer.typing.connect(session.set_typing)
        self.composer.draft_changed.connect(session.save_draft)
        self.identity.closed.connect(session.dismiss_identity_change)
        self.identity.acted.connect(self._verify)
        self.identity.acted_otherwise.connect(session.dismiss_identity_change)
        self.comparing.acted.connect(self._verify)
        self.request.accepted.connect(session.accept_request)
        self.request.declined.connect(session.decline_request)
        self.header.back.connect(self.back)
        self.header.search_wanted.connect(self.search.open)
        self.search.closed.connect(self._focus_after_search)
        self.closed.acted.connect(self._find_way_out)
        session.asks.answered.connect(self._moved)
        session.asks.finished.connect(self._told)
        self._ui.language_changed.connect(self._refresh)
        application().focusWindowChanged.connect(self._window_focused)

    def _opened(self, chat_id: str) -> None:
        row = self._session.current_row
        self.composer.open(chat_id, row.draft if row is not None else "")
        if not chat_id:
            self.setCurrentWidget(self.empty)
            return
        self.setCurrentWidget(self.chat)
        self.header.show_connection(self._session.connection)
        if row is not None:
            self._show_row(row)
        self.composer.editor.setFocus()

    def _profile_changed(self, who: str) -> None:
        row = self._session.current_row
        if row is not None and row.peer == who:
            self.header.show_told(self._session.profiles.find(who).name)

    def _show_row(self, row: ChatRow) -> None:
        self.header.show_chat(row)
        self.header.show_told("" if row.group else self._session.profiles.find(row.peer).name)
        self.request.setVisible(row.request)
        self.request.show_name(row.title)
        self.composer.setVisible(not row.request and not row.closed and not row.blocked)
        if row.blocked:
            title = self._ui.say("blocked.title", name=row.title)
            self.closed.tell(banner.BAD, title, self._ui.say("blocked.text"), "info.unblock")
        elif row.closed:
            way_out = "group.recreate" if row.closed == "group_forked" else ""
            self.closed.tell(banner.BAD, self._ui.say("group.closed"), self._ui.translator.error(row.closed), way_out)
        else:
            self.closed.hide()
        if row.identity_changed:
            title = self._ui.say("identity.title", name=row.title)
            self.identity.tell(banner.IDENTITY, title, self._ui.say("identity.text"), "info.verify", "identity.accept")
        else:
            self.identity.hide()

        self._show_comparison(row)

    def _show_comparison(self, row: ChatRow) -> None:
        """Somebody wants to compare emoji, or a comparison waits here for the person."""
        step = None if row.group else self._session.asks.comparison(row.handle)
        if step is not None and step.phase in {"incoming", "comparing"}:
            title = self._ui.say(f"verification.{step.phase}", name=row.title)
            self.comparing.tell(banner.COMPARE, title, "", "verify.accept")
        else:
            self.comparing.hide()

    def _verify(self) -> None:
        row = self._session.current_row
        if row is not None and row.handle:
            self.verify_wanted.emit(row.handle)

    def _refresh(self) -> None:
        row = self._session.current_row
        if row is not None:
            self._show_row(row)

    def _find_way_out(self) -> None:
        """What can be done so that one can write again."""
        row = self._session.current_row
        if row is not None and row.blocked:
            self.unblock_wanted.emit(row.handle)
        elif row is not None:
            self._session.asks.ask(RecreateGroup(self._session.current))

    def _moved(self, answer: object) -> None:
        """The group that takes the place of the open one is there; or a comparison has moved."""
        row = self._session.current_row
        if isinstance(answer, Comparison) and row is not None:
            self._show_comparison(row)
        if isinstance(answer, GroupMade) and row is not None and row.closed:
            self._session.open_chat(answer.chat_id)

    def _told(self, request: object, error: ErrorNotice | None) -> None:
        if error is not None and isinstance(request, RecreateGroup):
            self._session.notify(error)

    def _send(self, text: str) -> None:
        self._session.send_text(text)
        self._follow()

    def _follow(self) -> None:
        """Show what was just sent."""
        if self._session.timeline.at_end:
            self.timeline.scroll_to_end()
        else:
            self._session.jump_to_latest()

    def _jump(self) -> None:
        """The divider first, then the end."""
        divider = self._session.timeline.divider_row
        if divider > self.timeline.first_visible() and self.timeline.scroll_to_divider():
            return
        if self._session.timeline.at_end:
            self.timeline.scroll_to_end()
        else:
            self._session.jump_to_latest()

    def _show_jump(self, distance: int) -> None:
        self.jump.setVisible(distance > present(self.timeline.viewport()).height())

    def _count(self) -> None:
        row = self._session.current_row
        self.jump.show_count(max(self._session.timeline.unseen, row.unread if row is not None else 0))

    def _window_focused(self) -> None:
        if self._session.current:
            self.timeline.tell_seen()

    # ---- messages --------------------------------------------------------------------------------------------

    def _wire_messages(self) -> None:
        timeline, acts, composer, asked = self.timeline, self.acts, self.composer, self._session.messages
        timeline.menu_wanted.connect(acts.show_menu)
        timeline.copy_wanted.connect(acts.copy)
        timeline.delete_wanted.connect(acts.delete)
        timeline.file_wanted.connect(acts.press_file)
        timeline.react_wanted.connect(acts.choose_reaction)
        timeline.reaction_wanted.connect(asked.toggle_reaction)
        timeline.reply_wanted.connect(self._answer)
        timeline.edit_wanted.connect(self._reword)
        timeline.quote_wanted.connect(self._show_quoted)
        acts.reply.connect(self._answer)
        acts.edit.connect(self._reword)
        acts.told.connect(self.told)
        acts.dialog_wanted.connect(self.dialog_wanted)
        composer.replied.connect(self._reply)
        composer.reworded.connect(asked.edit)
        composer.files_sent.connect(self._send_files)
        composer.attach_wanted.connect(self.attach)
        composer.timer_wanted.connect(self.choose_timer)
        composer.editor.edit_last_wanted.connect(self._reword_last)
        composer.editor.pick_wanted.connect(self._pick)
        asked.timer_changed.connect(composer.show_timer)
        self._ui.language_changed.connect(lambda: composer.show_timer(asked.timer_s))
        QShortcut(QKeySequence("Ctrl+O"), self).activated.connect(self.attach)
        QShortcut(QKeySequence("Ctrl+E"), self).activated.connect(self._choose_emoji)
        QShortcut(QKeySequence("Ctrl+F"), self).activated.connect(self.search.open)
        QShortcut(QKeySequence("F3"), self).activated.connect(lambda: self.search.step(1))
        QShortcut(QKeySequence("Shift+F3"), self).activated.connect(lambda: self.search.step(-1))

    def attach(self) -> None:
        """Choose files to send."""
        if not self.composer.isVisible():
            return
        dialog = QFileDialog(self, self._ui.say("message.choose_files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(self.take_files)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _focus_after_search(self) -> None:
        stop = self.composer.editor if self.composer.isVisible() else self.timeline
        stop.setFocus(Qt.FocusReason.OtherFocusReason)

    def _choose_emoji(self) -> None:
        if self.composer.isVisible():
            self.composer.choose_emoji()

    def take_files(self, paths: list[str]) -> None:
        """Put files into the strip above the composer."""
        self.composer.files.add(paths)
        self.composer.editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def choose_timer(self) -> None:
        """Ask after how long messages disappear."""
        seconds = self._session.messages.timer_s

        def make(host: QWidget) -> tuple[TimerDialog, QWidget]:
            dialog = TimerDialog(self._ui, host, seconds)
            dialog.chosen.connect(self._session.messages.set_timer)
            return dialog, dialog.first()

        self.dialog_wanted.emit(make)

    def step_back(self) -> bool:
        """Give up what the composer is about, else the search; whether there was anything."""
        if self.composer.is_busy:
            self.composer.give_up()
            return True
        searching = self.search.is_open
        self.search.close()
        return searching

    def _answer(self, row: MessageRow) -> None:
        if row.is_message and row.position_is_final:
            self.composer.answer(row)

    def _reword(self, row: MessageRow) -> None:
        if row.is_editable:
            self.composer.reword(row)

    def _reword_last(self) -> None:
        row = self._session.timeline.last_own()
        if row is not None:
            self.composer.reword(row)
            self.timeline.reveal(row.key)

    def _pick(self, step: int) -> None:
        """Walk through the messages that can be answered; below the last one nothing is answered."""
        answered = self.composer.answered
        if answered is None and step > 0:
            return
        row = self._session.timeline.message_beside(answered.key if answered is not None else "", step)
        if row is not None and row.position_is_final:
            self.composer.answer(row)
            self.timeline.reveal(row.key)
        elif step > 0:
            self.composer.give_up()

    def _reply(self, text: str, mid: str) -> None:
        self._session.messages.reply(text, mid)
        self._follow()

    def _send_files(self, files: Outgoing) -> None:
        self._session.messages.send_files(files)
        self._follow()

    def _show_quoted(self, row: MessageRow) -> None:
        """Go to the answered message, in the window or beyond it."""
        quote = row.quote
        if quote is None or quote.position is None:
            self.told.emit(self._ui.say("message.missing"))
            return
        place = self._session.timeline.find_position(quote.position)
        if place >= 0:
            self.timeline.show_row(place)
        else:
            self._session.messages.jump_to(quote.position)

    # ---- dragged files ---------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Files may be dropped where a message could be written."""
        source = event.mimeData() if event is not None else None
        if event is not None and source is not None and self.composer.isVisible() and local_files(source):
            event.acceptProposedAction()
            self._cover.cover()

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """They went elsewhere."""
        self._cover.hide()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take them into the strip; they are sent when the person says so."""
        self._cover.hide()
        source = event.mimeData() if event is not None else None
        if event is not None and source is not None:
            self.take_files(local_files(source))
            event.acceptProposedAction()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the round button 20 px from the right and 24 px from the bottom."""
        if watched is self.timeline and event is not None and event.type() == QEvent.Type.Resize:
            right = self.timeline.width() - 20 - self.jump.width() + MARGIN
            self.jump.move(right, self.timeline.height() - 24 - self.jump.height() + MARGIN)
        return super().eventFilter(watched, event)
