"""People, chats and messages for the tests."""

from __future__ import annotations

from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    MessageRow,
    MessageState,
    OpenedChat,
    Page,
    Person,
)

DAY_MS = 86_400_000
MINUTE_MS = 60_000
NOW_MS = 1_795_500_000_000
"""Tuesday, 24 November 2026, 06:00 UTC."""
ANA = Person("a1", "ana", "Ana Soto", 1)
BRUNO = Person("b2", "bruno", "Bruno Díaz", 2)


def chat(chat_id: str, title: str, sort_ms: int = 0, **more: object) -> ChatRow:
    """A chat row; ``more`` overrides any field."""
    fields: dict[str, object] = {"time_ms": NOW_MS - DAY_MS, "sort_ms": sort_ms, "handle": title.lower(), **more}
    return ChatRow(chat_id, title, 3, **fields)  # type: ignore[arg-type]


def incoming(position: int, text: str = "", *, time_ms: int | None = None) -> MessageRow:
    """A message of Bruno."""
    when = NOW_MS - DAY_MS + position * MINUTE_MS if time_ms is None else time_ms
    return MessageRow(f"k{position}", position, BRUNO, outgoing=False, time_ms=when, text=text or f"text {position}")


def outgoing(position: int, text: str = "", state: MessageState = MessageState.SENT) -> MessageRow:
    """An own message."""
    when = NOW_MS - DAY_MS + position * MINUTE_MS
    row = MessageRow(f"k{position}", position, ANA, outgoing=True, time_ms=when, text=text or f"mine {position}")
    return MessageRow(row.key, row.position, row.sender, row.outgoing, row.time_ms, row.text, state)


def opened(
    chat_id: str,
    rows: list[MessageRow],
    *,
    at_start: bool = True,
    at_end: bool = True,
    first_unread: str = "",
    unread: int = 0,
) -> OpenedChat:
    """The first page of a chat."""
    return OpenedChat(Page(chat_id, tuple(rows), at_start=at_start, at_end=at_end), first_unread, unread)
