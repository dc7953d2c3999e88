"""After a declared restore: the server gets the own device lists back that it lacks, before anything else is done.

What other people's lists the server has forgotten, their own devices bring back. Until then their pinned list counts.
"""

from __future__ import annotations

import logging
from typing import Final

from mensajeria.client.engine.context import Context
from mensajeria.client.errors import ClientError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.devices import decode_device_list
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records import Signed

_log = logging.getLogger(__name__)
LISTS_DUE: Final = "own_lists_due"
"""Counter of the meta table: the restore epoch for which the server may still lack own lists."""
RESTORED_AT: Final = "server_restored_ms"
"""Counter of the meta table: when this device last heard of a declared restore."""


def note_restore(tx: Tx, epoch: int, now_ms: int) -> None:
    """The server says that it was restored: lists pinned before may be newer than those it has."""
    tx.meta.raise_to(LISTS_DUE, epoch)
    tx.meta.raise_to(RESTORED_AT, now_ms)


def may_be_behind(tx: Tx, contact: Contact) -> bool:
    """Whether the server may honestly have an older list of this person than the pinned one.

    Only until it has shown that one, or a newer one, again: from then on an older list is a rollback as ever.
    """
    return contact.updated_ms <= tx.meta.number(RESTORED_AT)


async def bring_back(context: Context) -> None:
    """Give the server what it lacks of the own lists. What fails is tried again on the next connection."""
    if not await context.store.read(lambda tx: tx.meta.number(LISTS_DUE)):
        return
    try:
        served = await context.rest.users.keys(context.me.uid)
        stored = decode_device_list(served.device_list.body).ver
        lacking = await context.store.read(lambda tx: _lacking(context.me.contact(tx), stored, tx))
        if lacking is not None:
            await context.rest.account.bring_back_lists(*lacking)
    except RefusedError as error:
        if error.code != Code.LIST_CONFLICT:  # another own device was faster
            _log.info("own lists are brought back later: %s", error.code)
            return
    except (ClientError, MalformedError) as error:
        _log.info("own lists are brought back later: %s", error)
        return
    await context.store.run(lambda tx: tx.meta.remove(LISTS_DUE))


def _lacking(own: Contact, stored: int, tx: Tx) -> tuple[list[bytes], Signed] | None:
    """The bodies between and the newest list; None when the server has all, or this device has not all between."""
    if stored >= own.list_ver:
        return None
    between = [tx.contacts.list_body(own.uid, ver) for ver in range(stored + 1, own.list_ver)]
    kept = [body for body in between if body is not None]
    if len(kept) != len(between):
        raise ClientError("list_forked", "this device does not have the lists between")
    return kept, Signed(own.list_body, own.list_sig)
