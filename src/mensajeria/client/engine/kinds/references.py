"""The references of a message: other messages by author and id."""

from __future__ import annotations

from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import Mid, Uid
from mensajeria.protocol.records import MessageInner


def only_reference(inner: MessageInner) -> tuple[Uid, Mid]:
    """What a change is about. Raises MalformedError unless it is exactly one message."""
    found = quoted_reference(inner)
    if found is None:
        raise MalformedError("about no message")
    return found


def quoted_reference(inner: MessageInner) -> tuple[Uid, Mid] | None:
    """What a text answers, if it answers something. Raises MalformedError for more than one message."""
    if not inner.refs:
        return None
    if len(inner.refs) > 1:
        raise MalformedError("more than one reference")
    return Uid(inner.refs[0].uid), Mid(inner.refs[0].mid)
