"""Which messages a person is told of, and in what words. Pure: who tells, and how, is not known here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mensajeria.desktop.viewmodels.types import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mensajeria.desktop.viewmodels.types import ChatRow, Preferences
    from mensajeria.desktop.viewmodels.wording import Wording

APART: Final = 3
"""Chats that are told of one by one; what came in more of them at once is told as a number."""
TEXT_MAX: Final = 200
TITLE_MAX: Final = 80
_NAME: Final = "MensajeriaApp"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of somebody else; its text (of a file: its name) is untrusted."""

    chat_id: str
    sender: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """What is shown. ``chat_id`` is opened when it is pressed, empty: only the window comes to the front."""

    chat_id: str
    title: str
    text: str = field(repr=False)


class NoteWriter:
    """``find`` gives the row of a chat."""

    def __init__(self, wording: Wording, find: Callable[[str], ChatRow | None]) -> None:
        self._wording, self._find = wording, find

    def notes(self, arrivals: Sequence[Arrival], chosen: Preferences, in_front: str) -> list[Note]:
        """What to tell about messages that came together. ``in_front``: the chat that the person looks at."""
        if not chosen.notify or chosen.do_not_disturb:
            return []
        chats: dict[str, list[Arrival]] = {}
        for arrival in arrivals:
            if arrival.chat_id != in_front and self._is_told(arrival.chat_id):
                chats.setdefault(arrival.chat_id, []).append(arrival)
        if len(chats) > APART:
            tr = self._wording.translator.tr
            words = tr("note.many", count=sum(map(len, chats.values())), chats=len(chats))
            return [Note("", _NAME, words)]
        return [self._note(row, came, chosen.told) for key, came in chats.items() if (row := self._find(key))]

    def _is_told(self, chat_id: str) -> bool:
        row = self._find(chat_id)
        return row is not None and not row.blocked and not self._wording.is_muted(row)

    def _note(self, row: ChatRow, came: list[Arrival], told: Told) -> Note:
        tr, last = self._wording.translator.tr, came[-1]
        if row.request:  # a stranger chooses their name and words: neither is shown before they are let in
            return Note(row.chat_id, _NAME, tr("note.request"))
        words = tr("note.new", count=len(came))
        if told is Told.HIDDEN:
            return Note(row.chat_id, _NAME, words)
        title = one_line(row.title, TITLE_MAX)
        if told is Told.SENDER or len(came) > 1:
            return Note(row.chat_id, title, words)
        text = one_line(last.text, TEXT_MAX)
        return Note(row.chat_id, title, f"{one_line(last.sender, TITLE_MAX)}: {text}" if row.group else text)


def one_line(text: str, most: int) -> str:
    """Untrusted text as it may stand outside of the window: printable, on one line, not too long."""
    kept = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * most]).split())
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"
