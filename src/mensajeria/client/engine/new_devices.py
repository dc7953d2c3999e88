"""Own devices that came or went: new ones are shown as such until the person answers, chats hear of removed ones."""

from __future__ import annotations

from typing import Final

from mensajeria.client.store import Tx
from mensajeria.client.store.healing import PendingEvent
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import Did

_NAME: Final = "new_device:"
"""Prefix in the meta table; the value is when the device was first seen here."""

OTHERS_WAIT_MS: Final = 60_000
"""How long the devices that did not remove one leave the signing to the one that did; spread over twice that time."""


def changes(before: VerifiedList, after: VerifiedList) -> tuple[list[Did], list[Did]]:
    """Which devices came and which went from one version of a list to a later one."""
    old, new = ({device.did for device in one.list.devices} for one in (before, after))
    return [Did(did) for did in sorted(new - old)], [Did(did) for did in sorted(old - new)]


def note(tx: Tx, own: Did, came: list[Did], went: list[Did], now_ms: int) -> None:
    """Remember what came as new, and forget what went."""
    for did in came:
        if did != own:
            tx.meta.raise_to(_NAME + did.hex(), now_ms)
    for did in went:
        tx.meta.remove(_NAME + did.hex())


def confirm(tx: Tx, did: Did) -> bool:
    """The person knows the device; False when it was not new."""
    if tx.meta.number(_NAME + did.hex()) == 0:
        return False
    tx.meta.remove(_NAME + did.hex())
    return True


def unconfirmed(tx: Tx) -> frozenset[Did]:
    """The devices that nobody has answered for yet."""
    return frozenset(Did(bytes.fromhex(did)) for did in tx.health.counters(_NAME))


def tell_chats(tx: Tx, dl_ver: int, due_ms: int) -> None:
    """The own list has lost a device with this version: every chat needs a `device` event."""
    for chat in tx.chats.all():
        tx.pending_events.put(PendingEvent(chat.chat_id, dl_ver, 0, due_ms))


def others_due_ms(now_ms: int, chance: float) -> int:
    """When a device that did not remove it looks whether the events are there."""
    return now_ms + int(OTHERS_WAIT_MS * (1 + chance))
