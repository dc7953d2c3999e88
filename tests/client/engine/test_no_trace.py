"""What was deleted or has expired stands nowhere in the database file, not even on its free pages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mensajeria.client.api import MessageKind, MessageState
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.changes import ChangeKind, NewChange, Target
from mensajeria.client.store.values import NewMessage
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Mid, Uid

CHAT, ANA, BRUNO = ChatId(b"c" * 32), Uid(b"a" * 16), Uid(b"b" * 16)
PAGE, RESERVE, SALT, IV = 4096, 80, 16, 16
EXPIRING, DELETED, KEPT = "desvaneciente", "arrepentido", "permanente"


def pages(path: Path, key: bytes) -> bytes:
    """Every page of an SQLCipher 4 file, decrypted as its documentation says: AES-256-CBC, IV and HMAC at the end."""
    data, plain = path.read_bytes(), bytearray()
    for start in range(0, len(data), PAGE):
        page = data[start : start + PAGE]
        body = page[SALT if start == 0 else 0 : PAGE - RESERVE]
        iv = page[PAGE - RESERVE : PAGE - RESERVE + IV]
        decryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
        plain += decryptor.update(body) + decryptor.finalize()
    return bytes(plain)


def message(mid: bytes, text: str, seq: int, expire_s: int = 0) -> NewMessage:
    return NewMessage(
        CHAT, Mid(mid * 16), ANA, outgoing=False, kind=MessageKind.TEXT, state=MessageState.RECEIVED, sent_ms=1,
        seq=seq, text=text, expire_s=expire_s,
    )  # fmt: skip


async def test_the_file_holds_no_trace_of_what_is_gone(tmp_path: Path) -> None:
    key, path = os.urandom(32), tmp_path / "store.db"
    async with await Store.create(path, Secret(key)) as store:

        def fill(tx: Tx) -> None:
            tx.chats.ensure_direct(CHAT, ANA, accepted=True, note_to_self=False, now_ms=1)
            for n in range(200):  # so that the pages are full of other things, too
                tx.messages.add(message(bytes([n]), f"{KEPT} {n}", n + 10))
            tx.messages.add(message(b"\xf0", f"{EXPIRING} uno", 1000, expire_s=1))
            tx.messages.add(message(b"\xf1", f"{DELETED} uno", 1001))
            for mid in (b"\xf0", b"\xf1"):
                target = Target(CHAT, ANA, Mid(mid * 16))
                value = f"{EXPIRING} dos" if mid == b"\xf0" else f"{DELETED} dos"
                tx.changes.put(NewChange(ChangeKind.EDIT, target, ANA, Mid(os.urandom(16)), 2, 1002, value))
                tx.changes.settle(target)

        await store.run(fill)
        assert len(await store.run(lambda tx: tx.views.search(EXPIRING))) == 1

        def end(tx: Tx) -> None:
            tx.chats.mark_read(CHAT, 1001)
            tx.timers.begin(1)
            assert len(tx.timers.remove_due(1_000_000, 10)) == 1
            target = Target(CHAT, ANA, Mid(b"\xf1" * 16))
            tx.changes.put(NewChange(ChangeKind.DELETE, target, ANA, Mid(os.urandom(16)), 3, 1003))
            tx.changes.settle(target)

        await store.run(end)
        assert await store.run(lambda tx: tx.views.search(EXPIRING)) == ()
    plain = await asyncio.to_thread(pages, path, key)
    assert f"{KEPT} 7".encode() in plain, "the pages are decrypted"
    for word in (EXPIRING, DELETED):
        assert word.encode() not in plain
    leftovers = [found for found in tmp_path.iterdir() if found != path]
    assert all(found.stat().st_size == 0 for found in leftovers), leftovers
