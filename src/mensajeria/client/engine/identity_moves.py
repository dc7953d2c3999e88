"""Identities that move: whom one follows because the old identity has signed for the new one, and the own moves.

A succession is signed by the old identity and by its recovery authority. Who knows one of the two alone cannot make
one, and a server that hides one only makes the change look like any other: it is shown to everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import Cause, SecurityKind, Trust
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.notices import note as tell
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.trust import note
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import MembershipState
from mensajeria.protocol.succession import SuccessionError, verify_succession

if TYPE_CHECKING:  # they load the libraries of a login
    from mensajeria.client.account import Account
    from mensajeria.client.account_changes import Announced

_ANNOUNCED: Final = "identity_announced"
"""Meta value: record of the own identity that the server was told of, whatever came of it."""
_ANNOUNCED_FROM: Final = "identity_announced_from"
PROOF: Final = "succession"
"""Meta value: what the former own identity has signed for that one; groups ask for it."""
ROOT_FROM: Final = "root_from"
"""Meta number: the first backup version whose keys follow from the account root of now."""
TELL_CHATS: Final = "tell_chats"
"""Meta value: the devices from before a reset are to be cut off in every chat, once one knows which there are."""


def follows(uid: bytes, known: Contact, newest: VerifiedList, proofs: Sequence[bytes]) -> bool:
    """Whether `proofs`, in their order, lead from the known identity of `uid` to the one that signs the newest list."""
    reached: bytes = known.idfp
    for proof in proofs:
        try:
            step = verify_succession(proof)
        except SuccessionError:
            return False
        if step.uid != uid or step.old_idfp != reached:
            return False
        reached = step.new_idfp
    return reached == newest.idfp


def show_renewed(tx: Tx, out: Outcome, me: Me, known: Contact, fresh: Contact) -> None:
    """The person has moved, and proven it: trust goes along, and it is told without an alarm."""
    row = tx.trust.verified(fresh.uid, known.idfp)
    if row is not None and fresh.trust.is_verified:
        tx.trust.put_verified(replace(row, idfp=fresh.idfp))
    former, idfp = known.idfp.hex()[:16], fresh.idfp.hex()[:16]
    note(tx, me.clock.now_ms(), SecurityKind.IDENTITY_RENEWED, fresh.uid, former=former, idfp=idfp)
    for chat_id in tx.chats.with_peer(fresh.uid):
        _tell(tx, out, me, chat_id, Cause.IDENTITY_RENEWED, fresh)


def show_reset_in_groups(tx: Tx, out: Outcome, me: Me, fresh: Contact) -> None:
    """Another identity that nothing proves: in groups its devices get nothing until they were added under it."""
    direct = set(tx.chats.with_peer(fresh.uid))
    for chat_id in tx.chats.with_member(fresh.uid):
        if chat_id not in direct:
            _tell(tx, out, me, chat_id, Cause.IDENTITY_CHANGED, fresh)


def show_changed_members(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, uids: Iterable[Uid]) -> None:
    """A new group names people by an identity that nobody here has accepted yet: it says so from its beginning."""
    for uid in uids:
        contact = tx.contacts.get(uid)
        if contact is not None and contact.trust is Trust.CHANGED:
            _tell(tx, out, me, chat_id, Cause.IDENTITY_CHANGED, contact)


def _tell(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, cause: Cause, about: Contact) -> None:
    chat = tx.chats.get(chat_id)
    assert chat is not None
    tell(tx, out, me, chat, cause, {"handle": about.handle}, about.uid)


# --- the own identity ---


def announce(tx: Tx, announced: Announced) -> None:
    """Before the server hears of it: whatever comes back, this device knows its own new identity again."""
    tx.meta.set(_ANNOUNCED, announced.identity)
    tx.meta.set(PROOF, announced.succession)
    tx.meta.remove(_ANNOUNCED_FROM)
    tx.meta.raise_to(_ANNOUNCED_FROM, announced.backup_ver)


def announced_identity(tx: Tx) -> bytes | None:
    """Record of the identity that this device has asked the server for; None when it never did."""
    return tx.meta.get(_ANNOUNCED)


def first_version(tx: Tx, account: Account) -> int:
    """The first backup version whose keys this login may derive: older ones follow from another account root."""
    if account.served.identity == tx.meta.get(_ANNOUNCED):
        tx.meta.raise_to(ROOT_FROM, tx.meta.number(_ANNOUNCED_FROM))
    if account.recovery_code is not None and account.root_from > 1:  # after a reset
        tx.meta.set(TELL_CHATS, b"1")
    return tx.meta.raise_to(ROOT_FROM, account.root_from)


def succession_from(tx: Tx, me: Me, idfp: bytes) -> bytes | None:
    """The proof that leads from that former own identity to the one of now; None without one."""
    proof = tx.meta.get(PROOF)
    if proof is None or me.contact(tx).identity != tx.meta.get(_ANNOUNCED):
        return None
    try:
        return proof if verify_succession(proof).old_idfp == idfp else None
    except SuccessionError:
        return None


def is_known_in(tx: Tx, me: Me, state: MembershipState) -> bool:
    """Whether the chat knows this person under the identity of now: else nobody takes what is written there."""
    row = state.members.get(me.uid)
    return row is None or row.idfp in {b"", me.contact(tx).idfp}


def under_former_identity(tx: Tx, state: MembershipState) -> frozenset[Uid]:
    """Members whose identity is another one than the chain's: they get nothing until they were added under it."""
    known = {Uid(uid): (row.idfp, tx.contacts.get(Uid(uid))) for uid, row in state.members.items()}
    return frozenset(uid for uid, (idfp, contact) in known.items() if contact is not None and contact.idfp != idfp)


def tell_after_reset(tx: Tx, me: Me) -> None:
    """Once, when the chats are known: what the devices from before the reset sign counts nowhere any more."""
    if tx.meta.get(TELL_CHATS) is not None:
        new_devices.tell_chats(tx, me.contact(tx).list_ver, me.clock.now_ms())
        tx.meta.remove(TELL_CHATS)
