"""After the commit: acks to the senders, rows to everybody in the chat. Each item is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Ack, Envelope, Event, EventKind, Nack, PeerCursor
from mensajeria.server.broker.broker import Broker, ChatNote, DeviceItemNote, ItemNote
from mensajeria.server.chats import log
from mensajeria.server.chats.cache import ChatCache
from mensajeria.server.chats.committer import Pending
from mensajeria.server.chats.cursors import Step
from mensajeria.server.chats.log import Outcome
from mensajeria.server.mailbox.store import Put
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.hub import Hub
from mensajeria.server.realtime.items import encode_item

RETRY_MS: Final = 1000
TICKS_UP_TO: Final = limits.READ_RECEIPTS_MEMBERS
"""Members of a chat in which "delivered" is shown."""
REFUSALS: Final = {
    log.MID_CONFLICT: Nack(b"", b"", Code.MID_CONFLICT),
    log.STALE_EPOCH: Nack(b"", b"", Code.STALE_EPOCH),
    log.UNKNOWN_CHAT: Nack(b"", b"", Code.UNKNOWN_CHAT),
    log.FAILED: Nack(b"", b"", Code.INTERNAL),
    log.UNAVAILABLE: Nack(b"", b"", Code.UNAVAILABLE, RETRY_MS),
}
KINDS: Final = tuple(EventKind)


class Fanout:
    """Turns what was committed into items for connections. Called in commit order, so items are in the log's order."""

    def __init__(self, hub: Hub, broker: Broker, cache: ChatCache) -> None:
        self._hub = hub
        self._broker = broker
        self._cache = cache

    def events(self, batch: Sequence[Pending], outcomes: Sequence[Outcome], again: bool) -> None:  # noqa: FBT001
        """Rows of the logs (see `chats.committer.Committed`)."""
        for _, run in groupby(zip(batch, outcomes, strict=True), _source_and_chat):
            self._tell(list(run), again=again)
        self._broker.flush()
        self._hub.flush()

    def _tell(self, run: Sequence[tuple[Pending, Outcome]], *, again: bool) -> None:
        """What a device has sent to a chat in one go. Those who wait for it come before their sender."""
        info, source = run[0][0].info, run[0][0].source
        rows: list[bytes] = []
        answers: list[bytes] = []
        for pending, (status, seq, ts) in run:
            event = pending.event
            if status <= log.KNOWN:
                if event.accepts:
                    self._accepted(pending)
                if status == log.NEW or again:
                    rows.append(encode_item(Event(info.chat_id, seq, ts, KINDS[event.kind], event.body)))
                answers.append(encode_item(Ack(info.chat_id, event.mid, seq, ts)))
            else:
                refusal = REFUSALS[status]
                answers.append(encode_item(Nack(info.chat_id, event.mid, refusal.code, refusal.retry_after_ms)))
        if rows:
            self._broker.publish(ItemNote(info.audience, tuple(rows), source.device_id))
        settle(source, answers)

    def _accepted(self, pending: Pending) -> None:
        """Sending has accepted the chat: its members get the new head, and "delivered" begins."""
        info, account = pending.info, pending.event.accepts
        if account in info.accepted:  # two messages in one batch
            return
        info.accepted.add(account)
        info.declined.discard(account)
        info.update_audience()
        self._broker.publish(ChatNote(info.chat_id, tuple(info.members)))

    def envelopes(self, puts: Sequence[Put]) -> None:
        """Envelopes in the mailboxes."""
        for put in puts:
            self._broker.publish(DeviceItemNote(put.device, encode_item(Envelope(put.id, put.prekey_id, put.blob))))
        self._broker.flush()

    async def cursors(self, moved: Sequence[Step]) -> None:
        """Members' pointers that moved. Nobody learns of one whose member has not accepted the chat."""
        for step in moved:
            info = await self._cache.load(step.chat_id)
            if info is None or step.account not in info.accepted or len(info.members) > TICKS_UP_TO:
                continue
            others = tuple(account for account in info.audience if account != step.account)
            if others:
                item = encode_item(PeerCursor(step.chat_id, info.members[step.account], step.seq))
                self._broker.publish(ItemNote(others, (item,)))
        self._broker.flush()


def _source_and_chat(both: tuple[Pending, Outcome]) -> tuple[int, int]:
    pending, _ = both
    return id(pending.source), id(pending.info)


def settle(source: Connection, answers: Sequence[bytes]) -> None:
    """Answer messages of a connection, each of them once."""
    for _ in answers:
        source.throttle.send_ends()
    if not source.closed:
        source.queue(answers)
