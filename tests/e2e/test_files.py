"""Files between two people at a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from mensajeria.client import Chat, Client
from mensajeria.client.api import (
    AttachmentState,
    ConnectionPhase,
    Message,
    MessageKind,
    MessageState,
    TransferProgress,
)
from mensajeria.client.engine import uploads
from mensajeria.client.errors import InputError, MessageFailedError
from mensajeria.client.transfer import staging
from tests.e2e.conftest import PASSWORDS, Register, ServerProcess
from tests.e2e.helpers import befriend, eventually, last_message, until
from tests.e2e.test_groups import group_of, three

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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


async def actor(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.actor", *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield line.decode().strip()


async def test_an_upload_survives_kill_9_at_any_moment(register: Register, tmp_path: Path) -> None:
    """The sender is killed again and again on the way; the file arrives once and whole."""
    ana, bruno = await register("ana"), await register("bruno")
    _, back = await befriend(ana, bruno)
    await ana.close()
    original, content = tmp_path / "video.mp4", os.urandom(80_000_000)
    original.write_bytes(content)
    kills = 0
    while True:
        process = await actor("upload", str(tmp_path / "ana"), back.chat_id.hex(), str(original))
        done, seen = False, 0
        async for line in lines(process):
            seen += line.startswith("at ")
            done = line == "done"
            if done or (kills < 5 and seen > kills % 2):
                break
        if done:
            await process.wait()
            break
        process.kill()
        await process.wait()
        kills += 1
        original.write_bytes(b"otra cosa")  # only the copy counts
    assert kills == 5
    saved = await back.download((await received(back)).mid, tmp_path / "llegado.mp4")
    assert saved.read_bytes() == content
    assert len([m async for m in back.history() if m.kind is MessageKind.FILE]) == 1


async def test_a_file_that_is_queued_offline_is_sent_with_the_next_connection(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    await eventually(lambda: ana.phase is ConnectionPhase.ONLINE)
    server.kill()
    await eventually(lambda: ana.phase is not ConnectionPhase.ONLINE)
    original = tmp_path / "nota.txt"
    original.write_text("sin red")
    sent = await there.send_file(original)
    original.unlink()
    own = await there.download(sent.mid, tmp_path / "copia.txt")
    assert own.read_text() == "sin red"
    later = await there.send_text("y esto")
    await asyncio.to_thread(server.start)
    ana.retry_now()
    bruno.retry_now()
    await ana.wait_sent(sent.mid)
    await ana.wait_sent(later.mid)
    assert (await back.download((await received(back)).mid, tmp_path / "b.txt")).read_text() == "sin red"


async def test_a_download_goes_on_where_the_server_was_killed(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    original, content = tmp_path / "grande.bin", os.urandom(40_000_000)
    original.write_bytes(content)
    await ana.wait_sent((await there.send_file(original)).mid)
    message, progress = await received(back), bruno.events()
    fetching = asyncio.create_task(back.download(message.mid, tmp_path / "x.bin"))
    await until(progress, lambda event: isinstance(event, TransferProgress))
    server.kill()
    (part,) = (tmp_path / "bruno" / "incoming").glob("*.part")
    had = part.stat().st_size
    await asyncio.to_thread(server.start)
    assert (await fetching).read_bytes() == content
    assert had > 0
    assert not part.exists()


@pytest.mark.parametrize(
    ("limit", "code"), [("MENSAJERIA_FILE_MAX_MB", "too_large"), ("MENSAJERIA_FILE_QUOTA_MB", "quota_exceeded")]
)
async def test_a_file_that_the_server_has_no_room_for_fails_in_words_and_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, code: str
) -> None:
    monkeypatch.setenv(limit, "1")
    server = ServerProcess(tmp_path / "server")
    server.start()
    try:
        async with await Client.register(
            server.url, "ana", PASSWORDS["ana"], profile=tmp_path / "ana", insecure_key_file=True
        ) as ana:
            note = await ana.direct_chat("ana")
            original = tmp_path / "grande.bin"
            original.write_bytes(bytes(2_000_000))
            large = await note.send_file(original)
            original.write_bytes(b"cabe")
            small = await note.send_file(original)
            with pytest.raises(MessageFailedError, match=code):
                await ana.wait_sent(large.mid)
            await ana.wait_sent(small.mid)
            await note.retry(large.mid)
            with pytest.raises(MessageFailedError, match=code):
                await ana.wait_sent(large.mid)
            await note.discard(large.mid)
            await eventually(lambda: not list((tmp_path / "ana" / "outgoing").glob("*")))
            assert [m.mid async for m in note.history()] == [small.mid]
    finally:
        server.kill()


async def test_an_upload_that_is_given_up_frees_its_room(register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    original, progress = tmp_path / "grande.bin", ana.events()
    original.write_bytes(os.urandom(60_000_000))
    sent = await there.send_file(original)
    await until(progress, lambda event: isinstance(event, TransferProgress) and event.transfer.done > 0)
    assert [transfer.mid for transfer in ana.transfers] == [sent.mid]
    await there.discard(sent.mid)
    await ana.wait_sent((await there.send_text("mejor no")).mid)
    await eventually(lambda: ana.transfers == ())
    await eventually(lambda: not list((tmp_path / "ana" / "outgoing").glob("*")))
    await eventually(lambda: not [path for path in (tmp_path / "server" / "files").rglob("*") if path.is_file()])
    assert [m.kind async for m in back.history()].count(MessageKind.FILE) == 0


async def test_a_file_reaches_everybody_in_a_group_and_only_when_asked_for(register: Register, tmp_path: Path) -> None:
    ana, bruno, eva = await three(register)
    made = await ana.create_group("Excursión", ["bruno", "eva"])
    there, far = await group_of(bruno, made.chat_id), await group_of(eva, made.chat_id)
    for one in (there, far):
        await one.accept()
    original = tmp_path / "mapa.png"
    Image.new("RGB", (640, 480), "teal").save(original)
    await ana.wait_sent((await made.send_file(original, "el mapa")).mid)
    for chat, name in ((there, "bruno.png"), (far, "eva.png")):
        message = await received(chat)
        assert message.attachment is not None
        assert (message.attachment.width, message.attachment.height, bool(message.attachment.thumb)) == (640, 480, True)
        saved = await chat.download(message.mid, tmp_path / name, author=message.sender.uid)
        with Image.open(saved) as picture:
            assert picture.size == (640, 480)


async def test_a_file_that_is_deleted_for_all_goes_from_the_server_too(register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    original = tmp_path / "nota.txt"
    original.write_text("sin querer")
    sent = await there.send_file(original)
    await ana.wait_sent(sent.mid)
    message = await received(back)

    def kept() -> list[Path]:
        return [path for path in (tmp_path / "server" / "files").rglob("*") if path.is_file()]

    assert len(kept()) == 1
    await there.delete(sent.mid, for_all=True)
    await eventually(lambda: not kept())

    async def is_gone() -> bool:
        return (await last_message(back)).deleted

    await eventually(is_gone)
    assert (await last_message(back)).attachment is None
    with pytest.raises(InputError, match="no_attachment"):
        await back.download(message.mid, tmp_path / "x")


async def test_a_file_in_a_chat_with_a_timer_disappears_as_a_text_does(register: Register, tmp_path: Path) -> None:
    ana = await register("ana")
    note = await ana.direct_chat("ana")
    await note.set_timer(3600)
    original = tmp_path / "nota.txt"
    original.write_text("por poco tiempo")
    sent = await note.send_file(original)
    await ana.wait_sent(sent.mid)
    shown = await last_message(note)
    assert shown.kind is MessageKind.FILE
    assert shown.expires_ms is not None


async def test_a_download_that_is_cancelled_goes_on_where_it_was(register: Register, tmp_path: Path) -> None:
    ana = await register("ana")
    note = await ana.direct_chat("ana")
    original, content = tmp_path / "grande.bin", os.urandom(30_000_000)
    original.write_bytes(content)
    sent = await note.send_file(original)
    await ana.wait_sent(sent.mid)
    await eventually(lambda: not list((tmp_path / "ana" / "outgoing").glob("*")))
    progress, fetching = ana.events(), asyncio.create_task(note.download(sent.mid, tmp_path / "x.bin"))
    await until(progress, lambda event: isinstance(event, TransferProgress))
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    (part,) = (tmp_path / "ana" / "incoming").glob("*.part")
    had = part.stat().st_size
    assert 0 < had < len(content)
    assert ana.transfers == ()
    progress = ana.events()
    assert (await note.download(sent.mid, tmp_path / "x.bin")).read_bytes() == content
    first = await until(progress, lambda event: isinstance(event, TransferProgress))
    assert isinstance(first, TransferProgress)
    assert first.transfer.done >= had


async def test_the_sweep_takes_no_copy_that_is_being_made(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks into the folder later than it was told which copies are needed."""
    ana = await register("ana")
    note = await ana.direct_chat("ana")
    original = tmp_path / "nota.bin"
    original.write_bytes(os.urandom(200_000))
    sweep = staging.sweep

    def slow(profile: Path, needed: frozenset[str]) -> None:
        time.sleep(0.05)
        sweep(profile, needed)

    monkeypatch.setattr(uploads, "sweep", slow)
    sending = [asyncio.create_task(note.send_file(original)) for _ in range(6)]
    while not all(task.done() for task in sending):
        await ana._engine.uploads.sweep()
        await asyncio.sleep(0)
    for task in sending:
        await ana.wait_sent((await task).mid)
