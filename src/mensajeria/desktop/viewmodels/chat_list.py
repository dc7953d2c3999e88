"""The chat list: rows sorted newest first, narrowed by a search text, by "unread only" and "groups only"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QAbstractListModel, QModelIndex, QObject, Qt, pyqtSignal

from mensajeria.desktop.viewmodels.finding import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.viewmodels.profiles import ProfilesModel
    from mensajeria.desktop.viewmodels.types import ChatRow
    from mensajeria.desktop.viewmodels.wording import Wording

_NO_PARENT = QModelIndex()
_STEPWISE_LIMIT = 8
"""Batches with more changes than this reset the model: one relayout is cheaper than many moves."""


class ChatListModel(QAbstractListModel):
    """Rows of all chats. ``visible`` may be read directly by a delegate (no copies through ``data``)."""

    counts_changed = pyqtSignal()

    def __init__(self, wording: Wording, profiles: ProfilesModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wording, self._profiles = wording, profiles
        profiles.changed.connect(self._told)
        self._all: dict[str, ChatRow] = {}
        self._needle = ""
        self._unread_only = False
        self._groups_only = False
        self._kept = ""
        self.visible: list[ChatRow] = []

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:
        """Number of visible rows."""
        return 0 if parent.isValid() else len(self.visible)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Title, accessible sentence, or the row itself under ``UserRole``."""
        if not index.isValid():
            return None
        row = self.visible[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self._wording.accessible_chat(row)
        return row.title if role == Qt.ItemDataRole.DisplayRole else None

    @property
    def total(self) -> int:
        """Number of chats, filtered out ones included."""
        return len(self._all)

    @property
    def unread_chats(self) -> int:
        """Number of chats with unread messages."""
        return sum(1 for row in self._all.values() if row.unread)

    @property
    def needle(self) -> str:
        """The search text in force, folded."""
        return self._needle

    @property
    def groups_only(self) -> bool:
        """Only groups are shown."""
        return self._groups_only

    def find(self, chat_id: str) -> ChatRow | None:
        """The chat's row, also when it is filtered out."""
        return self._all.get(chat_id)

    def position(self, chat_id: str) -> int:
        """Visible place of a chat, -1 when it is not visible."""
        return next((place for place, row in enumerate(self.visible) if row.chat_id == chat_id), -1)

    def matching(self, text: str) -> list[ChatRow]:
        """All chats whose title, handle or profile's name holds ``text``, newest first, whatever the filter."""
        needle = fold(text.strip())
        return self._sorted([row for row in self._all.values() if self._matches(row, needle)])

    def set_filter(self, text: str, *, unread_only: bool, groups_only: bool = False, keep: str = "") -> None:
        """Narrow the list.

        ``keep`` is the id of a chat (the open one) that stays although it has been read meanwhile.
        """
        self._needle, self._unread_only, self._groups_only = fold(text.strip()), unread_only, groups_only
        self._kept = keep
        self._reset()

    def put(self, rows: Sequence[ChatRow], gone: Sequence[str] = ()) -> None:
        """Insert or replace ``rows``, take away the chats in ``gone``; one batch, at most one reset."""
        changed = [row for row in rows if self._all.get(row.chat_id) != row]
        removed = [chat_id for chat_id in gone if chat_id in self._all]
        if len(changed) + len(removed) > _STEPWISE_LIMIT:
            self._all.update((row.chat_id, row) for row in changed)
            for chat_id in removed:
                self._all.pop(chat_id)
            self._reset()
        else:
            for chat_id in removed:
                self._remove(chat_id)
            for row in changed:
                self._put_one(row)
        if changed or removed:
            self.counts_changed.emit()

    def refresh(self) -> None:
        """Words have changed (language, midnight): repaint all."""
        if self.visible:
            self.dataChanged.emit(self.index(0), self.index(len(self.visible) - 1))

    def _put_one(self, row: ChatRow) -> None:
        old = self.position(row.chat_id)
        self._all[row.chat_id] = row
        if not self._shown(row):
            self._hide(old)
            return
        others = self.visible[:old] + self.visible[old + 1 :] if old >= 0 else self.visible
        new = next((place for place, other in enumerate(others) if _order(row) < _order(other)), len(others))
        if old < 0:
            self.beginInsertRows(_NO_PARENT, new, new)
            self.visible.insert(new, row)
            self.endInsertRows()
            return
        if new != old:
            self.beginMoveRows(_NO_PARENT, old, old, _NO_PARENT, new + 1 if new > old else new)
            self.visible.insert(new, self.visible.pop(old))
            self.endMoveRows()
        self.visible[new] = row
        self.dataChanged.emit(self.index(new), self.index(new))

    def _remove(self, chat_id: str) -> None:
        self._hide(self.position(chat_id))
        self._all.pop(chat_id)

    def _hide(self, place: int) -> None:
        if place >= 0:
            self.beginRemoveRows(_NO_PARENT, place, place)
            self.visible.pop(place)
            self.endRemoveRows()

    def _reset(self) -> None:
        self.beginResetModel()
        self.visible = self._sorted([row for row in self._all.values() if self._shown(row)])
        self.endResetModel()

    def _shown(self, row: ChatRow) -> bool:
        if self._unread_only and not row.unread and row.chat_id != self._kept:
            return False
        if self._groups_only and not row.group:
            return False
        return self._matches(row, self._needle)

    def _matches(self, row: ChatRow, needle: str) -> bool:
        if not needle or needle in fold(row.title) or needle.removeprefix("@") in row.handle:
            return True
        told = self._profiles.find(row.peer) if row.peer else None
        return told is not None and needle in fold(told.name)

    def _told(self, who: str) -> None:
        """Somebody has another name: a search may find their chat now, or not any more."""
        if self._needle and any(row.peer == who for row in self._all.values()):
            self._reset()

    @staticmethod
    def _sorted(rows: list[ChatRow]) -> list[ChatRow]:
        return sorted(rows, key=_order)


def _order(row: ChatRow) -> tuple[int, str, str]:
    return (-row.sort_ms, row.title, row.chat_id)
