"""What the person has decided about people and message requests, on whichever of the account's devices.

Each decision is a shared setting and names the identity it was made about. The other devices follow it for exactly that
identity: of another one they know that it is not the one that was verified, and encrypt nothing to it unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from mensajeria.client.api import IdentityChanged, SecurityKind, Trust, VerificationMethod
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.shared_settings import SettingsBook
from mensajeria.client.engine.trust import accept_identity, mark_verified, note, show_changed, unverify
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, cat, encode, u32
from mensajeria.protocol.ids import ChatId, Idfp, Uid
from mensajeria.protocol.records import Record
from mensajeria.protocol.records_backup import ChatSetting, ContactSetting

CONTACT: Final = "contact:"
"""Before a user's id: verified in person, withdrawn, or a changed identity accepted unverified."""
INVITED: Final = "invited:"
"""Before a user's id: verified by an invite's link, which counts for less."""
CHAT: Final = "chat:"
"""Before a chat's id: a message request was answered."""
UID_BYTES: Final = 16
CHAT_BYTES: Final = 32
_KINDS: Final = (CONTACT, INVITED)
R = TypeVar("R", bound=Record)


class Marks:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, settings: SettingsBook) -> None:
        self._me = me
        self._settings = settings
        self.wake: Callable[[ChatId], None] | None = None
        """Told of chats in which something may go out now. Set when the client is put together."""
        for kind in _KINDS:
            settings.on(kind, partial(self._person_decided, kind))
        settings.on(CHAT, self._chat_decided)

    # --- decided on this device ---

    def verify(self, tx: Tx, out: Outcome, uid: Uid, idfp: bytes, method: VerificationMethod) -> bool:
        """As `mark_verified`, for all devices."""
        if not mark_verified(tx, out, self._me, uid, idfp, method):
            return False
        self._put(tx, out, _kind_of(method), uid, idfp, verified=True)
        return True

    def withdraw(self, tx: Tx, out: Outcome, uid: Uid) -> bool:
        """As `unverify`, for all devices."""
        changed = unverify(tx, out, self._me, uid)
        if changed:
            self._put_unverified(tx, out, uid)
        return changed

    def accept(self, tx: Tx, out: Outcome, uid: Uid) -> bool:
        """As `accept_identity`, for all devices."""
        changed = accept_identity(tx, out, self._me, uid)
        if changed:
            self._put_unverified(tx, out, uid)
        return changed

    def answered(self, tx: Tx, out: Outcome, chat_id: ChatId, *, accepted: bool) -> None:
        """The message request is accepted or declined, on all devices."""
        tx.chats.set_accepted(chat_id, accepted=accepted, declined=not accepted)
        out.profiles |= accepted
        self._settings.put(tx, out, CHAT + chat_id.hex(), encode(ChatSetting(accepted=accepted)))
        out.touched.add(chat_id)

    def publish(self, tx: Tx, out: Outcome) -> None:
        """Marks in force that the other devices have never been told: from before they were shared."""
        for row in tx.trust.all_verified():
            contact = tx.contacts.get(row.uid)
            if contact is None or contact.idfp != row.idfp or not contact.trust.is_verified:
                continue
            if all(mark.idfp != row.idfp for mark in _marks(tx, row.uid).values()):
                self._put(tx, out, _kind_of(row.method), row.uid, row.idfp, verified=True)

    def moved(self, tx: Tx, out: Outcome, uid: Uid) -> None:
        """The person has moved to another identity, and proven it: what was decided about the former one holds on."""
        contact = tx.contacts.get(uid)
        row = None if contact is None else tx.trust.verified(uid, contact.idfp)
        if contact is not None and row is not None and contact.trust.is_verified:
            self._put(tx, out, _kind_of(row.method), uid, contact.idfp, verified=True)

    def _put_unverified(self, tx: Tx, out: Outcome, uid: Uid) -> None:
        contact = tx.contacts.get(uid)
        assert contact is not None, "its trust has just changed"
        invited = _marks(tx, uid).get(INVITED)
        if invited is not None and invited.verified:
            self._put(tx, out, INVITED, uid, contact.idfp, verified=False)
        self._put(tx, out, CONTACT, uid, contact.idfp, verified=False)

    def _put(self, tx: Tx, out: Outcome, kind: str, uid: Uid, idfp: bytes, *, verified: bool) -> None:
        self._settings.put(tx, out, kind + uid.hex(), encode(ContactSetting(idfp=idfp, verified=verified)))
        _followed(tx, kind, uid)

    # --- decided on another one ---

    def met(self, tx: Tx, out: Outcome, uid: Uid) -> None:
        """A person's list was stored: another device may have decided about this identity before it was known here."""
        self._follow(tx, out, uid, news=False)

    def chat_met(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        """The chat is here: its request may have been answered elsewhere."""
        chat, answer = tx.chats.get(chat_id), self.answer(tx, chat_id)
        if chat is None or answer is None or (chat.accepted, chat.declined) == (answer, not answer):
            return
        tx.chats.set_accepted(chat_id, accepted=answer, declined=not answer)
        out.touched.add(chat_id)
        out.earlier |= answer
        out.profiles |= answer

    @staticmethod
    def answer(tx: Tx, chat_id: ChatId) -> bool | None:
        """What the person has answered to the request, on any device; None: nothing yet."""
        found = _value(tx, CHAT + chat_id.hex(), ChatSetting)
        return None if found is None else found.accepted

    def _person_decided(self, kind: str, tx: Tx, out: Outcome, key: str, _value: bytes) -> None:
        uid = _id_of(key, kind, UID_BYTES)
        if uid is not None:
            self._follow(tx, out, Uid(uid), news=True)

    def _chat_decided(self, tx: Tx, out: Outcome, key: str, _value: bytes) -> None:
        chat_id = _id_of(key, CHAT, CHAT_BYTES)
        if chat_id is not None:
            self.chat_met(tx, out, ChatId(chat_id))

    def _follow(self, tx: Tx, out: Outcome, uid: Uid, *, news: bool) -> None:
        contact = tx.contacts.get(uid)
        if contact is None or uid == self._me.uid:
            return
        marks = _marks(tx, uid)
        here = [kind for kind, mark in marks.items() if mark.idfp == contact.idfp]
        elsewhere = [mark for mark in marks.values() if mark.verified and mark.idfp != contact.idfp]
        if here:
            # What was followed once is not followed again when an identity comes back: that is told as a change.
            if news or not all(_is_followed(tx, kind, uid) for kind in here):
                self._obey(tx, out, contact, [kind for kind in here if marks[kind].verified])
                for kind in here:
                    _followed(tx, kind, uid)
        elif elsewhere:
            if news:
                out.wanted_lists.add(uid)  # whoever verified it may know a newer one
            self._contradict(tx, out, contact, Idfp(elsewhere[0].idfp))

    def _obey(self, tx: Tx, out: Outcome, contact: Contact, verified: Collection[str]) -> None:
        """The person has decided about this very identity."""
        uid, trust = contact.uid, contact.trust
        if CONTACT in verified:
            if trust is not Trust.VERIFIED:
                mark_verified(tx, out, self._me, uid, contact.idfp, VerificationMethod.DEVICE)
        elif INVITED in verified:
            if not trust.is_verified:
                mark_verified(tx, out, self._me, uid, contact.idfp, VerificationMethod.INVITE)
        elif trust.is_verified:
            unverify(tx, out, self._me, uid)
        else:
            accept_identity(tx, out, self._me, uid)
        self._wake(tx, out, uid)

    def _contradict(self, tx: Tx, out: Outcome, contact: Contact, verified: Idfp) -> None:
        """Another identity than this was verified: the same as if it had changed here."""
        if contact.sending_blocked:
            return
        now, known = self._me.clock.now_ms(), contact.trust is Trust.CHANGED
        former = contact.former_idfp if known else verified
        changed = replace(contact, trust=Trust.CHANGED, sending_blocked=True, former_idfp=former)
        tx.contacts.put(changed)
        if not known:
            ids = {"former": verified.hex()[:16], "idfp": contact.idfp.hex()[:16]}
            note(tx, now, SecurityKind.IDENTITY_CHANGED, contact.uid, None, **ids)
            show_changed(tx, out, changed, now)
            return
        for chat_id in tx.chats.with_peer(contact.uid):
            out.events.append(IdentityChanged(chat_id, tx.contacts.person(contact.uid), blocked=True))
            out.touched.add(chat_id)

    def _wake(self, tx: Tx, out: Outcome, uid: Uid) -> None:
        if self.wake is not None:
            out.after += [partial(self.wake, chat_id) for chat_id in tx.chats.with_member(uid)]


def _kind_of(method: VerificationMethod) -> str:
    return INVITED if method is VerificationMethod.INVITE else CONTACT


def _marks(tx: Tx, uid: Uid) -> dict[str, ContactSetting]:
    found = {kind: _value(tx, kind + uid.hex(), ContactSetting) for kind in _KINDS}
    return {kind: mark for kind, mark in found.items() if mark is not None}


def _value(tx: Tx, key: str, form: type[R]) -> R | None:
    """A setting's value; what this program does not understand counts as never set."""
    stored = tx.settings.get(key)
    if stored is None or not stored.value:
        return None
    try:
        return decode_record(form, stored.value)
    except (MalformedError, NewerVersionError):
        return None


def _id_of(key: str, kind: str, length: int) -> bytes | None:
    """Whom or what a setting is about; None when another program has written something else there."""
    text = key.removeprefix(kind)
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == length and found.hex() == text else None


def _followed(tx: Tx, kind: str, uid: Uid) -> None:
    """This device has acted on the mark as it is now."""
    tx.meta.set(f"mark:{kind}{uid.hex()}", _state(tx, kind, uid))


def _is_followed(tx: Tx, kind: str, uid: Uid) -> bool:
    return tx.meta.get(f"mark:{kind}{uid.hex()}") == _state(tx, kind, uid)


def _state(tx: Tx, kind: str, uid: Uid) -> bytes:
    stored = tx.settings.get(kind + uid.hex())
    return b"" if stored is None else cat(u32(stored.counter), stored.did, stored.value)
