"""Accounts that are gone, and who comes under their name: another account, whoever is behind it.

A name says nothing of who somebody is: an account that starts anew has another id, other keys and another chat. Who was
known under the name before is not silently replaced by it.
"""

from __future__ import annotations

from dataclasses import replace

from mensajeria.client.api import Cause, SecurityKind, Trust
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.notices import note as tell
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.trust import note
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.ids import Uid


def beside_namesakes(tx: Tx, out: Outcome, me: Me, fresh: Contact) -> Contact:
    """A person who is met for the first time: as a changed identity where the name was somebody else's."""
    former = tx.contacts.namesakes(fresh.handle, fresh.uid)
    if not former:
        return fresh
    for other in former:
        if other.uid != me.uid and not tx.contacts.is_gone(other.uid):
            tx.contacts.doubt(other.uid)
            out.wanted_lists.add(other.uid)
    known = former[0]
    note(
        tx, me.clock.now_ms(), SecurityKind.IDENTITY_CHANGED, fresh.uid,
        former=known.idfp.hex()[:16], idfp=fresh.idfp.hex()[:16],
    )  # fmt: skip
    blocked = any(other.sending_blocked or other.trust.is_verified for other in former)
    return replace(fresh, trust=Trust.CHANGED, sending_blocked=blocked, former_idfp=known.idfp)


def gone(tx: Tx, out: Outcome, me: Me, uid: Uid) -> None:
    """The server knows no such account any more. Its word; so it counts until it shows the person's list again."""
    contact = tx.contacts.get(uid)
    if contact is None or uid == me.uid or not tx.contacts.set_gone(uid, me.clock.now_ms()):
        return
    for chat_id in tx.chats.with_peer(uid):
        chat = tx.chats.get(chat_id)
        assert chat is not None
        tell(tx, out, me, chat, Cause.ACCOUNT_GONE, {"handle": contact.handle}, uid)
        out.touched.add(chat_id)


def there(tx: Tx, out: Outcome, uid: Uid) -> None:
    """The server shows the person's list: the account exists."""
    if tx.contacts.set_there(uid):
        out.touched.update(tx.chats.with_peer(uid))
