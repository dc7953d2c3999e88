"""Any change of a file's ciphertext is noticed, whoever made it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.files import (
    CHUNK,
    TAG,
    FileSealer,
    FileSealError,
    FileSizeError,
    Metadata,
    open_sealed,
    padded_size,
    sealed_size,
)
from mensajeria.kit.secrets import Secret

SEALED_CHUNK = CHUNK + TAG
THREE = bytes(range(256)) * 700  # three chunks
META = Metadata("foto.jpg", "image/jpeg", len(THREE))


def sealed(data: bytes, metadata: Metadata | None = None) -> tuple[bytes, Secret, bytes]:
    sealer = FileSealer(metadata or Metadata("foto.jpg", "image/jpeg", len(data)))
    ciphertext = b"".join(sealer.seal([data]))
    return ciphertext, sealer.key, sealer.sha256


def opened(ciphertext: bytes, key: Secret, metadata: Metadata, sha256: bytes) -> bytes:
    return b"".join(open_sealed([ciphertext], key, metadata, sha256))


CIPHERTEXT, KEY, SHA = sealed(THREE)
A, B, C = (CIPHERTEXT[at : at + SEALED_CHUNK] for at in range(0, len(CIPHERTEXT), SEALED_CHUNK))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 200_000])
def test_what_was_sealed_opens(size: int) -> None:
    data = (b"\x00x" * size)[:size]
    ciphertext, key, sha = sealed(data)
    assert opened(ciphertext, key, Metadata("foto.jpg", "image/jpeg", size), sha) == data


@pytest.mark.parametrize("size", [0, 1, 5000, CHUNK, 1_000_000])
def test_the_ciphertexts_length_is_known_beforehand(size: int) -> None:
    assert len(sealed(bytes(size))[0]) == sealed_size(size)


@given(st.integers(0, 1 << 44))
def test_padding_costs_at_most_an_eighth_and_hides_small_sizes(size: int) -> None:
    assert max(size, 4096) <= padded_size(size) <= max(4096, size + size // 8)


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.integers(1, 90_000))
def test_pieces_of_any_size_give_the_same_file(pieces: list[bytes], step: int) -> None:
    data = b"".join(pieces)
    metadata = Metadata("a", "text/plain", len(data))
    sealer = FileSealer(metadata)
    ciphertext = b"".join(sealer.seal(pieces))
    cut = [ciphertext[at : at + step] for at in range(0, len(ciphertext), step)]
    assert b"".join(open_sealed(cut, sealer.key, metadata, sealer.sha256)) == data


@given(st.integers(0, len(CIPHERTEXT) - 1), st.integers(0, 7))
def test_any_changed_bit_is_noticed(at: int, bit: int) -> None:
    changed = CIPHERTEXT[:at] + bytes([CIPHERTEXT[at] ^ (1 << bit)]) + CIPHERTEXT[at + 1 :]
    with pytest.raises(FileSealError):
        opened(changed, KEY, META, SHA)


@given(st.integers(0, len(CIPHERTEXT) - 1))
def test_any_shorter_ciphertext_is_noticed(length: int) -> None:
    with pytest.raises(FileSealError):
        opened(CIPHERTEXT[:length], KEY, META, SHA)


@given(st.binary(min_size=1, max_size=70_000))
def test_any_longer_ciphertext_is_noticed(more: bytes) -> None:
    with pytest.raises(FileSealError):
        opened(CIPHERTEXT + more, KEY, META, SHA)


@pytest.mark.parametrize(
    "order",
    [(B, A, C), (A, C, B), (C, B, A), (A, B), (A, C), (A, A, B, C), (A, B, B, C), (A, B, C, C)],
    ids=["first two", "last two", "outer", "no last", "no middle", "first twice", "middle twice", "last twice"],
)
def test_moved_missing_or_repeated_chunks_are_noticed(order: tuple[bytes, ...]) -> None:
    with pytest.raises(FileSealError):
        opened(b"".join(order), KEY, META, SHA)


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata("foto.exe", META.media, META.size),
        Metadata(META.name, "text/html", META.size),
        Metadata(META.name, META.media, META.size - 1),
        Metadata(META.name, META.media, META.size + 1),
    ],
    ids=["name", "type", "shorter", "longer"],
)
def test_a_file_under_other_metadata_does_not_open(metadata: Metadata) -> None:
    with pytest.raises(FileSealError):
        opened(CIPHERTEXT, KEY, metadata, SHA)


def test_another_key_does_not_open() -> None:
    with pytest.raises(FileSealError):
        opened(CIPHERTEXT, Secret(bytes(32)), META, SHA)


def test_the_hash_of_the_message_is_checked() -> None:
    with pytest.raises(FileSealError):
        opened(CIPHERTEXT, KEY, META, bytes(32))


def test_what_was_hidden_in_the_padding_is_refused() -> None:
    """A sender who puts something behind the file's end: the bytes are authentic and still no padding."""
    whole = Metadata("a", "text/plain", 4096)
    hidden = FileSealer(whole)
    ciphertext = b"".join(hidden.seal([b"x" * 4096]))
    claimed = Metadata("a", "text/plain", 10)
    cipher_of = _sealed_under(claimed, hidden, b"x" * 4096)
    with pytest.raises(FileSealError, match="zeros"):
        opened(cipher_of, hidden.key, claimed, bytes(32))
    assert len(ciphertext) == sealed_size(10)


def _sealed_under(metadata: Metadata, sealer: FileSealer, padded: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 - the attacker's own

    cipher = ChaCha20Poly1305(sealer.key.reveal())
    return cipher.encrypt(bytes(11) + b"\x01", padded, metadata.additional_data())


@pytest.mark.parametrize("change", [lambda d: d + b"x", lambda d: d[:-1], lambda _: b""], ids=["more", "less", "none"])
def test_a_file_that_changes_while_it_is_read_is_refused(change: Callable[[bytes], bytes]) -> None:
    sealer = FileSealer(Metadata("a", "text/plain", 100))
    with pytest.raises(FileSizeError):
        list(sealer.seal([change(b"y" * 100)]))


def test_a_sealer_never_encrypts_twice() -> None:
    sealer = FileSealer(Metadata("a", "text/plain", 1))
    list(sealer.seal([b"x"]))
    with pytest.raises(RuntimeError):
        sealer.seal([b"y"])


def test_every_file_has_its_own_key() -> None:
    assert FileSealer(META).key != FileSealer(META).key


def test_no_two_chunks_of_a_file_are_equal() -> None:
    ciphertext, _, _ = sealed(bytes(3 * CHUNK))
    chunks = {ciphertext[at : at + SEALED_CHUNK] for at in range(0, len(ciphertext), SEALED_CHUNK)}
    assert len(chunks) == 3


def from_the_document(ciphertext: bytes, key: bytes, name: str, media: str, size: int) -> bytes:
    """A second decoder, written only from docs/protocol/e2ee.md §3 and §10."""
    import hashlib  # noqa: PLC0415 - nothing of the product's is used here
    import struct  # noqa: PLC0415

    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

    def h(label: str, *parts: bytes) -> bytes:
        joined = b"".join(struct.pack(">I", len(part)) + part for part in parts)
        return hashlib.sha256(b"mensajeria/1/" + label.encode() + b"\x00" + joined).digest()

    described = h("file-metadata", name.encode(), media.encode(), struct.pack(">Q", size))
    ad = h("file", struct.pack(">I", 1), struct.pack(">I", 65536), described)
    chunks = [ciphertext[at : at + 65552] for at in range(0, len(ciphertext), 65552)]
    padded = b"".join(
        ChaCha20Poly1305(key).decrypt(bytes(7) + struct.pack(">I?", i, i == len(chunks) - 1), chunk, ad)
        for i, chunk in enumerate(chunks)
    )
    assert padded[size:].strip(b"\x00") == b""
    return padded[:size]


@pytest.mark.parametrize("size", [0, 1, 5000, CHUNK, 200_000])
def test_a_decoder_written_from_the_document_opens_it(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    ciphertext, key, _ = sealed(data[:size], Metadata("día.txt", "text/plain", size))
    assert from_the_document(ciphertext, key.reveal(), "día.txt", "text/plain", size) == data[:size]
