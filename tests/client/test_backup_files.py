"""Backup files: whole or refused, never half; and a profile that is made from one."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlcipher3 import dbapi2

from mensajeria.client import Client, InputError, ProfileError, StateError
from mensajeria.client.api import ConnectionPhase, MessageKind, MessageState
from mensajeria.client.full_backup import Manifest, _End, _put, _Row, _Table, file_method
from mensajeria.client.profile import ProfileInfo
from mensajeria.client.profiles import new_profile
from mensajeria.client.store import Tx
from mensajeria.client.store.copy import KEPT, LEFT, tables_of
from mensajeria.client.store.schema import VERSION
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto import backup_file
from mensajeria.crypto.backup_file import CHUNK, HEADER_BYTES, TAG, BackupFileWriter, FileKey, Method
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Mid
from tests.client.engine.world import NOW, SERVER, Somebody, chat_of

PASSPHRASE: Final = "una frase larga de copia"
HANDLE: Final = b"\xa3ana"
"""As it is encoded: in so much that is random, three bytes by themselves are found now and then."""
SECRETS: Final = ("device", "settings_key", "backup_key", "channel_key", "token_refresh")


@pytest.fixture(autouse=True)
def cheap_stretching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id as it is, with a hundredth of its memory: what these tests are about is behind it."""
    real = Argon2id
    monkeypatch.setattr(
        backup_file,
        "Argon2id",
        lambda salt, length, **_: real(salt=salt, length=length, iterations=1, lanes=1, memory_cost=64),
    )


class People:
    ana = Somebody.make("ana")
    bruno = Somebody.make("bruno")


async def a_profile(folder: Path, messages: int = 3) -> ChatId:
    """Ana's profile with a chat, without a server."""
    chat_id = chat_of(People.ana, People.bruno)
    info = ProfileInfo(
        server_url="http://127.0.0.1:1",
        server_id=SERVER.hex(),
        uid=People.ana.uid.hex(),
        did=People.ana.device.did.hex(),
        handle="ana",
    )

    def fill(tx: Tx) -> None:
        for who in (People.ana, People.bruno):
            tx.contacts.put(who.contact)
        tx.own.put_device(People.ana.device.dump())
        for name in SECRETS[1:]:
            tx.own.put(name, Secret(name.encode() * 8))
        tx.chats.ensure_direct(chat_id, People.bruno.uid, accepted=True, note_to_self=False, now_ms=NOW)
        for number in range(1, messages + 1):
            tx.messages.add(_message(chat_id, number, f"mensaje número {number}"))
        tx.messages.add(_message(chat_id, None, "todavía en cola"))

    async with new_profile(folder, None, insecure_key_file=True) as opened:
        await opened.store.run(fill)
        await asyncio.to_thread(opened.profile.save, info)
    await opened.close()
    return chat_id


def _message(chat_id: ChatId, seq: int | None, text: str) -> NewMessage:
    mid = Mid((seq or 0).to_bytes(16, "big"))
    state = MessageState.QUEUED if seq is None else MessageState.SENT
    return NewMessage(
        chat_id, mid, People.ana.uid, True, MessageKind.TEXT, state, NOW, seq=seq, server_ms=NOW, text=text
    )


async def texts(client: Client, chat_id: ChatId) -> list[str]:
    return [message.text async for message in client.chat(chat_id).history()]


@pytest.fixture
async def made(tmp_path: Path) -> Path:
    """A backup file of Ana's profile."""
    await a_profile(tmp_path / "ana")
    async with await Client.open(tmp_path / "ana", offline=True) as client:
        await client.create_backup(tmp_path / "copy", passphrase=PASSPHRASE)
    return tmp_path / "copy"


async def test_a_profile_made_from_a_file_can_be_read_and_searched_and_has_no_device(
    tmp_path: Path, made: Path
) -> None:
    told = await Client.restore_backup(made, tmp_path / "new", backup_passphrase=PASSPHRASE, insecure_key_file=True)
    assert (told.handle, told.chats, told.messages) == ("ana", 1, 3)
    async with await Client.open(tmp_path / "new") as client:
        chat_id = chat_of(People.ana, People.bruno)
        assert await texts(client, chat_id) == [f"mensaje número {n}" for n in (1, 2, 3)]
        assert len(await client.search("numero")) == 3
        assert (await client.chat(chat_id).view()).peer is not None
        with pytest.raises(StateError):
            await asyncio.wait_for(client.caught_up(), 5)
        assert client.phase is ConnectionPhase.LOGIN_ENDED
        own = await client._context.store.read(lambda tx: [tx.own.get(name) for name in SECRETS])
        assert own == [None] * len(SECRETS)
        assert client._context.me.did != People.ana.device.did


async def test_the_file_shows_nothing_of_what_it_holds_and_holds_no_device_keys(tmp_path: Path, made: Path) -> None:
    data = await asyncio.to_thread(made.read_bytes)
    assert made.stat().st_mode & 0o777 == 0o600
    plain = await asyncio.to_thread(plaintext, made)
    for word in (b"mensaje n", HANDLE, People.ana.uid, b"contacts"):
        assert word not in data
        assert word in plain
    assert "todavía en cola".encode() not in plain
    for name in SECRETS[1:]:
        assert name.encode() * 8 not in plain


def plaintext(path: Path, key: FileKey | None = None) -> bytes:
    with path.open("rb") as file:
        return b"".join(backup_file.read_chunks(file, key or FileKey(Secret.from_text(PASSPHRASE))))


async def refused(work: Callable[[], object], code: str, folder: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        await work()  # type: ignore[misc]
    assert caught.value.code == code
    assert not folder.exists()


async def test_every_damage_is_one_clear_error_and_nothing_is_made(tmp_path: Path, made: Path) -> None:
    whole, target = await asyncio.to_thread(made.read_bytes), tmp_path / "new"

    async def restore() -> None:
        await Client.restore_backup(made, target, backup_passphrase=PASSPHRASE, insecure_key_file=True)

    cases = {"cut in the header": whole[:40], "cut": whole[:-1], "empty": b"", "longer": whole + b"x"}
    for place in (HEADER_BYTES, HEADER_BYTES + 1000, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        cases[f"bit {place}"] = bytes(flipped)
    for data in cases.values():
        await asyncio.to_thread(made.write_bytes, data)
        await refused(restore, "backup_damaged", target)
    for place, code in (
        (18, "backup_newer"),
        (19, "backup_damaged"),
        (25, "backup_wrong_key"),
        (50, "backup_wrong_key"),
    ):
        changed = bytearray(whole)
        changed[place] ^= 7
        await asyncio.to_thread(made.write_bytes, bytes(changed))
        await refused(restore, code, target)
    await asyncio.to_thread(made.unlink)
    await refused(restore, "backup_missing", target)


async def test_a_wrong_passphrase_or_the_other_means_is_told_before_anything_is_decrypted(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commitment decides: no file tells by how it decrypts which guess was right (partitioning oracle)."""

    def never(*_: object) -> bytes:
        raise AssertionError("decrypted under a key that the commitment refuses")

    monkeypatch.setattr(backup_file._Cipher, "open", never)
    for given in ({"passphrase": "otra frase"}, {"recovery_code": RecoveryCode.generate().text}):
        with pytest.raises(ProfileError) as caught:
            await Client.verify_backup(made, **given)
        assert caught.value.code == "backup_wrong_key"


def test_chunks_cannot_be_swapped_repeated_or_dropped(tmp_path: Path) -> None:
    path, key = tmp_path / "file", FileKey(Secret.from_text(PASSPHRASE))
    with path.open("wb") as file:
        writer = BackupFileWriter(file, key)
        writer.write(bytes(3 * CHUNK + 10))
        writer.finish()
    data, step = path.read_bytes(), CHUNK + TAG
    assert len(plaintext(path)) == 3 * CHUNK + 10
    header, body = data[:HEADER_BYTES], data[HEADER_BYTES:]
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    for changed in (
        [chunks[1], chunks[0], *chunks[2:]],
        [chunks[0], *chunks],
        chunks[1:],
        chunks[:-1],
        [*chunks[:2], chunks[3]],
    ):
        path.write_bytes(header + b"".join(changed))
        with pytest.raises(backup_file.BackupFileError):
            plaintext(path)


async def test_a_recovery_code_of_another_account_makes_no_file(tmp_path: Path) -> None:
    await a_profile(tmp_path / "ana")
    async with await Client.open(tmp_path / "ana", offline=True) as client:
        with pytest.raises(InputError) as caught:  # a code of another account: nobody could open the file
            await client.create_backup(tmp_path / "copy", recovery_code=RecoveryCode.generate().text)
    assert caught.value.code == "recovery_code_invalid"


def test_the_stream_under_a_recovery_code_opens_with_that_code_only(tmp_path: Path) -> None:
    code = RecoveryCode.generate()
    path, key = tmp_path / "file", FileKey(code=code)
    with path.open("wb") as file:
        writer = BackupFileWriter(file, key)
        writer.finish()
    assert file_method(path) is Method.RECOVERY_CODE
    assert plaintext(path, key) == b""
    with pytest.raises(backup_file.WrongBackupKeyError):
        plaintext(path, FileKey(code=RecoveryCode.generate()))


async def test_an_existing_file_and_an_existing_profile_are_left_alone(tmp_path: Path, made: Path) -> None:
    before = await asyncio.to_thread(made.read_bytes)
    async with await Client.open(tmp_path / "ana", offline=True) as client:
        with pytest.raises(InputError) as caught:
            await client.create_backup(made, passphrase=PASSPHRASE)
    assert caught.value.code == "backup_exists"
    assert await asyncio.to_thread(made.read_bytes) == before
    with pytest.raises(ProfileError) as exists:
        await Client.restore_backup(made, tmp_path / "ana", backup_passphrase=PASSPHRASE, insecure_key_file=True)
    assert exists.value.code == "profile_exists"
    async with await Client.open(tmp_path / "ana", offline=True) as client:
        assert len(await texts(client, chat_of(People.ana, People.bruno))) == 4


def crafted(path: Path, *records: msgspec.Struct) -> Path:
    with path.open("wb") as file:
        writer = BackupFileWriter(file, FileKey(Secret.from_text(PASSPHRASE)))
        for record in records:
            _put(writer, record)
        writer.finish()
    return path


@pytest.mark.slow
async def test_content_that_no_program_of_ours_wrote_is_refused(tmp_path: Path) -> None:
    """Somebody who knows the passphrase made the file: still no table, column or value that a backup cannot have."""
    manifest = Manifest(
        schema=VERSION, created_ms=1, server_url="http://x", server_id="0" * 32, uid="0" * 32, handle="ana"
    )
    newer = msgspec.structs.replace(manifest, schema=VERSION + 1)
    cases: list[tuple[str, tuple[msgspec.Struct, ...]]] = [
        ("backup_damaged", ()),
        ("backup_damaged", (manifest,)),
        ("backup_damaged", (_End(0),)),
        ("backup_newer", (newer, _End(0))),
        ("backup_damaged", (manifest, _End(1))),
        ("backup_damaged", (manifest, _End(0), _End(0))),
        ("backup_damaged", (manifest, _Table("own_keys", ("name", "value")), _Row(("device", b"x")), _End(1))),
        ("backup_damaged", (manifest, _Table("warnings", ("id); DROP TABLE chats",)), _End(0))),
        ("backup_damaged", (manifest, _Table("warnings", ("id", "code")), _Row((1,)), _End(1))),
        ("backup_damaged", (manifest, _Table("warnings", ("id", "code")), _Row(([1], "x")), _End(1))),
        ("backup_damaged", (manifest, _Row((1,)), _End(1))),
    ]
    for number, (code, records) in enumerate(cases):
        path, target = tmp_path / f"file{number}", tmp_path / f"new{number}"
        await asyncio.to_thread(crafted, path, *records)

        async def restore(path: Path = path, target: Path = target) -> None:
            await Client.restore_backup(path, target, backup_passphrase=PASSPHRASE, insecure_key_file=True)

        await refused(restore, code, target)


def test_every_table_is_either_copied_or_left(tmp_path: Path) -> None:
    """A new table must be put into KEPT or LEFT of store/copy.py; nothing with which one encrypts may be kept."""
    from mensajeria.client.store.connection import _connect, create_store  # noqa: PLC0415

    create_store(tmp_path / "store.db", Secret(bytes(32)))
    connection: dbapi2.Connection = _connect(tmp_path / "store.db", Secret(bytes(32)))
    try:
        assert tables_of(connection) == {*KEPT, *LEFT}
    finally:
        connection.close()


@pytest.mark.slow
async def test_memory_stays_the_same_for_ten_times_the_messages(tmp_path: Path) -> None:
    peaks = []
    for count in (3_000, 30_000):
        folder = tmp_path / str(count)
        await a_profile(folder, count)
        async with await Client.open(folder, offline=True) as client:
            tracemalloc.start()
            await client.create_backup(tmp_path / f"copy{count}", passphrase=PASSPHRASE)
            await Client.restore_backup(
                tmp_path / f"copy{count}",
                tmp_path / f"new{count}",
                backup_passphrase=PASSPHRASE,
                insecure_key_file=True,
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (2 << 20)
