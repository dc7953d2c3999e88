"""Type "history": a member was added and may read some of what was written before (docs/protocol/e2ee.md §10)."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MemberEventRow, NewMessage
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import ChatId, Did, Uid
from mensajeria.protocol.membership import Role
from mensajeria.protocol.records import MemberEvent, MessageInner
from mensajeria.protocol.records_history import HISTORY, HistoryBody

MAX_NAMED: Final = 20
LEADERS: Final = frozenset({Role.OWNER, Role.ADMIN})


class History:
    """Counts only from the very device that signed the `add` event: nobody else widens what it chose."""

    name: Final = HISTORY

    def parse(self, inner: MessageInner, body: bytes) -> HistoryBody:
        """Raises MalformedError."""
        if inner.refs:
            raise MalformedError("it is about no message")
        return decode_record(HistoryBody, body)

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: HistoryBody) -> NewMessage | None:
        """Say so in everybody's timeline; who was added may fetch the rows. Without effect from anybody else."""
        row = added_by(tx, arrival.chat_id, body.add)
        if arrival.late or arrival.role not in LEADERS or row is None:
            return None
        event = decode_record(MemberEvent, row.body)
        if (event.by_uid, event.by_did) != (arrival.inner.uid, arrival.inner.did):
            return None
        self._open(tx, out, arrival, body, row)
        params = told(tx, event, body.choice)
        return arrival.place(MessageKind.NOTICE, cause=Cause.HISTORY_SHARED, params=params, counted=False)

    @staticmethod
    def _open(tx: Tx, out: Outcome, arrival: Arrival, body: HistoryBody, row: MemberEventRow) -> None:
        """For who came in by that event: rows that this device has never decided, and none from there on."""
        group = tx.groups.get(arrival.chat_id)
        if group is None or not row.chat_seq or group.joined_seq != row.chat_seq:
            return
        since = max(body.since, group.skipped_from, 1)
        if since < row.chat_seq:
            giver = Uid(arrival.inner.uid), Did(arrival.inner.did)
            out.earlier = tx.windows.open(arrival.chat_id, giver, since, row.chat_seq - 1) or out.earlier


def added_by(tx: Tx, chat_id: ChatId, seq: int) -> MemberEventRow | None:
    """The chain's event `seq` if it has added somebody."""
    for row in tx.chats.member_events(chat_id):
        if row.seq == seq:
            return row if decode_record(MemberEvent, row.body).type == "add" else None
    return None


def told(tx: Tx, event: MemberEvent, choice: str) -> dict[str, str]:
    """Who was given how much, for the sentence in the timeline."""
    names = [tx.contacts.person(Uid(member.uid)).handle for member in event.members[:MAX_NAMED]]
    more = f" +{len(event.members) - MAX_NAMED}" if len(event.members) > MAX_NAMED else ""
    return {"who": ", ".join(names) + more, "count": str(len(event.members)), "choice": choice}
