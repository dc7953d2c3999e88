"""Where the store's key lies, and that it is never lost, overwritten or readable by accident."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as ForgetfulKeyring

from mensajeria.client.errors import ProfileError
from mensajeria.client.vault import Vault, add_passphrase, create_vault, open_vault
from mensajeria.client.vault.content import Content
from mensajeria.client.vault.sealed_file import FILE_BYTES, MAGIC, SealedFile, seal_content, stretch, unseal_content
from mensajeria.client.vault.vault import GEN_BLOCK
from mensajeria.kit.secrets import Secret
from tests.support.examples import examples
from tests.support.loop import LoopLag

PASSPHRASE = Secret.from_text("una frase que nadie sabe")


class MemoryKeyring(KeyringBackend):
    """A keyring like the system's, which a test machine does not have."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise RuntimeError("the service is gone")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.broken:
            raise RuntimeError("the service is gone")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a keyring. Which one this machine has is not asked: the library would look for all of them."""
    monkeypatch.setattr(keyring.core, "_keyring_backend", NoKeyring())  # type: ignore[no-untyped-call]


@pytest.fixture
def backend(no_backend: None) -> MemoryKeyring:
    """The system's keyring during a test."""
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    return memory


async def code(attempt: object) -> str:
    with pytest.raises(ProfileError) as caught:
        await attempt  # type: ignore[misc]
    return caught.value.code


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --- the keyring ---


async def test_the_keyring_keeps_the_key_and_the_folder_no_secret(tmp_path: Path, backend: MemoryKeyring) -> None:
    vault = await create_vault(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["key.keyring"]
    assert vault.key.reveal() not in (tmp_path / "key.keyring").read_bytes()
    assert (await open_vault(tmp_path)).key == vault.key
    assert len(backend.entries) == 1


async def test_a_lost_keyring_entry_is_said_and_nothing_is_destroyed(tmp_path: Path, backend: MemoryKeyring) -> None:
    await create_vault(tmp_path)
    before = digests(tmp_path)
    kept = dict(backend.entries)
    backend.entries.clear()
    assert await code(open_vault(tmp_path)) == "key_lost"
    backend.entries.update(dict.fromkeys(kept, "bm90IGEga2V5"))
    assert await code(open_vault(tmp_path)) == "key_lost"
    backend.broken = True
    assert await code(open_vault(tmp_path)) == "keyring_failed"
    assert digests(tmp_path) == before
    backend.broken = False
    backend.entries.update(kept)
    await open_vault(tmp_path)


@pytest.mark.slow
async def test_a_passphrase_kept_beside_opens_when_the_keyring_is_gone(tmp_path: Path, backend: MemoryKeyring) -> None:
    first = await create_vault(tmp_path)
    vault = await add_passphrase(tmp_path, first, PASSPHRASE)
    backend.entries.clear()
    assert await code(open_vault(tmp_path)) == "passphrase_needed"
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    assert await code(open_vault(tmp_path)) == "passphrase_needed"
    assert (await open_vault(tmp_path, passphrase=PASSPHRASE)).key == vault.key


@pytest.mark.slow
async def test_both_places_follow_the_count(tmp_path: Path, backend: MemoryKeyring) -> None:
    vault = await add_passphrase(tmp_path, await create_vault(tmp_path), PASSPHRASE)
    await vault.reserve(1000)
    assert (await open_vault(tmp_path)).ceiling == vault.ceiling
    assert (await open_vault(tmp_path, passphrase=PASSPHRASE)).ceiling == vault.ceiling


async def test_a_keyring_that_forgets_in_silence_is_not_used(tmp_path: Path, no_backend: None) -> None:
    keyring.set_keyring(ForgetfulKeyring())  # type: ignore[no-untyped-call]
    assert await code(create_vault(tmp_path)) == "passphrase_needed"
    assert not list(tmp_path.iterdir())


async def test_a_broken_keyring_leaves_no_half_profile(tmp_path: Path, backend: MemoryKeyring) -> None:
    backend.broken = True
    assert await code(create_vault(tmp_path)) == "keyring_failed"
    assert not list(tmp_path.iterdir())


async def test_without_keyring_the_options_are_named(tmp_path: Path, no_backend: None) -> None:
    with pytest.raises(ProfileError, match=r"MENSAJERIA_PASSPHRASE.*--passphrase-file.*MENSAJERIA_KEY_FILE=plain"):
        await create_vault(tmp_path)
    assert not list(tmp_path.iterdir())


# --- the passphrase ---


@pytest.mark.slow
async def test_a_passphrase_seals_the_key(tmp_path: Path, backend: MemoryKeyring) -> None:
    vault = await create_vault(tmp_path, passphrase=PASSPHRASE)
    sealed = (tmp_path / "key.sealed").read_bytes()
    assert (len(sealed), vault.key.reveal() in sealed, backend.entries) == (FILE_BYTES, False, {})
    assert (tmp_path / "key.sealed").stat().st_mode & 0o077 == 0
    assert await code(open_vault(tmp_path)) == "passphrase_needed"
    assert await code(open_vault(tmp_path, passphrase=Secret.from_text("otra"))) == "passphrase_wrong"
    assert await code(open_vault(tmp_path, passphrase=Secret(b""))) == "passphrase_needed"
    assert (await open_vault(tmp_path, passphrase=PASSPHRASE)).key == vault.key
    assert (tmp_path / "key.sealed").read_bytes() == sealed


async def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    assert await code(create_vault(tmp_path, passphrase=Secret(b""))) == "passphrase_needed"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
async def test_the_same_passphrase_typed_in_another_composition_opens(tmp_path: Path) -> None:
    await create_vault(tmp_path, passphrase=Secret.from_text("contrase\u00f1a"))
    await open_vault(tmp_path, passphrase=Secret.from_text("contrasen\u0303a"))


async def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    await create_vault(tmp_path, insecure_key_file=True)
    before = digests(tmp_path)
    assert await code(create_vault(tmp_path, passphrase=PASSPHRASE)) == "profile_exists"
    assert digests(tmp_path) == before


async def test_a_missing_key_is_said(tmp_path: Path) -> None:
    assert await code(open_vault(tmp_path)) == "key_lost"


@pytest.mark.slow
async def test_stretching_does_not_hold_the_loop(tmp_path: Path, loop_lag: LoopLag) -> None:
    await create_vault(tmp_path, passphrase=PASSPHRASE)
    await loop_lag.assert_below(0.25)


KEK = Secret(bytes(32))
SALT = bytes(16)
GOOD = seal_content(KEK, SALT, Content(Secret(b"k" * 32), 77))


def test_the_sealed_format_round_trips_and_every_byte_counts() -> None:
    content = unseal_content(KEK, GOOD)
    assert (content.key, content.ceiling) == (Secret(b"k" * 32), 77)
    for place in range(len(GOOD)):
        bad = GOOD[:place] + bytes([GOOD[place] ^ 1]) + GOOD[place + 1 :]
        with pytest.raises(ProfileError):
            unseal_content(KEK, bad)
    with pytest.raises(ProfileError) as caught:
        unseal_content(KEK, MAGIC + b"\x02" + GOOD[16:])
    assert caught.value.code == "profile_newer"


@pytest.mark.slow
def test_the_sealed_format_is_frozen() -> None:
    """Made by the first version: key = 00..1f, ceiling = 640, passphrase "frase de prueba"."""
    data = (Path(__file__).parent / "data" / "key_v1.sealed").read_bytes()
    content = unseal_content(stretch(Secret.from_text("frase de prueba"), data[16:32]), data)
    assert (content.key, content.ceiling) == (Secret(bytes(range(32))), 640)


@examples(500)
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: MAGIC + b"\x01" + tail))
def test_any_bytes_are_refused_with_the_declared_error(data: bytes) -> None:
    with pytest.raises(ProfileError) as caught:
        unseal_content(KEK, data)
    assert caught.value.code in {"profile_damaged", "profile_newer", "passphrase_wrong"}


@examples(200)
@given(st.binary(max_size=100))
def test_any_content_is_refused_or_round_trips(data: bytes) -> None:
    try:
        content = Content.decode(data)
    except ValueError:
        return
    assert content.encode().reveal() == data


@pytest.mark.parametrize("name", ["key.sealed", "key.plain", "key.keyring"])
@pytest.mark.parametrize("data", [b"", b"x", bytes(40), bytes(5000)])
async def test_damaged_files_give_clear_errors(tmp_path: Path, backend: MemoryKeyring, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / name).chmod(0o600)
    attempt = open_vault(tmp_path, passphrase=PASSPHRASE)
    if (name, data) == ("key.plain", bytes(40)):
        assert (await attempt).key == Secret(bytes(32))
    else:
        assert await code(attempt) == "profile_damaged"
    assert (tmp_path / name).read_bytes() == data


# --- the plain file ---


async def test_a_plain_key_is_made_on_request_only_and_kept_private(tmp_path: Path, no_backend: None) -> None:
    vault = await create_vault(tmp_path, insecure_key_file=True)
    path = tmp_path / "key.plain"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (await open_vault(tmp_path)).key == vault.key
    path.chmod(0o640)
    assert await code(open_vault(tmp_path)) == "profile_damaged"


async def test_keys_are_random(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        keys.add((await create_vault(tmp_path / name, insecure_key_file=True)).key.reveal())
    assert len(keys) == 2


# --- the count of encryptions ---


class CountingPlace:
    """Keeps what it is given, and how often."""

    def __init__(self) -> None:
        self.ceilings: list[int] = []
        self.full = False

    def load(self) -> Content:
        raise AssertionError("not asked for here")

    def store(self, content: Content) -> None:
        if self.full:
            raise ProfileError("store_failed")
        self.ceilings.append(content.ceiling)


async def test_the_ceiling_is_raised_in_blocks_before_it_is_needed() -> None:
    place = CountingPlace()
    vault = Vault(Content.fresh(), (place,))
    for gen in range(1, 3 * GEN_BLOCK + 2):
        await vault.reserve(gen)
        assert gen <= place.ceilings[-1]
        assert not vault.rolled_back(gen - 1)
    assert place.ceilings == [GEN_BLOCK, 2 * GEN_BLOCK, 3 * GEN_BLOCK, 4 * GEN_BLOCK]


async def test_many_waiters_write_once() -> None:
    place = CountingPlace()
    vault = Vault(Content.fresh(), (place,))
    await asyncio.gather(*(vault.reserve(gen) for gen in range(1, 60)))
    assert place.ceilings == [GEN_BLOCK]


async def test_an_old_copy_is_noticed_after_a_block(tmp_path: Path) -> None:
    vault = await create_vault(tmp_path, insecure_key_file=True)
    await vault.reserve(10 * GEN_BLOCK)
    reopened = await open_vault(tmp_path)
    assert reopened.rolled_back(9 * GEN_BLOCK - 1)
    assert not reopened.rolled_back(9 * GEN_BLOCK)


async def test_when_the_ceiling_cannot_be_kept_nothing_is_allowed() -> None:
    place = CountingPlace()
    vault = Vault(Content.fresh(), (place,))
    place.full = True
    assert await code(vault.reserve(1)) == "store_failed"
    assert vault.ceiling == 0


def test_secrets_do_not_show() -> None:
    key = b"K" * 32
    shown = (
        repr(Content(Secret(key), 1))
        + repr(SealedFile(Path("x"), Secret(key)))
        + repr(Vault(Content(Secret(key), 1), ()))
    )
    assert "KKKK" not in shown
