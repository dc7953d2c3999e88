"""Files between two people at a real server."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from mensajeria.client.api import AttachmentState, Message, MessageKind, MessageState
from mensajeria.client.chat import Chat
from tests.e2e.conftest import Register
from tests.e2e.helpers import befriend, eventually, last_message

pytestmark = pytest.mark.slow


async def received(chat: Chat) -> Message:
    """The newest message of the other side, once it is a file."""
    found: list[Message] = []

    async def there() -> bool:
        found[:] = [m async for m in chat.history() if m.kind is MessageKind.FILE and not m.outgoing]
        return bool(found)

    await eventually(there)
    return found[-1]


async def test_a_file_goes_from_one_to_the_other(register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    original = tmp_path / "informe.pdf"
    original.write_bytes(os.urandom(3_000_000))
    sent = await there.send_file(original, "el informe")
    await ana.wait_sent(sent.mid)
    message = await received(back)
    assert message.attachment is not None
    assert (message.text, message.attachment.name, message.attachment.size) == ("el informe", "informe.pdf", 3_000_000)
    assert message.attachment.state is AttachmentState.REMOTE
    folder = tmp_path / "descargas"
    folder.mkdir()
    saved = await back.download(message.mid, folder)
    assert saved == folder / "informe.pdf"
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(original.read_bytes()).digest()
    again = (await last_message(back)).attachment
    assert again is not None
    assert (again.state, again.saved_to) == (AttachmentState.SAVED, str(saved))
    own = await last_message(there)
    assert own.state in {MessageState.SENT, MessageState.DELIVERED, MessageState.READ}
    await eventually(lambda: not list((tmp_path / "ana" / "outgoing").glob("*")))
