"""The letters by which contacts' devices learn which profile is the own newest one, and what opens it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mensajeria.client.engine.letters import Letter
from mensajeria.client.store.blocks import is_blocked
from mensajeria.client.store.profiles import ProfileRow, ProfileWish
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey

if TYPE_CHECKING:
    from mensajeria.client.engine.me import Me
    from mensajeria.client.engine.outcome import Outcome
    from mensajeria.client.store import Tx
    from mensajeria.client.store.values import Chat

SHARED: Final = "profile:"
"""Before a user's id: the setting by which own devices, new ones too, know the newest profile."""


def named(row: ProfileRow) -> bytes:
    """The encoded record that names a profile: in letters and in the shared setting."""
    return encode(ProfileKey(ver=row.ver, key=row.key.reveal(), hash=row.hash))


def is_contact(tx: Tx, chat: Chat) -> bool:
    """Whether the other member may know the own profile: accepted, not blocked, and nothing is to be asked first."""
    if chat.peer is None or chat.note_to_self or not chat.accepted or is_blocked(tx, chat.peer):
        return False
    contact = tx.contacts.get(chat.peer)
    return contact is not None and not contact.sending_blocked and not tx.contacts.is_gone(chat.peer)


def profile_letters(tx: Tx, me: Me, chat: Chat, devices: Iterable[tuple[Uid, Did]]) -> list[Letter]:
    """For those of these devices that are the contact's and have not been told of the newest version."""
    own = tx.profiles.get(me.uid)
    if own is None or not is_contact(tx, chat):
        return []
    missing = [(uid, did) for uid, did in devices if uid == chat.peer and tx.profiles.told(did) < own.ver]
    content = named(own)
    return [Letter(uid, did, PROFILE_KEY, content, idx=own.ver) for uid, did in missing]


def block_moved(tx: Tx, out: Outcome, me: Me, *, blocked: bool) -> None:
    """Somebody was blocked: the profile is sealed anew, under a key that they are not told. Or is not any more."""
    if blocked and tx.profiles.get(me.uid) is not None:
        tx.profiles.wish(ProfileWish())
    out.profiles = True
