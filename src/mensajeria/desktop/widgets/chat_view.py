"""The chat list as a view: opens a chat on press or Enter, and says why it is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QModelIndex, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QAbstractItemView, QFrame, QListView

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.chat_delegate import ChatDelegate
from mensajeria.desktop.widgets.scrollbar import OverlayScrollBar

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel


class ChatView(QListView):
    """Rows of ``session.chats``."""

    chosen = pyqtSignal(str)

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__()
        self._ui, self._session = ui, session
        self._needle = ""
        self.setModel(session.chats)
        self.setItemDelegate(ChatDelegate(ui, session, self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        present(self.viewport()).setAutoFillBackground(False)
        OverlayScrollBar(self)
        present(self.verticalScrollBar()).setSingleStep(34)
        self.clicked.connect(self._pressed)
        session.current_changed.connect(self._follow)
        ui.theme_changed.connect(self._repaint)
        ui.faces.ready.connect(self._repaint)
        ui.language_changed.connect(self._rename)
        self._rename()

    def set_needle(self, text: str) -> None:
        """The search text, for the empty list's words."""
        self._needle = text
        self._repaint()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter opens the row; letters are left to the window."""
        if event is None:
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._pressed(self.currentIndex())
        elif (
            event.text().isprintable() and event.text() and event.key() != Qt.Key.Key_Space
        ) or event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """The rows, or a sentence when there are none."""
        super().paintEvent(event)
        if self._session.chats.visible:
            return
        painter = QPainter(self.viewport())
        painter.setFont(fonts.font(fonts.PREVIEW))
        painter.setPen(self._ui.theme["text2"])
        box = QRectF(24, 24, self.width() - 48, 120)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(box, flags, self.empty_sentence)

    @property
    def empty_sentence(self) -> str:
        """Why the list is empty."""
        if self._needle:
            return self._ui.say("sidebar.nothing", text=self._needle[:60])
        if self._session.chats.groups_only:
            return self._ui.say("sidebar.no_groups")
        if self._session.chats.total:
            return self._ui.say("sidebar.no_unread")
        return self._ui.say("sidebar.no_chats")

    def _pressed(self, index: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self._session.chats.visible[index.row()].chat_id)

    def _follow(self, chat_id: str) -> None:
        place = self._session.chats.position(chat_id) if chat_id else -1
        if place >= 0:
            self.setCurrentIndex(self._session.chats.index(place))
        self._repaint()

    def _repaint(self) -> None:
        present(self.viewport()).update()

    def _rename(self) -> None:
        self.setAccessibleName(self._ui.say("sidebar.list_name"))
        self._repaint()
