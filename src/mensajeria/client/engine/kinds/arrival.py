"""A verified message on its way to where its type belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mensajeria.client.api import NO_PARAMS, Cause, MessageKind, MessageState
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid
from mensajeria.protocol.membership import Role
from mensajeria.protocol.records import MessageInner


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that passed every check of docs/protocol/e2ee.md §7, in the row of the log in which it came."""

    chat_id: ChatId
    seq: int
    server_ms: int
    inner: MessageInner = field(repr=False)
    """What Megolm protected."""
    body: bytes = field(repr=False)
    """Its body, unpacked."""
    idx: int
    """Its index in its session."""
    clock_off: bool
    outgoing: bool
    """By a device of this account."""
    direct: bool
    """In a direct chat."""
    role: Role | None
    """The author's, in the chat as it stood at the message's membership head."""
    late: bool = False
    """The author was cut off already when the row came into the log: shown apart, and without effect on others."""

    @property
    def author(self) -> Uid:
        """Who wrote it."""
        return Uid(self.inner.uid)

    @property
    def mid(self) -> Mid:
        """Its id, unique together with chat and author."""
        return Mid(self.inner.mid)

    @property
    def expire_s(self) -> int:
        """How long it stays once it was read; 0 = for ever."""
        return min(self.inner.expire_s, limits.MAX_TIMER_S)

    def place(
        self,
        kind: MessageKind,
        *,
        text: str = "",
        counted: bool = True,
        cause: Cause | None = None,
        params: Mapping[str, str] = NO_PARAMS,
        inner: bytes | None = None,
        reply: tuple[Uid, Mid] | None = None,
    ) -> NewMessage:
        """A place for it in the timeline. `counted`: it raises the unread number of everybody but its author."""
        return NewMessage(
            chat_id=self.chat_id,
            mid=self.mid,
            sender=self.author,
            outgoing=self.outgoing,
            kind=kind,
            state=MessageState.SENT if self.outgoing else MessageState.RECEIVED,
            sent_ms=self.inner.ts,
            seq=self.seq,
            server_ms=self.server_ms,
            text=text,
            counted=counted and not self.outgoing,
            clock_off=self.clock_off,
            cause=cause,
            params=params,
            inner=inner,
            reply=reply,
            session_id=SessionId(self.inner.session_id),
            idx=self.idx,
            expire_s=self.expire_s,
        )
