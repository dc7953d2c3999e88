"""The file: key check, creation, versions, and that nothing readable lies in it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import shutil
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from mensajeria.client.errors import ProfileError
from mensajeria.client.store import Store, Tx, schema
from mensajeria.client.store.connection import PAGE_BYTES, open_store
from mensajeria.client.store.key_values import Outbound
from mensajeria.kit.secrets import Secret
from tests.client.store.people import ANA, BRUNO, CHAT, KEY, SESSION, contact, incoming, mid, queued, set_up

WRONG = Secret(bytes(32))
SAMPLE = Path(__file__).parent / "data" / "store_v1.db"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


async def refusal(path: Path, key: Secret) -> str:
    with pytest.raises(ProfileError) as caught:
        await Store.open(path, key)
    return caught.value.code


async def test_a_wrong_key_is_refused_and_touches_nothing(tmp_path: Path, store: Store) -> None:
    await store.close()
    before = digests(tmp_path)
    assert await refusal(tmp_path / "store.db", WRONG) == "key_lost"
    assert await refusal(tmp_path / "store.db", Secret(b"short")) == "key_lost"
    assert digests(tmp_path) == before


async def test_a_wrong_key_beside_a_write_ahead_log_touches_nothing(tmp_path: Path, store: Store) -> None:
    """As after a crash: the log holds what the file does not have yet."""
    await store.run(lambda tx: tx.meta.set("only", b"in the log"))
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("store.db*"):
        shutil.copy(path, copy)
    assert (copy / "store.db-wal").stat().st_size > 0
    before = digests(copy)
    assert await refusal(copy / "store.db", WRONG) == "key_lost"
    assert digests(copy) == before
    async with await Store.open(copy / "store.db", KEY) as reopened:
        assert await reopened.read(lambda tx: tx.meta.get("only")) == b"in the log"


@pytest.mark.parametrize("pages", [1, 2, 150])
async def test_a_checkpoint_that_was_cut_off_loses_nothing(tmp_path: Path, store: Store, pages: int) -> None:
    """The first page is written before the pages that it counts; only the log has those yet."""
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    await store.run(lambda tx: tx.meta.set("big", b"x" * (200 * PAGE_BYTES)))
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    await store.close()  # brings everything from the log into the file
    whole = path.read_bytes()
    assert len(whole) > copy.stat().st_size + 150 * PAGE_BYTES
    with copy.open("r+b") as file:
        file.write(whole[: pages * PAGE_BYTES])
    assert await refusal(copy, WRONG) == "key_lost"
    async with await Store.open(copy, KEY) as reopened:
        assert await reopened.read(lambda tx: tx.meta.get("big")) == b"x" * (200 * PAGE_BYTES)


async def test_a_first_page_half_written_at_a_power_cut_comes_back_from_the_log(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "store.db"
    copy = tmp_path / "copy" / "store.db"
    copy.parent.mkdir()
    await store.run(lambda tx: tx.meta.set("big", b"x" * (200 * PAGE_BYTES)))
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    with copy.open("r+b") as file:
        file.seek(PAGE_BYTES // 2)
        file.write(bytes(PAGE_BYTES // 2))
    before = digests(copy.parent)
    assert await refusal(copy, WRONG) == "key_lost"
    assert digests(copy.parent) == before
    async with await Store.open(copy, KEY) as reopened:
        assert await reopened.read(lambda tx: tx.meta.get("big")) == b"x" * (200 * PAGE_BYTES)


async def test_a_file_that_was_cut_short_is_damaged(tmp_path: Path, store: Store) -> None:
    """The same file without a log: what the first page counts is nowhere."""
    await store.run(lambda tx: tx.meta.set("big", b"x" * (200 * PAGE_BYTES)))
    await store.close()
    path = tmp_path / "store.db"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100 * PAGE_BYTES)
    assert await refusal(path, KEY) == "store_failed"


async def test_a_missing_file_is_not_made_by_opening(tmp_path: Path) -> None:
    assert await refusal(tmp_path / "store.db", KEY) == "profile_missing"
    assert not list(tmp_path.iterdir())


async def test_creating_never_overwrites(tmp_path: Path, store: Store) -> None:
    await store.close()
    before = digests(tmp_path)
    with pytest.raises(ProfileError) as caught:
        await Store.create(tmp_path / "store.db", KEY)
    assert caught.value.code == "profile_exists"
    assert digests(tmp_path) == before


async def test_a_broken_attempt_to_create_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "store.db.new").write_bytes(b"half")
    async with await Store.create(tmp_path / "store.db", KEY):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]
    assert (tmp_path / "store.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"not a database at all", bytes(8192)])
async def test_a_damaged_file_gives_a_clear_error(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "store.db").write_bytes(damage)
    assert await refusal(tmp_path / "store.db", KEY) in {"key_lost", "profile_damaged"}
    assert (tmp_path / "store.db").read_bytes() == damage


async def test_a_flipped_bit_is_noticed(tmp_path: Path, store: Store) -> None:
    await store.run(lambda tx: [tx.messages.add(incoming(seq, "x" * 200)) for seq in range(1, 200)])
    await store.close()
    data = bytearray((tmp_path / "store.db").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "store.db").write_bytes(data)
    assert await asyncio.to_thread(finds_damage, tmp_path / "store.db")


def finds_damage(path: Path) -> bool:
    try:
        connection = open_store(path, KEY)
    except ProfileError:
        return True
    try:
        return bool(connection.execute("PRAGMA cipher_integrity_check").fetchall())
    except dbapi2.DatabaseError:
        return True
    finally:
        connection.close()


async def test_an_undamaged_file_passes_the_same_check(tmp_path: Path, store: Store) -> None:
    await store.close()
    assert not await asyncio.to_thread(finds_damage, tmp_path / "store.db")


async def test_a_newer_file_is_left_alone(tmp_path: Path, store: Store) -> None:
    await store.run(lambda tx: tx.meta._db.execute(f"PRAGMA user_version = {schema.VERSION + 1}"))
    await store.close()
    assert await refusal(tmp_path / "store.db", KEY) == "profile_newer"


async def test_a_file_of_version_1_opens_in_this_version(tmp_path: Path) -> None:
    """A kept file: whatever becomes of the schema, what people wrote with the first version is there."""
    shutil.copy(SAMPLE, tmp_path / "store.db")
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        version = await store.read(lambda tx: tx.meta._db.value("PRAGMA user_version"))
        assert version == schema.VERSION
        page = await store.read(lambda tx: tx.messages.page(CHAT))
        assert [(m.text, m.seq, m.outgoing, m.sender.handle) for m in page.messages] == [
            ("¿Quedamos mañana?", 1, False, "bruno"),
            ("Sí, a las ocho", 2, True, "ana"),
            ("Ya salgo", None, True, "ana"),
        ]
        assert [m.seq for m in await store.read(lambda tx: tx.views.search("manana"))] == [1]
        pending = await store.read(lambda tx: tx.outbox.pending(CHAT))
        assert [(item.type, item.body) for item in pending] == [("text", b"body")]
        outbound = await store.read(lambda tx: tx.outbound.get(CHAT))
        assert outbound is not None
        assert (outbound.session_id, outbound.state, outbound.epoch) == (SESSION, Secret(b"ratchet"), 3)
        device = await store.read(lambda tx: tx.own.device())
        assert device == Secret(b"device keys")


CANARY = "CanarioSecretoÑandú7"
SECRET_BYTES = b"KEYCANARY" + bytes(range(16))


async def test_nothing_readable_lies_in_any_file(tmp_path: Path, store: Store) -> None:
    def write(tx: Tx) -> None:
        tx.messages.add(incoming(1, CANARY))
        tx.messages.add(queued(2, CANARY))
        tx.outbox.add(CHAT, mid(2), "text", CANARY.encode(), 1)
        tx.chats.set_draft(CHAT, CANARY)
        tx.contacts.put(contact(BRUNO, "canariohandle"))
        tx.own.put_device(Secret(SECRET_BYTES))
        tx.outbound.put(Outbound(CHAT, SESSION, Secret(SECRET_BYTES), b"skb", 1, 0, 0))
        tx.own_messages.discard(CHAT, mid(2), ANA)

    await store.run(write)
    while_open = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    await store.close()
    everything = while_open + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for canary in (CANARY.encode(), CANARY.lower().encode(), b"canariohandle", SECRET_BYTES, KEY.reveal()):
        for form in spellings(canary):
            assert form not in everything


def spellings(data: bytes) -> list[bytes]:
    forms = [data, data.hex().encode(), data.hex().upper().encode(), base64.b64encode(data)[:-4]]
    with contextlib.suppress(UnicodeDecodeError):
        forms += [data.decode().encode("utf-16-le"), data.decode().encode("utf-16-be")]
    return forms


def test_the_scan_finds_what_is_there() -> None:
    for form in spellings(CANARY.encode()):
        assert form in b"..." + form + b"..."
    assert len(spellings(CANARY.encode())) == 6


async def test_a_folder_in_its_place_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    assert await refusal(tmp_path / "store.db", KEY) == "profile_missing"


def make_sample() -> None:
    """How the kept file was made (with version 1; never again)."""

    async def make() -> None:
        SAMPLE.parent.mkdir(exist_ok=True)
        async with await Store.create(SAMPLE, KEY) as store:
            await store.run(set_up)
            await store.run(lambda tx: tx.messages.add(incoming(1, "¿Quedamos mañana?")))
            await store.run(lambda tx: tx.messages.add(queued(2, "Sí, a las ocho")))
            await store.run(lambda tx: tx.own_messages.ack(CHAT, mid(2), ANA, seq=2, server_ms=9))
            await store.run(lambda tx: tx.messages.add(queued(3, "Ya salgo")))
            await store.run(lambda tx: tx.outbox.add(CHAT, mid(3), "text", b"body", 1))
            await store.run(lambda tx: tx.outbound.put(Outbound(CHAT, SESSION, Secret(b"ratchet"), b"skb", 1, 1, 3)))
            await store.run(lambda tx: tx.own.put_device(Secret(b"device keys")))

    asyncio.run(make())
