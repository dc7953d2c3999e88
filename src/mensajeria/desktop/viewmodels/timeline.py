"""The timeline of the open chat.

A sliding window over stored rows, with what stands around each row (date, divider, grouping).

The window opens with at most ``WINDOW_ROWS`` rows, grows by pages of ``PAGE_ROWS`` when the view nears an end, and
drops rows at the far end above
``MAX_ROWS``. A row's surroundings (``Decor``) are decided here when the row or a neighbour changes, so a view never
maps indexes.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from PyQt6.QtCore import QAbstractListModel, QModelIndex, QObject, Qt, pyqtSignal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from mensajeria.desktop.viewmodels.parts import TransferRow
    from mensajeria.desktop.viewmodels.types import MessageRow, OpenedChat, Page
    from mensajeria.desktop.viewmodels.wording import Wording

WINDOW_ROWS: Final = 160
PAGE_ROWS: Final = 100
MAX_ROWS: Final = 400
GROUP_GAP_MS: Final = 5 * 60 * 1000
_NO_PARENT = QModelIndex()


class Decor(NamedTuple):
    """What stands around a row. ``day``: a date pill above; ``divider``.

    Number in the "new messages" line above, 0 for none.
    """

    first: bool = True
    last: bool = True
    day: date | None = None
    divider: int = 0
    group: bool = False
    """Several people write here: other people's bubbles say whose they are."""


class TimelineModel(QAbstractListModel):
    """Rows of one chat. ``rows`` and ``decor`` may be read directly by a delegate; they are always of equal length."""

    need_older = pyqtSignal(object, int)
    """(position of the oldest row held, how many)"""
    need_newer = pyqtSignal(object, int)
    """(position of the newest row held, how many)"""
    opened = pyqtSignal()
    """A first page is here."""
    page_staged = pyqtSignal()
    """A page waits in ``staged`` for ``commit`` (only with ``staging``)."""
    transfer_moved = pyqtSignal(int)
    """(place of the row whose file has come further)"""
    window_changed = pyqtSignal()
    """``at_start``, ``at_end`` or ``unseen`` changed."""

    def __init__(self, wording: Wording, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wording = wording
        self._asked_older = self._asked_newer = False
        self._divider, self._divider_count = "", 0
        self.chat_id = ""
        self.rows: list[MessageRow] = []
        self.decor: list[Decor] = []
        self.at_start = self.at_end = True
        self.transfers: dict[str, TransferRow] = {}
        """Files on their way, by the message's id. Painted as they are at the moment, they change no layout."""
        self.group = False
        self.target = ""
        """Key of the row that the last ``opened`` is about, or empty."""
        self.unseen = 0
        """Incoming rows that arrived behind the window's end since it was left."""
        self.staging = False
        """Set by a view that wants to lay pages out in idle moments before they come in: see ``commit``."""
        self._staged: list[tuple[Page, bool]] = []
        self.following = True
        """Set by the view: the end is on screen, so a full window drops its oldest rows; else its newest."""

    # ---- Qt's side -------------------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:
        """Number of rows held."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, accessible sentence, or the row itself under ``UserRole``."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self._wording.accessible_message(row)
        return self._wording.body(row) if role == Qt.ItemDataRole.DisplayRole else None

    # ---- reading ---------------------------------------------------------------------------------------------------

    @property
    def divider_row(self) -> int:
        """Place of the row under the "new messages" line, -1 without one."""
        return self.find(self._divider) if self._divider else -1

    def find(self, key: str) -> int:
        """Place of a row, -1 when it is not in the window."""
        return next((place for place, row in enumerate(self.rows) if row.key == key), -1)

    def find_position(self, position: int) -> int:
        """Place of the row at a position, -1 when it is not in the window."""
        place = bisect_left(self.rows, position, key=_position)
        return place if place < len(self.rows) and self.rows[place].position == position else -1

    def last_own(self) -> MessageRow | None:
        """The newest row that the person may word anew."""
        return next((row for row in reversed(self.rows) if row.is_editable), None)

    def message_beside(self, key: str, step: int) -> MessageRow | None:
        """The next message that can be answered: above (-1) or below (+1) the row ``key``; empty starts at the end."""
        at = self.find(key) if key else len(self.rows)
        places = range(at - 1, -1, -1) if step < 0 else range(at + 1, len(self.rows))
        return next((self.rows[place] for place in places if self.rows[place].is_message), None)

    def day_of(self, place: int) -> date:
        """Local day of a row."""
        return self._wording.day(self.rows[place].time_ms)

    # ---- filling ---------------------------------------------------------------------------------------------------

    def clear(self, chat_id: str) -> None:
        """Hold nothing, and belong to ``chat_id``."""
        self.beginResetModel()
        self.chat_id, self.rows, self.decor = chat_id, [], []
        self.at_start = self.at_end = True
        self._asked_older = self._asked_newer = False
        self._staged.clear()
        self._divider, self._divider_count, self.unseen, self.following = "", 0, 0, True
        self.transfers.clear()
        self.target = ""
        self.endResetModel()
        self.window_changed.emit()

    def open(self, opened: OpenedChat) -> None:
        """Hold the first page of a chat. A second page for the same chat (jump to latest) keeps the divider."""
        self.beginResetModel()
        self.rows = list(opened.page.rows)
        self.at_start, self.at_end = opened.page.at_start, opened.page.at_end
        self._asked_older = self._asked_newer = False
        self._staged.clear()
        self.unseen, self.target, self.group = 0, opened.target, opened.group
        if opened.first_unread:
            self._divider, self._divider_count = opened.first_unread, opened.unread
        self.decor = [self._decor(place) for place in range(len(self.rows))]
        self.endResetModel()
        self.opened.emit()
        self.window_changed.emit()

    def fetch_older(self) -> None:
        """Ask for the page before the window, once."""
        if self.rows and not self.at_start and not self._asked_older:
            self._asked_older = True
            self.need_older.emit(self.rows[0].position, PAGE_ROWS)

    def fetch_newer(self) -> None:
        """Ask for the page after the window, once."""
        if self.rows and not self.at_end and not self._asked_newer:
            self._asked_newer = True
            self.need_newer.emit(self.rows[-1].position, PAGE_ROWS)

    def put_older(self, page: Page) -> None:
        """Rows before the oldest one held.

        A page that does not fit before it (the window has moved) is cut to what fits.
        """
        self._take(page, older=True)

    def put_newer(self, page: Page) -> None:
        """Rows after the newest one held."""
        self._take(page, older=False)

    @property
    def staged(self) -> list[tuple[MessageRow, Decor]]:
        """Rows that wait for ``commit``, each with the surroundings that it will have."""
        if not self._staged:
            return []
        page, older = self._staged[0]
        rows = [*page.rows, *self.rows[:1]] if older else [*self.rows[-1:], *page.rows]
        start = page.at_start if older else self.at_start and not self.rows
        decorated = [(row, self._decor(place, rows, at_start=start)) for place, row in enumerate(rows)]
        return decorated[:-1] if older and self.rows else decorated[1:] if self.rows else decorated

    def commit(self) -> None:
        """Let the pages that wait come in."""
        waiting, self._staged = self._staged, []
        for page, older in waiting:
            self._put_page(page, older=older)

    def _take(self, page: Page, *, older: bool) -> None:
        if self.staging and self.rows:
            self._staged.append((page, older))
            self.page_staged.emit()
        else:
            self._put_page(page, older=older)

    def _put_page(self, page: Page, *, older: bool) -> None:
        if older:
            self._put_older(page)
        else:
            self._put_newer(page)

    def _put_older(self, page: Page) -> None:
        self._asked_older = False
        fitting = [row for row in page.rows if not self.rows or row.position < self.rows[0].position]
        self.at_start = page.at_start
        self._insert(0, fitting)
        self._drop_newest()
        self.window_changed.emit()

    def _put_newer(self, page: Page) -> None:
        self._asked_newer = False
        fitting = [row for row in page.rows if not self.rows or row.position > self.rows[-1].position]
        self.at_end = page.at_end
        self.unseen = 0 if page.at_end else self.unseen
        self._insert(len(self.rows), fitting)
        self._drop_oldest()
        self.window_changed.emit()

    def put_transfer(self, mid: str, transfer: TransferRow | None) -> None:
        """A file has come further, or is no longer on its way: only its row is painted anew."""
        if transfer is None:
            self.transfers.pop(mid, None)
        else:
            self.transfers[mid] = transfer
        place = next((place for place, row in enumerate(self.rows) if row.mid == mid and row.file is not None), -1)
        if place >= 0:
            self.transfer_moved.emit(place)

    def put(self, rows: Sequence[MessageRow], gone: Sequence[str] = ()) -> None:
        """New and changed rows, and keys that are no more, in one batch."""
        for key in gone:
            self._remove(self.find(key))
        places = {row.key: place for place, row in enumerate(self.rows)}
        known = [row for row in rows if row.key in places]
        fresh = sorted((row for row in rows if row.key not in places), key=_position)
        for row in known:
            self._replace(row)
        self._put_fresh(fresh)
        if len(self.rows) > MAX_ROWS:
            self._drop_oldest() if self.following else self._drop_newest()
        self.window_changed.emit()

    def refresh(self) -> None:
        """Words have changed (language, midnight, text size): lay everything out again."""
        if self.rows:
            self.dataChanged.emit(self.index(0), self.index(len(self.rows) - 1))

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _put_fresh(self, fresh: list[MessageRow]) -> None:
        tail: list[MessageRow] = []
        for row in fresh:
            if not self.rows or row.position > self.rows[-1].position:
                tail.append(row)
            elif row.position > self.rows[0].position or self.at_start:
                self._insert(bisect_left(self.rows, row.position, key=_position), [row])
        if self.at_end:
            self._insert(len(self.rows), tail)
        else:
            self.unseen += sum(1 for row in tail if not row.outgoing)

    def _replace(self, row: MessageRow) -> None:
        place = self.find(row.key)
        before = self.rows[place - 1].position if place > 0 else -1
        after = self.rows[place + 1].position if place + 1 < len(self.rows) else row.position + 1
        if before < row.position < after:
            if self.rows[place] != row:
                self.rows[place] = row
                self._redecorate(place - 1, place + 1, changed=place)
            return
        self._remove(place)
        self._put_fresh([row])

    def _insert(self, at: int, rows: list[MessageRow]) -> None:
        if not rows:
            return
        self.beginInsertRows(_NO_PARENT, at, at + len(rows) - 1)
        self.rows[at:at] = rows
        self.decor[at:at] = [Decor()] * len(rows)
        for place in range(at, at + len(rows)):
            self.decor[place] = self._decor(place)
        self.endInsertRows()
        self._redecorate(at - 1, at - 1)
        self._redecorate(at + len(rows), at + len(rows))

    def _remove(self, place: int, count: int = 1) -> None:
        if place < 0 or count < 1:
            return
        self.beginRemoveRows(_NO_PARENT, place, place + count - 1)
        del self.rows[place : place + count]
        del self.decor[place : place + count]
        self.endRemoveRows()
        self._redecorate(place - 1, place)

    def _drop_oldest(self) -> None:
        if (excess := len(self.rows) - MAX_ROWS) > 0:
            self.at_start = False
            self._remove(0, excess)

    def _drop_newest(self) -> None:
        if (excess := len(self.rows) - MAX_ROWS) > 0:
            self.at_end = False
            self._remove(MAX_ROWS, excess)

    def _redecorate(self, start: int, stop: int, changed: int = -1) -> None:
        for place in range(max(0, start), min(len(self.rows), stop + 1)):
            decor = self._decor(place)
            if decor != self.decor[place] or place == changed:
                self.decor[place] = decor
                self.dataChanged.emit(self.index(place), self.index(place))

    def _decor(self, place: int, rows: list[MessageRow] | None = None, *, at_start: bool | None = None) -> Decor:
        rows = self.rows if rows is None else rows
        row = rows[place]
        day = self._wording.day(row.time_ms)
        if place == 0:
            new_day = self.at_start if at_start is None else at_start
        else:
            new_day = day != self._wording.day(rows[place - 1].time_ms)
        divider = self._divider_count if row.key == self._divider else 0
        first = place == 0 or not self._joined(rows[place - 1], row)
        last = place + 1 == len(rows) or not self._joined(row, rows[place + 1])
        return Decor(first, last, day if new_day else None, divider, self.group)

    def _joined(self, upper: MessageRow, lower: MessageRow) -> bool:
        """Whether two neighbours belong to the same group."""
        return (
            upper.service is None
            and lower.service is None
            and upper.sender.uid == lower.sender.uid
            and 0 <= lower.time_ms - upper.time_ms < GROUP_GAP_MS
            and lower.key != self._divider
            and self._wording.day(upper.time_ms) == self._wording.day(lower.time_ms)
        )


def _position(row: MessageRow) -> int:
    return row.position
