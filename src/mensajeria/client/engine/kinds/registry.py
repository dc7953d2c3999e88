"""The types of messages that this version knows: how each is read, and what it does.

A new type is a class with `name`, `parse` and `apply`, registered in `engine.kinds`. A message of a type that is not
registered, or whose body its type does not take, keeps a visible place and is read again after an update.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeVar

from mensajeria.client.api import Message, MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.kinds.telling import tell
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import Target
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import SessionId
from mensajeria.protocol.records import MessageInner

B = TypeVar("B")


class Kind(Protocol[B]):
    """A type of message. Both methods run in the store's thread."""

    @property
    def name(self) -> str:
        """The type's name inside messages, at most 32 characters; it names the format too and never changes."""
        ...

    def parse(self, inner: MessageInner, body: bytes) -> B:
        """The body's content, bounded and checked. Raises MalformedError for every other bytes."""
        ...

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: B) -> NewMessage | None:
        """Do what the message says, inside the transaction that decides its row.

        Returns its place in the timeline; None for what has none (a change to another message).
        """
        ...


class Kinds:
    """Reads messages by their type."""

    def __init__(self, kinds: Iterable[Kind[Any]]) -> None:
        self._kinds: Final[dict[str, Kind[Any]]] = {}
        for kind in kinds:
            self.register(kind)

    def register(self, kind: Kind[Any]) -> None:
        """Know one more type. Raises ValueError when its name is taken."""
        if kind.name in self._kinds:
            raise ValueError(f"two kinds are called {kind.name}")
        self._kinds[kind.name] = kind

    def knows(self, name: str) -> bool:
        """Whether this version can read the type."""
        return name in self._kinds

    def read(self, tx: Tx, out: Outcome, arrival: Arrival) -> NewMessage | None:
        """Apply a message; its place in the timeline, None when it has none."""
        inner = arrival.inner
        if inner.expire_s:
            tx.timers.note_session(SessionId(inner.session_id))
        kind = self._kinds.get(inner.t)
        if kind is not None:
            try:
                parsed = kind.parse(inner, arrival.body)
            except MalformedError:
                pass
            else:
                return kind.apply(tx, out, arrival, parsed)
        return arrival.place(MessageKind.UNKNOWN, text=inner.t, inner=encode(inner))

    @staticmethod
    def placed(tx: Tx, out: Outcome, message: Message) -> Message:
        """A message has got its place: what has come for it before is done now; the message as it is after that."""
        target = Target(message.chat_id, message.sender.uid, message.mid)
        if not tx.changes.any_for(target):
            return message
        changed = tx.changes.settle(target)
        if not changed:
            return message
        tell(out, changed[1:])
        return changed[0]
