"""What waits here has a row in the log: the profile that this one was copied from has sent it, or this one has before.

A profile that was put back from a copy is a new device with the former one's outbox. The server stores one message
under an id; so the log's word stands, what waits here under that id goes, and nothing is shown twice. The same holds
for a ciphertext that was given up for another one while the server's answer to it was on its way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mensajeria.client.api import ChangeSent, MessageDiscarded
from mensajeria.client.engine.kinds.own import WITHOUT_PLACE, undo
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey
from mensajeria.client.store.megolm import Replays
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records import MessageOuter


@dataclass(frozen=True, slots=True)
class FormerFacts:
    """What was seen, but for what was noted when a message that waits here was sealed: no row of it was shown yet.

    Another ciphertext at the same index stays what it is.
    """

    replays: Replays
    mid: Mid
    ct_hash: bytes

    def ciphertext_hash(self, session_id: bytes, idx: int) -> bytes | None:
        """As `Replays.ciphertext_hash`, but for the one that is looked at."""
        known = self.replays.ciphertext_hash(session_id, idx)
        return None if known == self.ct_hash else known

    def seen_mid(self, chat_id: bytes, uid: bytes, mid: bytes) -> bytes | None:
        """As `Replays.seen_mid`, but for the one that waits here."""
        return None if mid == self.mid else self.replays.seen_mid(chat_id, uid, mid)


def anything_waits(tx: Tx) -> bool:
    """Whether something own has no row, failed messages included."""
    return tx.outbox.waits() or bool(tx.uploads.stages())


def facts_for(tx: Tx, me: Me, author: InboundKey, outer: MessageOuter) -> Replays | FormerFacts:
    """What is known of ciphertexts and ids, for a row in a session of this author."""
    mid = Mid(outer.mid)
    if author.uid == me.uid and tx.outbox.get(author.chat_id, mid) is not None:
        return FormerFacts(tx.replays, mid, hashlib.sha256(outer.ct).digest())
    return tx.replays


def give_way(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, mid: Mid) -> None:
    """The message is in the log: it does not wait here any more."""
    item = tx.outbox.get(chat_id, mid)
    if item is not None and item.type in WITHOUT_PLACE:
        tx.outbox.unseal(chat_id, mid)
        undo(tx, out, me, item)
        out.events.append(ChangeSent(chat_id, mid))
        return
    tx.outbox.unseal(chat_id, mid)
    tx.outbox.remove(chat_id, mid)
    out.uploads = tx.uploads.remove(chat_id, mid) or out.uploads
    order = tx.own_messages.discard(chat_id, mid, me.uid)
    if order is not None:
        out.events.append(MessageDiscarded(chat_id, mid, order))
        out.touched.add(chat_id)
