"""Who is told that messages were read: the own devices always, their authors if the person's setting says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mensajeria.client.engine.letters import READ, Letter, devices_of
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.client.store.blocks import is_blocked
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, Uid
from mensajeria.protocol.records import ReadMarker, ReadReceipts

if TYPE_CHECKING:
    from mensajeria.client.engine.me import Me
    from mensajeria.client.engine.membership import Memberships
    from mensajeria.client.store import Tx
    from mensajeria.client.store.values import Chat


def receipts(tx: Tx, me: Me, memberships: Memberships, items: Sequence[tuple[ChatId, int]]) -> list[Letter]:
    """One letter per device: to the authors what is theirs, to own devices everything."""
    marks: dict[tuple[Uid, Did], list[ReadMarker]] = {}
    told = privacy_of(tx).read_receipts
    for chat_id, seq in items:
        chat = tx.chats.get(chat_id)
        if chat is None:
            continue
        authors = _authors(tx, memberships, chat, seq) if told else ()
        lists = [verified for uid in {me.uid, *authors} if (verified := list_of(tx, uid)) is not None]
        for device in devices_of(lists, but=me.did):
            marks.setdefault(device, []).append(ReadMarker(chat_id, seq))
    return [
        Letter(uid, did, READ, encode(ReadReceipts(markers=tuple(markers[:64]))))
        for (uid, did), markers in marks.items()
    ]


def _authors(tx: Tx, memberships: Memberships, chat: Chat, seq: int) -> tuple[Uid, ...]:
    """Who is told that their messages were read: in large groups nobody."""
    if chat.peer is not None:
        return () if is_blocked(tx, chat.peer) else (chat.peer,)
    members = memberships.members(tx, chat.chat_id)
    if len(members) > limits.READ_RECEIPTS_MEMBERS:
        return ()
    authors = tx.groups.authors(chat.chat_id, chat.read_sent, seq)
    return tuple(uid for uid in authors if uid in members and not is_blocked(tx, uid))
