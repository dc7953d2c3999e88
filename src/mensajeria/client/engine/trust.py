"""What changes how sure one is of a person, each in one transaction with its trace in the security timeline."""

from __future__ import annotations

from collections.abc import Iterable

from mensajeria.client.api import (
    Cause,
    ContactSecurity,
    IdentityChanged,
    MessageReceived,
    SecurityEntry,
    SecurityKind,
    Trust,
    TrustChanged,
    VerificationMethod,
)
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.client.store.trust import SecurityRow, VerifiedRow
from mensajeria.client.store.values import Contact
from mensajeria.crypto.safety import safety_number
from mensajeria.kit.ids import random16
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import ChatId, Idfp, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import MemberEvent

TIMELINE_LIMIT = 500


def note(
    tx: Tx, now_ms: int, kind: SecurityKind, uid: Uid | None, chat_id: ChatId | None = None, **params: str
) -> None:
    """Keep a line for the security timelines."""
    tx.trust.note(SecurityRow(now_ms, kind, uid, chat_id, params))


def mark_verified(tx: Tx, out: Outcome, me: Me, uid: Uid, idfp: bytes, method: VerificationMethod) -> bool:
    """The person is who this identity says; False when the contact has another one by now: then nothing changes."""
    contact = tx.contacts.get(uid)
    if contact is None or contact.idfp != idfp:
        return False
    now = me.clock.now_ms()
    by_link = method is VerificationMethod.INVITE
    if by_link and contact.trust is Trust.VERIFIED:
        return True
    tx.contacts.set_trust(uid, Trust.INVITE if by_link else Trust.VERIFIED)
    tx.trust.put_verified(VerifiedRow(uid, Idfp(idfp), method, now))
    note(tx, now, SecurityKind.VERIFIED, uid, method=method.value)
    out.giving = True
    _tell(tx, out, me, uid, method)
    return True


def unverify(tx: Tx, out: Outcome, me: Me, uid: Uid) -> bool:
    """The person withdraws it: the contact is as after first use. False when it was not verified."""
    contact = tx.contacts.get(uid)
    if contact is None or not contact.trust.is_verified:
        return False
    tx.contacts.set_trust(uid, Trust.FIRST_USE, sending_blocked=contact.sending_blocked)
    tx.trust.remove_verified(uid)
    note(tx, me.clock.now_ms(), SecurityKind.UNVERIFIED, uid)
    _tell(tx, out, me, uid, None)
    return True


def accept_identity(tx: Tx, out: Outcome, me: Me, uid: Uid) -> bool:
    """The person goes on with a changed identity unverified; False when there was nothing to accept."""
    contact = tx.contacts.get(uid)
    changed = contact is not None and (contact.sending_blocked or contact.trust is Trust.CHANGED)
    if changed:
        tx.contacts.set_trust(uid, Trust.FIRST_USE)
        note(tx, me.clock.now_ms(), SecurityKind.IDENTITY_ACCEPTED, uid)
        out.giving = True
    for chat_id in tx.chats.with_peer(uid):
        tx.chats.set_identity_changed(chat_id, changed=False)
        out.touched.add(chat_id)
    return changed


def show_changed(tx: Tx, out: Outcome, contact: Contact, now_ms: int) -> None:
    """The contact has another identity than was known: direct chats show it until the person has decided."""
    for chat_id in tx.chats.with_peer(contact.uid):
        chat = tx.chats.get(chat_id)
        assert chat is not None
        tx.chats.set_identity_changed(chat_id, changed=True)
        notice = tx.messages.notice(
            chat_id,
            after_seq=chat.cursor,
            mid=Mid(random16()),
            about=contact.uid,
            cause=Cause.IDENTITY_CHANGED,
            at_ms=now_ms,
            params={"handle": contact.handle},
        )
        if notice is not None:
            out.events.append(MessageReceived(notice))
        out.events.append(IdentityChanged(chat_id, tx.contacts.person(contact.uid), contact.sending_blocked))
        out.touched.add(chat_id)


def _tell(tx: Tx, out: Outcome, me: Me, uid: Uid, method: VerificationMethod | None) -> None:
    """Banners of a changed identity go: the person has decided about this very one."""
    for chat_id in tx.chats.with_peer(uid):
        if method is not None:
            tx.chats.set_identity_changed(chat_id, changed=False)
        out.touched.add(chat_id)
    chat_id = ChatId(direct_chat_id(me.server_id, me.uid, uid))
    known = chat_id if tx.chats.get(chat_id) is not None else None
    out.events.append(TrustChanged(known, tx.contacts.person(uid), method))


def note_list(tx: Tx, now_ms: int, uid: Uid, before: VerifiedList, after: VerifiedList) -> None:
    """A newer list: which devices came and went."""
    old = {device.did for device in before.list.devices}
    new = {device.did for device in after.list.devices}
    for did in sorted(new - old):
        note(tx, now_ms, SecurityKind.DEVICE_ADDED, uid, device=did.hex()[:8])
    for did in sorted(old - new):
        note(tx, now_ms, SecurityKind.DEVICE_REMOVED, uid, device=did.hex()[:8])


def number_with(tx: Tx, me: Me, contact: Contact) -> str:
    """The safety number of oneself and the contact."""
    own = me.contact(tx)
    return safety_number([(own.uid, own.idfp), (contact.uid, contact.idfp)])


def security_of(tx: Tx, me: Me, contact: Contact, *, logged: bool | None) -> ContactSecurity:
    """What is known of who the contact is."""
    row = tx.trust.verified(contact.uid, contact.idfp) if contact.trust.is_verified else None
    return ContactSecurity(
        person=tx.contacts.person(contact.uid),
        safety_number=number_with(tx, me, contact),
        verified_by=None if row is None else row.method,
        verified_ms=0 if row is None else row.at_ms,
        sending_blocked=contact.sending_blocked,
        devices=len(verified_list(contact).list.devices),
        logged=logged,
    )


def timeline(tx: Tx, chat_id: ChatId, members: Iterable[Uid]) -> tuple[SecurityEntry, ...]:
    """Everything that touched the security of a chat, oldest first: people, membership, what the server did."""
    entries = [
        SecurityEntry(row.at_ms, row.kind, None if row.uid is None else tx.contacts.person(row.uid), row.params)
        for row in tx.trust.timeline(chat_id, tuple(members), TIMELINE_LIMIT)
    ]
    entries += [
        SecurityEntry(row.at_ms, SecurityKind.WARNING, None, {**row.params, "code": row.code})
        for row in tx.trust.warnings(chat_id, TIMELINE_LIMIT)
    ]
    entries += [_membership(tx, decode_record(MemberEvent, row.body)) for row in tx.chats.member_events(chat_id)]
    return tuple(sorted(entries, key=lambda entry: entry.at_ms)[-TIMELINE_LIMIT:])


def _membership(tx: Tx, event: MemberEvent) -> SecurityEntry:
    by = tx.contacts.person(Uid(event.by_uid))
    named = [Uid(event.who)] if event.who else [Uid(member.uid) for member in event.members]
    who = ", ".join(tx.contacts.person(uid).handle for uid in named)
    return SecurityEntry(event.ts, SecurityKind.MEMBERSHIP, by, {"type": event.type, "by": by.handle, "who": who})
