"""The right column: header, banner, timeline, composer of the open chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, QPoint, pyqtSignal
from PyQt6.QtWidgets import QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.viewmodels.asking import Comparison, GroupMade, RecreateGroup
from mensajeria.desktop.viewmodels.types import MessageRow, MessageState
from mensajeria.desktop.widgets import banner
from mensajeria.desktop.widgets.banner import Banner
from mensajeria.desktop.widgets.composer import Composer
from mensajeria.desktop.widgets.empty import EmptyPane
from mensajeria.desktop.widgets.header import ChatHeader
from mensajeria.desktop.widgets.jump_button import MARGIN, JumpButton
from mensajeria.desktop.widgets.menu import Menu
from mensajeria.desktop.widgets.request_bar import RequestBar
from mensajeria.desktop.widgets.timeline_view import TimelineView

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ChatRow, ErrorNotice


class ChatPane(QStackedWidget):
    """The empty card, or the open chat."""

    told = pyqtSignal(str)
    """A sentence for a toast."""
    back = pyqtSignal()
    verify_wanted = pyqtSignal(str)
    """(user name)"""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__()
        self._ui, self._session = ui, session
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(300)
        self.empty = EmptyPane(ui)
        self.header = ChatHeader(ui)
        self.identity = Banner(ui, height=56, margin=18, closable=True)
        self.comparing = Banner(ui, height=56, margin=18)
        self.timeline = TimelineView(ui, session.timeline)
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
        self._wire()

    def _wire(self) -> None:
        session = self._session
        session.current_changed.connect(self._opened)
        session.current_row_changed.connect(self._show_row)
        session.connection_changed.connect(self.header.show_connection)
        session.timeline.window_changed.connect(self._count)
        self.timeline.seen.connect(session.mark_read)
        self.timeline.retry_wanted.connect(session.retry)
        self.timeline.discard_wanted.connect(session.discard)
        self.timeline.menu_wanted.connect(self._show_menu)
        self.timeline.copy_wanted.connect(self.copy)
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
        self.closed.acted.connect(self._recreate)
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

    def _show_row(self, row: ChatRow) -> None:
        self.header.show_chat(row)
        self.request.setVisible(row.request)
        self.request.show_name(row.title)
        self.composer.setVisible(not row.request and not row.closed)
        if row.closed:
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

    def _recreate(self) -> None:
        if self._session.current:
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

    def _show_menu(self, row: MessageRow, at: QPoint) -> None:
        menu = Menu(self._ui, self)
        if row.text:
            menu.add("message.copy", "copy", lambda: self.copy(row), self._ui.say("keys.copy"))
        if row.state is MessageState.FAILED:
            menu.add("action.retry", "arrow-clockwise", lambda: self._session.retry(row.key))
            menu.add("action.discard", "trash", lambda: self._session.discard(row.key))
        if menu.actions():
            menu.popup(at)

    def copy(self, row: MessageRow) -> None:
        """Copy a message's text as it was written."""
        if row.text:
            present(application().clipboard()).setText(row.text)
            self.told.emit(self._ui.say("message.copied"))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the round button 20 px from the right and 24 px from the bottom."""
        if watched is self.timeline and event is not None and event.type() == QEvent.Type.Resize:
            right = self.timeline.width() - 20 - self.jump.width() + MARGIN
            self.jump.move(right, self.timeline.height() - 24 - self.jump.height() + MARGIN)
        return super().eventFilter(watched, event)
