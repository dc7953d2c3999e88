"""A server that lies about files, and people who send hostile ones: nothing false is saved, nothing comes unasked."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

import pytest

from mensajeria.client.api import Attachment, AttachmentState, Message, MessageKind, MessageState
from mensajeria.client.errors import ClientError, InputError, RefusedError, SecurityError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.files import file_body
from mensajeria.client.store.values import NewMessage
from mensajeria.client.transfer import saving
from mensajeria.crypto.files import FileSealer, Metadata
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records_files import FILE, FileBody
from tests.attacks.canary import files_of, leaks
from tests.attacks.evil import Json, Rule, flipped
from tests.attacks.stage import Actor, Stage

CONTENT = bytes(range(256)) * 800  # four chunks


class Lie(Rule):
    """The bytes of every file are something else."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change

    def blob(self, to: bytes | None, path: str, content: bytes) -> bytes:
        return self._change(content)


async def file_of(actor: Actor, chat_id: ChatId, count: int = 1) -> Message:
    """The last file that the actor was sent, once there are so many."""
    for _ in range(2000):
        found = [m for m in await actor.timeline(chat_id) if m.kind is MessageKind.FILE and not m.outgoing]
        if len(found) >= count:
            return found[-1]
        await asyncio.sleep(0.005)
    raise AssertionError("no file came")


def attached(message: Message) -> Attachment:
    assert message.attachment is not None
    return message.attachment


async def send(actor: Actor, stage: Stage, content: bytes = CONTENT, name: str = "datos.bin") -> Mid:
    original = stage.folder / name
    original.write_bytes(content)
    sent = await actor.client.chat(stage.chat_id).send_file(original)
    await asyncio.wait_for(actor.client.wait_sent(sent.mid), 20)
    return sent.mid


async def say(actor: Actor, stage: Stage, **claims: Any) -> None:
    """A hostile sender: a real upload, and a message that says of it whatever it likes."""
    metadata = Metadata(claims.get("name", "a.bin"), claims.get("media", "text/plain"), len(CONTENT))
    sealer = FileSealer(metadata)
    ciphertext = b"".join(sealer.seal([CONTENT]))
    rest = actor.client._context.rest
    file_id = (await rest.files.create(len(ciphertext))).file_id
    await rest.files.upload(file_id, 0, ciphertext)
    fields: dict[str, Any] = {
        "blob": file_id, "key": sealer.key.reveal(), "sha256": sealer.sha256, "size": len(CONTENT),
        "name": metadata.name, "media": metadata.media, "width": 0, "height": 0, "blurhash": "", "thumb": b"",
        "caption": "",
    }  # fmt: skip
    body, mid = encode(FileBody(**{**fields, **claims})), Mid(secrets.token_bytes(16))
    new = NewMessage(
        stage.chat_id, mid, actor.client.me.uid, outgoing=True, kind=MessageKind.FILE, state=MessageState.QUEUED,
        sent_ms=1, file=body,
    )  # fmt: skip

    def step(tx: Tx) -> None:
        tx.messages.add(new)
        tx.outbox.add(stage.chat_id, mid, FILE, body, 1)

    await actor.change(step)
    actor.client._engine.sending.wake(stage.chat_id)
    await asyncio.wait_for(actor.client.wait_sent(mid), 20)


async def refused(actor: Actor, stage: Stage, message: Message, code: str) -> None:
    """The download fails with this code, and nothing of it is left where the person looks."""
    folder = stage.folder / "descargas"
    folder.mkdir(exist_ok=True)
    with pytest.raises(ClientError) as caught:
        await asyncio.wait_for(actor.client.chat(stage.chat_id).download(message.mid, folder), 20)
    assert caught.value.code == code
    assert list(folder.iterdir()) == []


def fetched(stage: Stage) -> list[tuple[str, str]]:
    """Calls that ask for the bytes of a file."""
    return [call for call in stage.evil.seen.calls if call[0] in {"GET", "HEAD"} and call[1].startswith("/v1/files/")]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: flipped(data, 5),
        lambda data: flipped(data, len(data) - 1),
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[65_552 : 2 * 65_552] + data[:65_552] + data[2 * 65_552 :],
        lambda data: os.urandom(len(data)),
        lambda _: b"",
    ],
    ids=["first chunk", "last byte", "cut", "longer", "chunks swapped", "another file", "nothing"],
)
async def test_a_file_that_the_server_has_altered_is_not_saved(stage: Stage, change: Callable[[bytes], bytes]) -> None:
    ana, bruno = await stage.pair()
    await send(ana, stage)
    message = await file_of(bruno, stage.chat_id)
    stage.evil.rule = Lie(change)
    await refused(bruno, stage, message, "file_tampered")
    await bruno.warned("file_tampered")
    stage.evil.rule = Rule()
    saved = await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "al fin")
    assert saved.read_bytes() == CONTENT


async def test_a_part_from_before_does_not_hide_what_the_server_changes_later(stage: Stage) -> None:
    """Resumed from two different ciphertexts: the hash over all of it is the message's."""
    ana, bruno = await stage.pair()
    await send(ana, stage)
    message = await file_of(bruno, stage.chat_id)
    body = await bruno.read(lambda tx: tx.attachments.body(stage.chat_id, message.mid, message.sender.uid))
    assert body is not None
    part = saving.part_of(stage.folder / "bruno", file_body(body))
    saving.append(part, 0, secrets.token_bytes(70_000))
    await refused(bruno, stage, message, "file_tampered")
    assert not part.exists()


async def test_a_file_under_another_hash_is_not_saved(stage: Stage) -> None:
    """The ciphertext opens, and still it is not the one that the message names."""
    ana, bruno = await stage.pair()
    await say(ana, stage, sha256=bytes(32))
    await refused(bruno, stage, await file_of(bruno, stage.chat_id), "file_tampered")


async def test_a_declared_size_that_is_not_the_files_fetches_nothing(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await say(ana, stage, size=3 << 20)
    message = await file_of(bruno, stage.chat_id)
    await refused(bruno, stage, message, "file_tampered")
    assert list((stage.folder / "bruno" / "incoming").glob("*")) == []


async def test_ten_terabytes_that_were_declared_are_refused_for_want_of_room(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await say(ana, stage, size=10 << 40)
    message = await file_of(bruno, stage.chat_id)
    assert attached(message).size == 10 << 40
    await refused(bruno, stage, message, "disk_full")
    assert fetched(stage) == []


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../fuera.txt", "_.._fuera.txt"),
        ("/etc/passwd", "_etc_passwd"),
        ("factura\u202efdp.exe", "facturafdp.exe"),
        ("CON.txt", "_CON.txt"),
        ("..", "archivo"),
        ("a\x00b\n.txt", "ab.txt"),
    ],
    ids=["up", "absolute", "direction", "device", "dots", "controls"],
)
async def test_a_hostile_name_stays_in_the_folder_and_is_shown_as_it_is(stage: Stage, name: str, saved: str) -> None:
    ana, bruno = await stage.pair()
    await say(ana, stage, name=name)
    message = await file_of(bruno, stage.chat_id)
    folder = stage.folder / "descargas"
    folder.mkdir()
    path = await bruno.client.chat(stage.chat_id).download(message.mid, folder)
    assert path == folder / saved
    assert attached(message).name == saved
    assert list(folder.iterdir()) == [path]
    assert attached(message).risky == name.endswith(".exe")


async def test_nothing_is_fetched_by_itself(stage: Stage) -> None:
    """Shown with its thumbnail, read, and level with the server again: not a byte was asked for."""
    from PIL import Image  # noqa: PLC0415 - a picture for this test only

    ana, bruno = await stage.pair()
    picture = stage.folder / "foto.png"
    Image.new("RGB", (600, 400), "navy").save(picture)
    sent = await ana.client.chat(stage.chat_id).send_file(picture, "mira")
    await ana.client.wait_sent(sent.mid)
    message = await file_of(bruno, stage.chat_id)
    assert attached(message).thumb.startswith(b"\xff\xd8")
    assert attached(message).state is AttachmentState.REMOTE
    await bruno.client.mark_read(stage.chat_id, message.order)
    stage.evil.drop_connections()
    await ana.send(stage.chat_id, "otra")
    await bruno.shows(stage.chat_id, "ana: otra")
    assert [call for call in fetched(stage) if not call[1].endswith("/upload")] == []


async def test_a_link_in_a_message_fetches_nothing(stage: Stage) -> None:
    """Not by who writes it, and not by who gets, reads, finds or quotes it."""
    ana, bruno = await stage.pair()
    with socket.create_server(("127.0.0.1", 0)) as there:
        there.setblocking(False)
        link = f"http://127.0.0.1:{there.getsockname()[1]}/foto.png"
        text = f"mira {link} ![]({link}) <img src='{link}'>"
        mid = await ana.send(stage.chat_id, text)
        await bruno.shows(stage.chat_id, f"ana: {text}")
        await bruno.client.mark_read(stage.chat_id, (await bruno.timeline(stage.chat_id))[-1].order)
        await ana.state(stage.chat_id, mid, MessageState.READ)
        await bruno.send(stage.chat_id, link)
        await ana.shows(stage.chat_id, f"bruno: {link}")
        with pytest.raises(BlockingIOError):
            there.accept()


async def test_nothing_is_fetched_before_a_request_is_accepted(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await send(ana, stage)
    message = await file_of(bruno, stage.chat_id)
    await bruno.change(lambda tx: tx.chats.set_accepted(stage.chat_id, accepted=False))
    with pytest.raises(StateError, match="request_pending"):
        await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "x")
    assert fetched(stage) == []


async def test_a_file_that_changes_between_attempts_never_meets_a_used_key(stage: Stage) -> None:
    """The connection breaks in the upload and the original is edited: what goes on is the first copy, byte for byte."""
    ana, bruno = await stage.pair()
    original, first = stage.folder / "tesis.txt", secrets.token_bytes(2_000_000)
    original.write_bytes(first)

    rest = ana.client._context.rest
    upload, sent_bytes, broken = rest.files.upload, dict[int, set[bytes]](), 0

    async def breaking(file_id: bytes, offset: int, data: bytes) -> None:
        nonlocal broken
        for at in range(0, len(data), 4096):
            sent_bytes.setdefault(offset + at, set()).add(data[at : at + 4096])
        await upload(file_id, offset, data)
        if broken < 2:
            broken += 1
            original.write_bytes(secrets.token_bytes(2_000_000))
            stage.evil.drop_connections()
            await asyncio.sleep(3600)

    rest.files.upload = breaking  # type: ignore[method-assign]
    sent = await ana.client.chat(stage.chat_id).send_file(original)
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), 30)
    message = await file_of(bruno, stage.chat_id)
    saved = await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "x")
    assert broken == 2
    assert saved.read_bytes() == first
    assert all(len(seen) == 1 for seen in sent_bytes.values())


async def test_a_file_that_the_server_has_thrown_away_is_told_in_words(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await send(ana, stage)
    message = await file_of(bruno, stage.chat_id)
    with stage.evil.database() as database:
        database.execute("DELETE FROM file")
    with pytest.raises(RefusedError, match="file_gone"):
        await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "x")


@pytest.mark.parametrize("field", ["size", "received"])
async def test_a_server_that_lies_about_an_upload_gets_no_message(stage: Stage, field: str) -> None:
    """The state of an upload is another than it can be: the file waits, and goes out when the server is honest."""
    ana, _ = await stage.pair()

    class Liar(Rule):
        def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
            return {**answer, field: 1 << 40} if path.endswith("/upload") else answer

    stage.evil.rule = Liar()
    upload = ana.client._context.rest.files.upload

    async def lost(file_id: bytes, offset: int, data: bytes) -> None:
        await upload(file_id, offset, data)
        raise RefusedError("upload_conflict")

    ana.client._context.rest.files.upload = lost  # type: ignore[method-assign]
    original = stage.folder / "a.bin"
    original.write_bytes(CONTENT)
    sent = await ana.client.chat(stage.chat_id).send_file(original)
    await asyncio.sleep(0.5)
    waiting = await ana.state(stage.chat_id, sent.mid, MessageState.QUEUED)
    assert attached(waiting).state is AttachmentState.UPLOADING
    stage.evil.rule = Rule()
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), 20)


async def test_only_files_can_be_downloaded(stage: Stage) -> None:
    ana, _ = await stage.pair()
    mid = await ana.send(stage.chat_id, "hola")
    with pytest.raises(InputError, match="no_attachment"):
        await ana.client.chat(stage.chat_id).download(mid, stage.folder / "x")


async def test_a_false_padding_is_not_saved(stage: Stage) -> None:
    """A sender who hides bytes behind the declared end, with everything else in order."""
    ana, bruno = await stage.pair()
    await say(ana, stage, size=len(CONTENT) - 1)
    message = await file_of(bruno, stage.chat_id)
    with pytest.raises(SecurityError) as caught:
        await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "x")
    assert caught.value.code == "file_tampered"
    assert not (stage.folder / "x").exists()


async def test_nothing_of_a_file_is_in_the_clear_anywhere_but_where_it_was_saved(stage: Stage) -> None:
    """Content, name, caption and key: not on the wire, not at the server, not in either profile, at no time."""
    ana, bruno = await stage.pair()
    content, name, caption = b"CANARIO-contenido-7431 " * 9000, "canario-nombre-5512.txt", "canario-pie-9903 ñandú"
    original = stage.folder / "fuera" / name
    original.parent.mkdir()
    original.write_bytes(content)
    places: dict[str, bytes] = {}

    def look(when: str) -> None:
        for part in ("ana", "bruno", "server"):
            places.update({f"{when} {part}/{path}": held for path, held in files_of(stage.folder / part).items()})

    real = ana.client._context.rest.files.upload

    async def held(file_id: bytes, offset: int, data: bytes) -> None:
        await asyncio.to_thread(look, "in the upload")
        await real(file_id, offset, data)

    ana.client._context.rest.files.upload = held  # type: ignore[method-assign]
    sent = await ana.client.chat(stage.chat_id).send_file(original, caption)
    await asyncio.wait_for(ana.client.wait_sent(sent.mid), 30)
    message = await file_of(bruno, stage.chat_id)
    body = await bruno.read(lambda tx: tx.attachments.body(stage.chat_id, message.mid, message.sender.uid))
    assert body is not None
    saved = await bruno.client.chat(stage.chat_id).download(message.mid, original.parent / "llegado.txt")
    assert saved.read_bytes() == content
    look("afterwards")
    seen = stage.evil.seen
    places |= {"wire": b"".join(seen.wire), "rest": b"".join(seen.rest), "calls": repr(seen.calls).encode()}
    secrets_of_it = {
        "content": content[:23], "name": name.encode(), "caption": caption.encode(), "key": file_body(body).key,
    }  # fmt: skip
    assert leaks(secrets_of_it, places) == []
    assert leaks({"content": content[:23]}, {"saved": saved.read_bytes()}) != []
    assert any("outgoing" in place for place in places)


async def test_an_upload_that_the_server_has_forgotten_begins_anew_with_the_same_copy(stage: Stage) -> None:
    """What is unfinished for a day is swept from the server; the file is sent all the same, under no new key."""
    ana, bruno = await stage.pair()
    rest, sent_bytes, asked = ana.client._context.rest, dict[int, set[bytes]](), []
    upload, create = rest.files.upload, rest.files.create

    async def counting(size: int) -> Any:
        state = await create(size)
        asked.append(state.file_id)
        return state

    async def forgetting(file_id: bytes, offset: int, data: bytes) -> None:
        sent_bytes.setdefault(offset, set()).add(data[:1000])
        await upload(file_id, offset, data)
        if len(asked) == 1:
            with stage.evil.database() as database:
                database.execute("DELETE FROM file")
            stage.evil.drop_connections()
            await asyncio.sleep(3600)

    rest.files.upload, rest.files.create = forgetting, counting  # type: ignore[method-assign]
    content = secrets.token_bytes(1_500_000)
    mid = await send(ana, stage, content)
    assert len(set(asked)) == 2
    assert all(len(seen) == 1 for seen in sent_bytes.values())
    message = await file_of(bruno, stage.chat_id)
    assert message.mid == mid
    assert (await bruno.client.chat(stage.chat_id).download(message.mid, stage.folder / "x")).read_bytes() == content
