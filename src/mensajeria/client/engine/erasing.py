"""Messages deleted for all: the server drops their ciphertexts, once the signed delete is in the log."""

from __future__ import annotations

import logging
from typing import Final

from mensajeria.client.engine.context import Context
from mensajeria.client.errors import RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.erasures import Erasure
from mensajeria.crypto.message import delete_key, delete_token
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid

_log = logging.getLogger(__name__)
_REFUSED: Final = "refused"


async def erase(context: Context) -> None:
    """Ask for everything that is due; what cannot be asked now stays due. Raises NetworkError, RefusedError."""

    def due(tx: Tx) -> tuple[tuple[tuple[ChatId, tuple[Erasure, ...]], ...], tuple[Secret, ...]]:
        wishes = tx.erasures.due(limits.MAX_ERASE_ITEMS)
        return wishes, context.me.settings_keys(tx) if wishes else ()

    wishes, keys = await context.store.read(due)
    for chat_id, wanted in wishes:
        try:
            await _erase_in(context, chat_id, wanted, [delete_key(key) for key in keys])
        except RefusedError as error:
            if error.code != Code.UNKNOWN_CHAT:
                raise
        await context.store.run(lambda tx: _done(tx, chat_id, wanted))  # noqa: B023 - run at once


async def _erase_in(context: Context, chat_id: ChatId, wanted: tuple[Erasure, ...], keys: list[Secret]) -> None:
    """The token of an own message comes from the key under which it was written: the newest, or an earlier one."""
    left = [one.mid for one in wanted if one.own]
    for key in keys:
        if not left:
            break
        results = await context.rest.chats.erase(chat_id, [(mid, delete_token(key, chat_id, mid)) for mid in left])
        left = [mid for mid, result in zip(left, results, strict=True) if result == _REFUSED]
    others: list[tuple[Mid, None]] = [(one.mid, None) for one in wanted if not one.own]
    results = await context.rest.chats.erase(chat_id, others) if others else []
    if left or _REFUSED in results:
        _log.warning("the server has not erased %d messages", len(left) + results.count(_REFUSED))


def _done(tx: Tx, chat_id: ChatId, wanted: tuple[Erasure, ...]) -> None:
    for one in wanted:
        tx.erasures.done(chat_id, one.mid)
