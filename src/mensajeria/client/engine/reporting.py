"""Telling the operator about a person: only what the reporter has chosen, and shown before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mensajeria.client.api import Message, MessageKind, Person, Report
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Mid

_LATEST_MS: Final = 253_402_300_799_000
"""The last second of the year 9999: a sender can claim any time."""


def draft(tx: Tx, person: Person, words: str, chat_id: ChatId | None, mids: Sequence[Mid]) -> Report:
    """What would be told: the words, and the chosen messages with the time that their author claims.

    Raises InputError: empty_text, malformed_text, report_too_long, unknown_chat, unknown_message (none that this person
    has written and that can be read here).
    """
    if mids and (chat_id is None or tx.chats.get(chat_id) is None):
        raise InputError("unknown_chat")
    quoted = [] if chat_id is None else [_quote(_chosen(tx, chat_id, person, mid)) for mid in dict.fromkeys(mids)]
    text = "\n\n".join(part for part in (words.strip(), *quoted) if part)
    _check(text)
    return Report(person, text, chat_id if quoted else None)


def _chosen(tx: Tx, chat_id: ChatId, person: Person, mid: Mid) -> Message:
    message = tx.messages.find(chat_id, mid, person.uid)
    if message is None or message.kind not in {MessageKind.TEXT, MessageKind.FILE}:
        raise InputError("unknown_message")
    return message


def _quote(message: Message) -> str:
    sent = datetime.fromtimestamp(min(max(message.sent_ms, 0), _LATEST_MS) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = "" if message.attachment is None else f"[{message.attachment.name}] "
    return f"{sent} {message.sender.handle}: {file}{message.text}"


def _check(text: str) -> None:
    if not text:
        raise InputError("empty_text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("malformed_text") from error
    if len(text) > limits.REPORT_MAX_CHARS:
        raise InputError("report_too_long", params={"limit": str(limits.REPORT_MAX_CHARS)})
