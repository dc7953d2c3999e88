"""After an update: messages of types that were unknown when they came are read now."""

from __future__ import annotations

from dataclasses import replace

from mensajeria.client.api import MessageChanged, MessageKind, MessageRemoved
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.kinds.registry import Kinds
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.messages import UnknownMessage
from mensajeria.crypto.body import BodyError, unpack_body
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.membership import ChatKind
from mensajeria.protocol.records import MessageInner


def read_again(tx: Tx, out: Outcome, me: Me, memberships: Memberships, kinds: Kinds) -> None:
    """Read what is kept as unknown and what this version knows; the rest stays as it is."""
    for place in tx.messages.unknown():
        arrival = _arrival(tx, me, memberships, place) if kinds.knows(place.type) else None
        if arrival is not None:
            _read(tx, out, kinds, place, arrival)


def _arrival(tx: Tx, me: Me, memberships: Memberships, place: UnknownMessage) -> Arrival | None:
    """The message as it was when it passed its checks; None for what an older version kept in another form."""
    try:
        inner = decode_record(MessageInner, place.inner, max_size=limits.MAX_CIPHERTEXT)
        body = unpack_body(inner.body)
    except (MalformedError, BodyError):
        return None
    at_head = memberships.of(tx, place.chat_id).at(inner.mhead.seq)
    return Arrival(
        chat_id=place.chat_id,
        seq=place.seq,
        server_ms=place.server_ms,
        inner=inner,
        body=body,
        idx=place.idx,
        clock_off=place.clock_off,
        outgoing=inner.uid == me.uid,
        direct=at_head is not None and at_head.kind is ChatKind.DIRECT,
        role=None if at_head is None else at_head.role(inner.uid),
        late=place.late,
    )


def _read(tx: Tx, out: Outcome, kinds: Kinds, place: UnknownMessage, arrival: Arrival) -> None:
    message = kinds.read(tx, out, arrival)
    if message is None:
        tx.messages.remove(place.chat_id, place.order)
        out.events.append(MessageRemoved(place.chat_id, arrival.mid, place.order))
    elif message.kind is not MessageKind.UNKNOWN:
        known = tx.messages.at(place.chat_id, place.order)
        if known is not None and place.late:
            message = replace(message, counted=False, params={**message.params, **known.params})
        change = tx.messages.replace(place.order, message)
        shown = kinds.placed(tx, out, change.message)
        out.events.append(MessageChanged(shown, change.previous_order))
    out.touched.add(place.chat_id)
