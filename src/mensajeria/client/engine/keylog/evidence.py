"""What others were shown of the key log: their claims, and the signed heads that devices exchange about them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from mensajeria.client.core import keylog as core
from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.keylog.mirror import LOG_KEY, known_head
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.keylog import Claim, Evidence
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import Signed, ToDevice, TreeHead
from mensajeria.protocol.records_trust import STH, LogEvidence
from mensajeria.protocol.transparency import TreeHeadError, verify_tree_head

_log = logging.getLogger(__name__)
ANSWER_EVERY_MS: Final = 60_000
ASK_AGAIN_MS: Final = 24 * 3600 * 1000
Deliver = Callable[[Sequence[Letter]], Awaitable[None]]


class Exchange:
    """Asks who claims what does not fit, and answers who asks. In the store's thread, except for `send`."""

    def __init__(self, me: Me, envelopes: EnvelopeReader) -> None:
        self._me = me
        self._letters: deque[Letter] = deque()
        self._answered: dict[Did, int] = {}
        envelopes.register(STH, self._evidence_came)

    async def send(self, deliver: Deliver) -> None:
        """Hand over the letters that wait."""
        while self._letters:
            batch = list(self._letters)
            self._letters.clear()
            await deliver(batch)

    def check_claims(self, tx: Tx, head: TreeHead) -> None:
        """What others say of sizes that are here by now. A false one: their signed head is asked for, with the own."""
        now, mine = self._me.clock.now_ms(), tx.key_log.head()
        for claim in tx.key_log.claims():
            root = tx.key_log.root_at(claim.size) if head.size <= core.MIRROR_MAX else None
            if root == claim.root:
                tx.key_log.remove_claim(claim.did)
            elif mine is not None and now - claim.asked_ms >= ASK_AGAIN_MS:
                tx.key_log.put_claim(Claim(claim.uid, claim.did, claim.size, claim.root, now))
                question = LogEvidence(size=claim.size, ask=True, head=mine[0])
                self._letters.append(Letter(claim.uid, claim.did, STH, encode(question)))

    def _evidence_came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """A device shows the signed head it was given. Two that contradict each other prove what the server did."""
        shown = decode_record(LogEvidence, letter.c, max_size=2048)
        key, mine = tx.meta.get(LOG_KEY), tx.key_log.head()
        if key is None or mine is None or not _knows(tx, uid):
            return
        if shown.head is not None:
            self._judge_evidence(tx, out, uid, did, shown.head, key)
        if shown.ask:
            self._answer(tx, out, uid, did, shown.size)

    def _judge_evidence(self, tx: Tx, out: Outcome, uid: Uid, did: Did, signed: Signed, key: bytes) -> None:
        try:
            theirs = verify_tree_head(signed, log_key=key)
        except TreeHeadError:
            _log.warning("a head of the key log that its key has not signed: nothing follows from it")
            return
        my_signed, mine = known_head(tx)
        assert mine is not None
        now = self._me.clock.now_ms()
        my_root = tx.key_log.root_at(theirs.size) if mine.size <= core.MIRROR_MAX else None
        if core.contradicts(theirs, mine, my_root):
            if tx.key_log.put_evidence(Evidence(core.FORKED, signed, my_signed, now)):
                out.warn(tx, core.FORKED, now, None, handle=tx.contacts.person(uid).handle)
        elif my_root is None:
            out.log_due = True  # they are ahead: look again
        else:
            tx.key_log.remove_claim(did)

    def _answer(self, tx: Tx, out: Outcome, uid: Uid, did: Did, size: int) -> None:
        now = self._me.clock.now_ms()
        if now - self._answered.get(did, 0) < ANSWER_EVERY_MS:
            return
        known = tx.key_log.head_at(size) or known_head(tx)[0]
        content = encode(LogEvidence(size=size, ask=False, head=known))
        self._answered[did] = now
        out.after.append(partial(self._letters.append, Letter(uid, did, STH, content)))
        out.log_due = True


def _knows(tx: Tx, uid: Uid) -> bool:
    """Whether a letter to this person may leave: not before their request was accepted."""
    return any(chat is not None and chat.accepted for chat in map(tx.chats.get, tx.chats.with_member(uid)))
