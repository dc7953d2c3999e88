"""What authors say of the key log in their messages, compared with the own mirror. In the store's thread."""

from __future__ import annotations

from typing import Final

from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.keylog import Claim
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.ids import ChatId, Did, Uid
from mensajeria.protocol.records import LogHead, MessageInner, TreeHead

LOG_SIZE: Final = "kt_size"
"""Counter of the meta table: the size of the newest verified head."""


def told_name(chat_id: ChatId) -> str:
    """Counter of the meta table: the size of the log that was last told in the chat."""
    return f"kt_told:{chat_id.hex()}"


def to_tell(tx: Tx, chat_id: ChatId) -> LogHead | None:
    """The newest verified head, if the chat has not been told of it."""
    if tx.meta.number(LOG_SIZE) <= tx.meta.number(told_name(chat_id)):
        return None
    known = tx.key_log.head()
    if known is None:
        return None
    head = decode_record(TreeHead, known[0].body)
    tx.meta.raise_to(told_name(chat_id), head.size)
    return LogHead(head.size, head.root)


def newest_root(tx: Tx) -> tuple[int, bytes]:
    """Size and root of the newest verified head; zero and nothing when there is none."""
    known = tx.key_log.head()
    if known is None:
        return 0, b""
    head = decode_record(TreeHead, known[0].body)
    return (head.size, head.root) if head.size else (0, b"")


def is_same_log(tx: Tx, size: int, root: bytes) -> bool:
    """Whether the own mirror agrees with what somebody has shown; True where it does not reach that far."""
    mine = tx.key_log.root_at(size) if size else None
    return mine is None or mine == root


def note_told(tx: Tx, out: Outcome, inner: MessageInner) -> None:
    """An author's message says what log they see. What does not fit, or is not here yet, is looked into."""
    if inner.kt is None or inner.kt.size == 0:
        return
    uid, did = Uid(inner.uid), Did(inner.did)
    if tx.key_log.head() is not None and tx.key_log.root_at(inner.kt.size) == inner.kt.root:
        tx.key_log.remove_claim(did)
        return
    tx.key_log.put_claim(Claim(uid, did, inner.kt.size, inner.kt.root))
    out.log_due = True
