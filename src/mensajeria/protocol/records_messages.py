"""Bodies of the message types beside "text" (docs/protocol/e2ee.md §7). The type's name is the format's version.

Which message a body is about stands in the inner message's `refs`, by author and mid.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import U32
from mensajeria.protocol.records import Record

EDIT: Final = "edit"
REACTION: Final = "reaction"
DELETE: Final = "delete"
TIMER: Final = "timer"


class EditBody(Record, frozen=True, kw_only=True):
    """Message type "edit": the new text of the author's own message, which is the only reference."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TEXT_MAX_BYTES)]


class ReactionBody(Record, frozen=True, kw_only=True):
    """Message type "reaction": the author's one emoji for the referenced message; empty takes it back."""

    emoji: Annotated[str, msgspec.Meta(max_length=limits.EMOJI_MAX_BYTES)]


class DeleteBody(Record, frozen=True, kw_only=True):
    """Message type "delete": the referenced message is deleted for everybody.

    `session_id` and `idx` say where it stood in its author's session, so that the tombstone which the server leaves is
    recognised by who never saw the message. Empty and 0 when the deleter does not know.
    """

    session_id: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    idx: U32 = 0


class TimerBody(Record, frozen=True, kw_only=True):
    """Message type "timer": in a direct chat, messages written from now on disappear after `seconds`; 0 = never."""

    seconds: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_TIMER_S)]
