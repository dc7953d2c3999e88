"""The stream of a backup file, byte by byte as docs/protocol/e2ee.md has it, and what of a file is refused."""

from __future__ import annotations

import io
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.crypto import backup_file
from mensajeria.crypto.backup_file import (
    CHUNK,
    HEADER_BYTES,
    MAGIC,
    TAG,
    BackupFileError,
    BackupFileWriter,
    FileKey,
    Method,
    NewerBackupFileError,
    WrongBackupKeyError,
    method_of,
    read_chunks,
)
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H

CODE: Final = RecoveryCode.generate()
KEY: Final = FileKey(code=CODE)


def made(plain: bytes = b"hola", key: FileKey = KEY) -> bytes:
    file = io.BytesIO()
    writer = BackupFileWriter(file, key)
    writer.write(plain)
    writer.finish()
    return file.getvalue()


def derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=salt, info=info).derive(key)


def read(data: bytes, key: FileKey = KEY) -> list[bytes]:
    return list(read_chunks(io.BytesIO(data), key))


# --- what opens it


class Recorder:
    """In the place of Argon2id: what it was asked for."""

    def __init__(self, **parameters: object) -> None:
        self.parameters = parameters

    def derive(self, text: bytes) -> bytes:
        return repr((text, sorted(self.parameters.items()))).encode()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "Argon2id", Recorder)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("passphrase", "text"),
    [("ﬁn Å", "fin Å"), ("e\u0301", "é"), ("a\ud800b", "a\ud800b")],
    ids=["NFKC", "composed", "half a surrogate pair"],
)
def test_a_passphrase_is_composed_and_stretched_by_the_parameters_of_the_version(passphrase: str, text: str) -> None:
    key = FileKey(Secret(passphrase.encode("utf-8", "surrogatepass"))).stretched(b"salt")
    expected = Recorder(salt=b"salt", length=32, iterations=3, lanes=4, memory_cost=128 << 10)
    assert key.reveal() == expected.derive(text.encode("utf-8", "surrogatepass"))


def test_an_empty_passphrase_makes_no_file() -> None:
    with pytest.raises(ValueError, match="protects nothing"):
        made(key=FileKey(Secret(b"")))


def test_the_key_of_a_code_is_bound_to_the_salt_and_the_use() -> None:
    assert KEY.stretched(b"salt").reveal() == derived(CODE.wrap_key().reveal(), b"salt", b"backup-file")


@pytest.mark.parametrize(("key", "method"), [(FileKey(Secret(b"x")), Method.PASSPHRASE), (KEY, Method.RECOVERY_CODE)])
def test_a_key_says_which_one_it_is(key: FileKey, method: Method) -> None:
    assert key.method is method


# --- the format


def test_the_stream_is_as_it_is_written_down() -> None:
    plain = bytes(range(256)) * 300
    data = made(plain)
    header, body = data[:HEADER_BYTES], data[HEADER_BYTES:]
    salt = header[len(MAGIC) + 2 : len(MAGIC) + 18]
    main = KEY.stretched(salt).reveal()
    assert header == b"mensajeria-backup\x00\x01\x01" + salt + derived(main, salt, b"commit/backup-file")
    aad, cipher = H("backup-file", header), ChaCha20Poly1305(derived(main, salt, b"backup-file"))
    first, last = body[: CHUNK + TAG], body[CHUNK + TAG :]
    assert cipher.decrypt(bytes(12), first, aad) == plain[:CHUNK]
    assert cipher.decrypt(bytes(7) + b"\0\0\0\1\1", last, aad) == plain[CHUNK:]


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (0, [0]),
        (CHUNK, [CHUNK]),
        (CHUNK + 1, [CHUNK, 1]),
        (2 * CHUNK, [CHUNK, CHUNK]),
        (2 * CHUNK + 1, [CHUNK] * 2 + [1]),
    ],
)
def test_only_the_last_chunk_is_shorter(size: int, chunks: list[int]) -> None:
    plain = bytes(range(251)) * (size // 251 + 1)
    found = read(made(plain[:size]))
    assert [len(chunk) for chunk in found] == chunks
    assert b"".join(found) == plain[:size]


def test_what_is_written_in_parts_is_the_same_stream() -> None:
    file = io.BytesIO()
    writer = BackupFileWriter(file, KEY)
    for part in (b"a" * 10, b"b" * CHUNK, b"c" * CHUNK):
        writer.write(part)
    writer.finish()
    assert read(file.getvalue()) == [b"a" * 10 + b"b" * (CHUNK - 10), b"b" * 10 + b"c" * (CHUNK - 10), b"c" * 10]


@pytest.mark.parametrize("way", ["seal", "open"])
def test_no_number_of_a_chunk_is_used_twice(way: str) -> None:
    cipher = backup_file._Cipher(Secret(bytes(32)), bytes(16), b"header")
    cipher._index = (1 << 32) - 1
    sealed = cipher.seal(b"", last=True)
    cipher._index = (1 << 32) - 1
    assert cipher.open(sealed, last=True) == b""
    with pytest.raises(BackupFileError, match="too large"):
        cipher.seal(b"", last=True) if way == "seal" else cipher.open(sealed, last=True)


# --- what is refused


def with_byte(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes([value]) + data[place + 1 :]


@pytest.mark.parametrize("size", [0, 5, len(MAGIC)])
def test_what_does_not_begin_like_one_is_no_backup_file(size: int) -> None:
    with pytest.raises(BackupFileError, match="not a backup file"):
        method_of(io.BytesIO(made()[:size]))


def test_another_beginning_is_no_backup_file() -> None:
    with pytest.raises(BackupFileError, match="not a backup file"):
        method_of(io.BytesIO(b"M" + made()[1:]))


@pytest.mark.parametrize("rest", [b"", bytes(200)])
def test_of_a_newer_version_only_the_beginning_is_looked_at(rest: bytes) -> None:
    with pytest.raises(NewerBackupFileError):
        method_of(io.BytesIO(MAGIC + b"\x02" + rest))


@pytest.mark.parametrize(
    "header",
    [
        with_byte(made(), len(MAGIC), 0),
        with_byte(made(), len(MAGIC) + 1, 2),
        made()[: HEADER_BYTES - 1],
        made()[: len(MAGIC) + 1],
    ],
    ids=["version 0", "unknown means", "cut off", "cut off behind the version"],
)
def test_a_damaged_header_is_told(header: bytes) -> None:
    with pytest.raises(BackupFileError, match="damaged header"):
        method_of(io.BytesIO(header))


def test_what_opens_a_file_is_read_from_it() -> None:
    assert method_of(io.BytesIO(made()[:HEADER_BYTES])) is Method.RECOVERY_CODE


def test_the_other_means_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Secret:
        raise AssertionError("nothing needs to be stretched")

    data = made()
    monkeypatch.setattr(FileKey, "stretched", never)
    with pytest.raises(WrongBackupKeyError, match="other means"):
        read(data, FileKey(Secret(b"x")))


@pytest.mark.parametrize("place", [len(MAGIC) + 2, HEADER_BYTES - 1], ids=["salt", "commitment"])
def test_an_altered_header_is_another_key_s(place: int) -> None:
    data = made()
    with pytest.raises(WrongBackupKeyError, match="altered header"):
        read(with_byte(data, place, data[place] ^ 1))


def test_another_code_opens_nothing() -> None:
    with pytest.raises(WrongBackupKeyError, match="another passphrase or code"):
        read(made(), FileKey(code=RecoveryCode.generate()))


@pytest.mark.parametrize("size", [HEADER_BYTES, HEADER_BYTES + CHUNK + TAG, -1])
def test_a_file_that_is_cut_off_is_not_whole(size: int) -> None:
    with pytest.raises(BackupFileError, match="cut off"):
        read(made(bytes(CHUNK + 9))[:size])
