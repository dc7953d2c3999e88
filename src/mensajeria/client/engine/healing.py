"""Missing sessions: whom to ask for them, what to answer to others who ask, and what of an answer is taken.

A session's binding is signed by its author's device, so any device that has the session may hand it on. Whether it may
be handed to the one who asks is judged by the answering device alone (docs/protocol/e2ee.md §10):

- one's own devices get everything;
- who is a member now and was one when the session began gets it from the index it asks for;
- who joined later gets it only from the session's own device, and from the index that was shared with that person;
- anybody else gets nothing, not even an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from mensajeria.client.api import Lost, Trust
from mensajeria.client.core.ladder import window
from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.giving import Giver
from mensajeria.client.engine.letters import KEY_REQUEST, ROOM_KEY, Letter, devices_of
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.sealing import room_key_name
from mensajeria.client.engine.waiting_rows import ANY_DEVICE, not_given
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import Inbound, KeyRequestRow
from mensajeria.crypto.inbound import InboundSession
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records import KeyRequest, MemberEvent, SessionBinding, ToDevice
from mensajeria.protocol.records_healing import ForwardedKey, KeyWithheld

FORWARDED: Final = "forwarded_key"
WITHHELD: Final = "key_withheld"
REFUSED: Final = "refused"
ANSWERS_PER_HOUR: Final = 20
"""To one device of somebody else."""
OWN_ANSWERS_PER_HOUR: Final = 2000
"""To one own device: a new one has a whole history to ask for."""
ASK_AGAIN_MS: Final = 24 * 3600 * 1000
"""Who said that it cannot help is asked again after a day: it may have been healed itself."""
ANY_LIST: Final = (1 << 62) - 1
"""For `may_write`: membership alone is asked about, not a device list."""


class KeyBackup(Protocol):
    """The account's own backup of sessions, if there is one."""

    async def look_up(self, sessions: Sequence[tuple[ChatId, SessionId]]) -> int:
        """Bring these sessions from the backup; how many came. They are stored and their rows opened.

        Raises RefusedError, NetworkError when the backup cannot be asked now.
        """
        ...


class Healer:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, memberships: Memberships, reader: EnvelopeReader) -> None:
        self._me = me
        self._memberships = memberships
        self._reader = reader
        self._giver = Giver(me, memberships)
        reader.register(FORWARDED, self._forwarded)
        reader.register(WITHHELD, self._withheld)

    # --- asking ---

    def questions(self, tx: Tx, request: KeyRequestRow) -> list[Letter]:
        """The letters of one step: to the own other devices, and to members once the chat is accepted."""
        now, key = self._me.clock.now_ms(), request.key
        silent = tx.sources.cannot_help(key.chat_id, key.session_id, now - ASK_AGAIN_MS)
        asked = [one for one in self._sources(tx, request) if one[1] not in silent]
        for _, did in asked:
            tx.sources.asked(key.chat_id, key.session_id, did, now)
        return [Letter(uid, did, KEY_REQUEST, _question(request, uid, did)) for uid, did in asked]

    def all_answered(self, tx: Tx, request: KeyRequestRow) -> bool:
        """Whether everybody who could be asked has said that it cannot help."""
        answered = tx.sources.cannot_help(request.key.chat_id, request.key.session_id, 0)
        own, others = self._whom(tx, request)
        return all(did in answered for _, did in (*own, *others))

    def why_lost(self, tx: Tx, request: KeyRequestRow) -> Lost:
        """What the sources said in the end."""
        if not self.all_answered(tx, request):
            return Lost.SILENT
        answers = tx.sources.cannot_help(request.key.chat_id, request.key.session_id, 0)
        return Lost.REFUSED if REFUSED in answers.values() else Lost.UNKNOWN

    def _sources(self, tx: Tx, request: KeyRequestRow) -> list[tuple[Uid, Did]]:
        own, others = self._whom(tx, request)
        return own + [(uid, Did(did)) for uid, did in window(others, request.key.session_id, request.step)]

    def _whom(self, tx: Tx, request: KeyRequestRow) -> tuple[list[tuple[Uid, Did]], list[tuple[Uid, Did]]]:
        """Rows from before one joined: besides the own devices only the one that has given them."""
        own, others = self._everybody(tx, request.key.chat_id)
        giver = request.key.did
        return own, others if giver == ANY_DEVICE else [one for one in others if one[1] == giver]

    def _everybody(self, tx: Tx, chat_id: ChatId) -> tuple[list[tuple[Uid, Did]], list[tuple[Uid, Did]]]:
        """The own other devices, and those of the other members once the chat is accepted."""
        chat = tx.chats.get(chat_id)
        if chat is None:
            return [], []
        own = self._devices(tx, self._me.uid)
        if not chat.accepted:
            return own, []
        others = [Uid(uid) for uid in self._memberships.of(tx, chat_id).now.members if uid != self._me.uid]
        return own, [device for uid in others for device in self._devices(tx, uid)]

    def _devices(self, tx: Tx, uid: Uid) -> list[tuple[Uid, Did]]:
        verified = list_of(tx, uid)
        return [] if verified is None else devices_of([verified], but=self._me.did)

    # --- answering ---

    def answer(self, tx: Tx, uid: Uid, did: Did, request: KeyRequest) -> list[Letter]:
        """What goes back to the device that asked: the session, that it cannot be had here, or nothing at all."""
        chat_id, session_id = ChatId(request.chat_id), SessionId(request.session_id)
        if not self._may_hear(tx, uid, did, chat_id):
            return []
        per_hour = OWN_ANSWERS_PER_HOUR if uid == self._me.uid else ANSWERS_PER_HOUR
        if not tx.requests.may_answer(did, self._me.clock.now_ms(), per_hour=per_hour):
            return []
        found = tx.inbound.find(chat_id, session_id)
        letters = [letter for stored in found for letter in self._best(tx, uid, did, stored, request.index)]
        if letters:
            return letters
        reason = REFUSED if found else "unknown"
        withheld = KeyWithheld(chat_id=chat_id, session_id=session_id, reason=reason)
        return [Letter(uid, did, WITHHELD, encode(withheld))]

    def _may_hear(self, tx: Tx, uid: Uid, did: Did, chat_id: ChatId) -> bool:
        """A device of the newest list of somebody who is in the chat now; nothing leaves before it was accepted."""
        chat, theirs = tx.chats.get(chat_id), list_of(tx, uid)
        if chat is None or theirs is None or theirs.find(did) is None:
            return False
        if uid == self._me.uid:
            return True
        member, contact = self._memberships.of(tx, chat_id).now.members.get(uid), tx.contacts.get(uid)
        if not chat.accepted or member is None or contact is None or contact.sending_blocked:
            return False
        return member.idfp in {b"", theirs.idfp}

    def may_have(self, tx: Tx, uid: Uid, did: Did, chat_id: ChatId, session_id: SessionId, idx: int) -> bool:
        """Whether a device may have the key of that index of an own session, by the rules for keys."""
        if not self._may_hear(tx, uid, did, chat_id):
            return False
        for stored in tx.inbound.find(chat_id, session_id):
            if (stored.key.uid, stored.key.did) == (self._me.uid, self._me.did):
                least = self._entitled_from(tx, uid, did, InboundSession.load(stored.state).binding)
                return least is not None and least <= idx
        return False

    def _hand_over(self, tx: Tx, uid: Uid, did: Did, stored: Inbound, index: int) -> Iterator[Letter]:
        session = InboundSession.load(stored.state)
        least = self._entitled_from(tx, uid, did, session.binding)
        if least is None:
            return
        session_id, first = stored.key.session_id, None
        if least == 0 and stored.key.did == self._me.did:
            first = tx.own.get(room_key_name(session_id))
        if first is not None:  # the signed key is better than any export
            yield Letter(uid, did, ROOM_KEY, first.reveal(), session_id)
            return
        start = max(least, index, session.proven_from)
        export = session.export_at(start)
        if export is not None:
            forwarded = ForwardedKey(skb=session.signed_binding, export=export, first_index=start)
            yield Letter(uid, did, FORWARDED, encode(forwarded))

    def _best(self, tx: Tx, uid: Uid, did: Did, stored: Inbound, index: int) -> list[Letter]:
        given = self._given(tx, uid, did, stored, index)
        return given or list(self._hand_over(tx, uid, did, stored, index))

    def _given(self, tx: Tx, uid: Uid, did: Did, stored: Inbound, index: int) -> list[Letter]:
        """Who joined later gets what this device has chosen for them, and is told where it begins."""
        if uid == self._me.uid:
            return []
        letters, start = self._giver.answer(tx, uid, did, stored.key)
        if start is not None and index < start:
            key = stored.key
            withheld = KeyWithheld(chat_id=key.chat_id, session_id=key.session_id, reason="refused")
            letters.append(Letter(uid, did, WITHHELD, encode(withheld)))
        return letters

    def _entitled_from(self, tx: Tx, uid: Uid, did: Did, binding: SessionBinding) -> int | None:
        """The lowest index of the session that the person's device may have; None = none.

        An identity that nothing proves, and that was not accepted, gets again what was sent to it and nothing else.
        What this device had sent before it heard that the person was added, and the log put behind their adding, is
        theirs too: nobody gave them its key.
        """
        if uid == self._me.uid:
            return 0
        chain = self._memberships.of(tx, ChatId(binding.chat_id))
        session_id, contact = SessionId(binding.session_id), tx.contacts.get(uid)
        if contact is not None and contact.trust is Trust.CHANGED:
            share = tx.outbound.shares(session_id).get(did) if binding.did == self._me.did else None
            return None if share is None else share.idx
        was_in = chain.member_at(binding.mhead, uid, ANY_LIST) is True
        if was_in and chain.is_same_person(binding.mhead.seq, uid):
            return 0
        if binding.did != self._me.did:
            return None
        given = [share.idx for share in tx.outbound.shares(session_id).values() if share.uid == uid]
        added = self._added_at(tx, ChatId(binding.chat_id), uid)
        behind = None if added is None else tx.messages.first_index(ChatId(binding.chat_id), session_id, after=added)
        return min([*given, *([] if behind is None else [behind])], default=None)

    @staticmethod
    def _added_at(tx: Tx, chat_id: ChatId, uid: Uid) -> int | None:
        """The row of the event that added the person last; None for somebody who was there from the beginning."""
        for row in reversed(tx.chats.member_events(chat_id)):
            event = decode_record(MemberEvent, row.body)
            if event.type == "add" and any(member.uid == uid for member in event.members):
                return row.chat_seq
        return None

    # --- answers ---

    def _forwarded(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """Only what was asked for is taken, and it is judged by the author's signature, not by who brings it."""
        forwarded = decode_record(ForwardedKey, letter.c)
        binding = self._reader.binding_of(tx, out, forwarded.skb)
        if binding is None or not tx.requests.open(ChatId(binding.chat_id), SessionId(binding.session_id)):
            return
        session = InboundSession.from_export(forwarded.export, binding, forwarded.skb)
        self._reader.keep(tx, out, binding, session, (uid, did))

    def _withheld(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        withheld = decode_record(KeyWithheld, letter.c)
        chat_id, session_id = ChatId(withheld.chat_id), SessionId(withheld.session_id)
        asked = tx.requests.open(chat_id, session_id)
        if asked and asked[0].key.did == did and withheld.reason == REFUSED:
            opened = tx.windows.by(chat_id, (uid, did))
            not_given(tx, out, chat_id, session_id, 0 if opened is None else opened.upto)
        elif asked:
            tx.sources.answered(chat_id, session_id, did, withheld.reason, self._me.clock.now_ms())


def _question(request: KeyRequestRow, uid: Uid, did: Did) -> bytes:
    key = request.key
    asked = KeyRequest(chat_id=key.chat_id, session_id=key.session_id, uid=uid, did=did, index=request.idx)
    return encode(asked)
