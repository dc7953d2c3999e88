"""Keys that a member of a group was not given, for its identity had changed: kept until that is accepted.

Nothing is lost for somebody who is entitled: they get the signed key from the first index that they were left out of,
of every session since then (docs/protocol/e2ee.md §10).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mensajeria.client.engine.letters import ROOM_KEY, Letter, devices_of
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import ShareOutcome
from mensajeria.crypto.sender import OutboundSession, decode_room_key
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, SessionId, Uid

_PREFIX: Final = "withheld:"
_ON_ITS_WAY: Final = frozenset({ShareOutcome.QUEUED, ShareOutcome.SHARED})


def withhold(tx: Tx, session: OutboundSession, uids: Iterable[Uid]) -> None:
    """Before a message is sealed that these members get no key for: keep the key as it is now, once a session."""
    chat_id, session_id = ChatId(session.binding.chat_id), SessionId(session.session_id)
    for uid in uids:
        name = _name(chat_id, session_id, uid)
        if tx.own.get(name) is None:
            gpk = tx.groups.key(chat_id)
            tx.own.put(name, Secret(session.room_key(b"" if gpk is None else gpk.reveal())))


def kept_key(tx: Tx, chat_id: ChatId, session_id: SessionId, uid: Uid) -> tuple[bytes, int] | None:
    """The key of a session from the first index that somebody was left out of, and that index."""
    kept = tx.own.get(_name(chat_id, session_id, uid))
    if kept is None:
        return None
    content = kept.reveal()
    return content, decode_room_key(content).first_index


def withheld_letters(tx: Tx, me: Me, memberships: Memberships) -> list[Letter]:
    """What can be given now, of all chats and sessions; what everybody has got, or nobody is to get, is forgotten."""
    stale = set(tx.contacts.stale())
    found: list[Letter] = []
    for name in tx.own.names(_PREFIX):
        chat_id, session_id, uid = _parts(name)
        member = None if tx.groups.get(chat_id) is None else memberships.of(tx, chat_id).now.members.get(uid)
        if member is None:
            tx.own.remove(name)
            continue
        contact = tx.contacts.get(uid)
        if contact is None or contact.sending_blocked or contact.idfp != member.idfp or uid in stale:
            continue
        shares, kept = tx.outbound.shares(session_id), kept_key(tx, chat_id, session_id, uid)
        left = [
            did
            for _, did in devices_of([verified_list(contact)], but=me.did)
            if did not in shares or shares[did].outcome not in _ON_ITS_WAY
        ]
        if not left or kept is None:
            tx.own.remove(name)
        else:
            found += [Letter(uid, did, ROOM_KEY, kept[0], session_id, kept[1]) for did in left]
    return found


def _name(chat_id: ChatId, session_id: SessionId, uid: Uid) -> str:
    return f"{_PREFIX}{chat_id.hex()}:{session_id.hex()}:{uid.hex()}"


def _parts(name: str) -> tuple[ChatId, SessionId, Uid]:
    chat_id, session_id, uid = (bytes.fromhex(part) for part in name.removeprefix(_PREFIX).split(":"))
    return ChatId(chat_id), SessionId(session_id), Uid(uid)
