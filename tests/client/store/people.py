"""Names and small makers that the store's tests share."""

from __future__ import annotations

from mensajeria.client.api import MessageKind, MessageState
from mensajeria.client.store.tx import Tx
from mensajeria.client.store.values import Contact, NewMessage
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, Idfp, Mid, SessionId, Uid

KEY = Secret(bytes(range(32)))
ANA, BRUNO = Uid(b"a" * 16), Uid(b"b" * 16)
PHONE, LAPTOP = Did(b"p" * 16), Did(b"l" * 16)
CHAT, OTHER_CHAT = ChatId(b"c" * 32), ChatId(b"o" * 32)
SESSION = SessionId(b"s" * 32)


def mid(number: int) -> Mid:
    return Mid((number % (1 << 64)).to_bytes(16, "big"))


def contact(uid: Uid, handle: str, *, ver: int = 1) -> Contact:
    return Contact(uid, handle, b"identity", Idfp(b"f" * 32), ver, b"h%d" % ver, b"list%d" % ver, b"sig%d" % ver, ver)


def set_up(tx: Tx) -> None:
    tx.contacts.put(contact(ANA, "ana"))
    tx.contacts.put(contact(BRUNO, "bruno"))
    for chat in (CHAT, OTHER_CHAT):
        tx.chats.ensure_direct(chat, BRUNO, accepted=True, note_to_self=False, now_ms=1)


def incoming(seq: int, text: str = "hola", chat: ChatId = CHAT) -> NewMessage:
    return NewMessage(
        chat_id=chat,
        mid=mid(seq),
        sender=BRUNO,
        outgoing=False,
        kind=MessageKind.TEXT,
        state=MessageState.RECEIVED,
        sent_ms=1000 + seq,
        seq=seq,
        server_ms=2000 + seq,
        text=text,
        counted=True,
    )


def queued(number: int, text: str = "voy") -> NewMessage:
    return NewMessage(
        chat_id=CHAT,
        mid=mid(number),
        sender=ANA,
        outgoing=True,
        kind=MessageKind.TEXT,
        state=MessageState.QUEUED,
        sent_ms=5000 + number,
        text=text,
    )
