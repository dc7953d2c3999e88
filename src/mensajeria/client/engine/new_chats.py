"""The timer of chats to come: a setting of the account, carried into what this person begins.

A group has it from its first event on. A direct chat has it with the first thing that is written: to open a chat tells
nobody anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context

KEY: Final = "chats.timer"
_BYTES: Final = 4


def timer_for_new(tx: Tx) -> int:
    """Seconds; 0 = none. What this program does not understand counts as never set."""
    stored = tx.settings.get(KEY)
    if stored is None or len(stored.value) != _BYTES:
        return 0
    seconds = int.from_bytes(stored.value, "big")
    return seconds if seconds <= limits.MAX_TIMER_S else 0


def set_timer_for_new(context: Context, tx: Tx, out: Outcome, seconds: int) -> None:
    """Change it, for all devices of the account. Raises InputError (timer_invalid)."""
    if not 0 <= seconds <= limits.MAX_TIMER_S:
        raise InputError("timer_invalid")
    context.settings.put(tx, out, KEY, seconds.to_bytes(_BYTES, "big"))


def carry_timer(context: Context, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
    """Before the first thing is written in a direct chat that was begun here: its timer goes ahead."""
    seconds = tx.timers.wished(chat_id)
    if seconds is not None:
        own.set_timer(tx, out, context.me, context.memberships.of(tx, chat_id).now, seconds)
