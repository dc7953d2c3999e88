"""A verified message on its way to where its type belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mensajeria.client.api import NO_PARAMS, Cause, MessageKind, MessageState
from mensajeria.client.store.values import NewMessage, RawRow
from mensajeria.crypto.message import OpenedMessage
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import Role
from mensajeria.protocol.records import MessageInner


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that passed every check of docs/protocol/e2ee.md §7, in the row of the log in which it came."""

    row: RawRow
    opened: OpenedMessage = field(repr=False)
    outgoing: bool
    """By a device of this account."""
    role: Role | None
    """The author's, in the chat as it stood at the message's membership head."""

    @property
    def inner(self) -> MessageInner:
        """What Megolm protected."""
        return self.opened.inner

    @property
    def chat_id(self) -> ChatId:
        """The chat."""
        return self.row.chat_id

    @property
    def author(self) -> Uid:
        """Who wrote it."""
        return Uid(self.opened.inner.uid)

    @property
    def mid(self) -> Mid:
        """Its id, unique together with chat and author."""
        return Mid(self.opened.inner.mid)

    def place(
        self,
        kind: MessageKind,
        *,
        text: str = "",
        counted: bool = True,
        cause: Cause | None = None,
        params: Mapping[str, str] = NO_PARAMS,
        inner: bytes | None = None,
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
            seq=self.row.seq,
            server_ms=self.row.server_ms,
            text=text,
            counted=counted and not self.outgoing,
            clock_off=self.opened.clock_off,
            cause=cause,
            params=params,
            inner=inner,
        )
