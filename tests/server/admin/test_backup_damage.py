"""Whatever is done to a backup, it is refused: nothing of it is put anywhere."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.admin.backups.manifest import NAME, Manifest, Part, decode, encode, is_part
from mensajeria.server.admin.backups.reading import OUTSIDE, TarReader
from mensajeria.server.admin.backups.restore import restore
from mensajeria.server.admin.backups.verify import verify
from mensajeria.server.admin.backups.writing import header
from tests.server.admin.stored import WHOLE, settings_of

FILE = f"files/01/{WHOLE.hex()}"
PARTS = ("database.sqlite3", "secrets/opaque.setup", "secrets/log.key", FILE)
GOOD = Manifest(
    created_ms=1,
    database="sqlite",
    files="folder",
    keys="ab" * 32,
    parts=tuple(Part(path, "cd" * 32, 5) for path in sorted(
        ("database.sqlite3", "secrets/ck.key", "secrets/jwt.key", "secrets/log.key", "secrets/opaque.setup", FILE)
    )),
    program="0.1.0",
    restore_epoch=1,
    schema="0003",
    secrets=True,
    server_id="ef" * 16,
)  # fmt: skip


def refused(path: Path, tmp_path: Path, part: str | None = None) -> None:
    """It is damaged, and no restore takes it."""
    with pytest.raises(BackupError) as error:
        verify(path)
    assert error.value.code == "server_backup_damaged"
    assert part is None or error.value.params == {"part": part}
    with pytest.raises(BackupError):
        restore(settings_of(tmp_path / "new"), path)
    assert not (tmp_path / "new" / "mensajeria.db").exists()


@pytest.fixture
def folder(made_backups: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_backups / "b", tmp_path / "b"))


@pytest.fixture
def tar(made_backups: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(made_backups / "b.tar", tmp_path / "b.tar"))


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_byte_is_found(folder: Path, tmp_path: Path, part: str) -> None:
    content = bytearray((folder / part).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / part).write_bytes(content)
    refused(folder, tmp_path, part)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("end", [None, b"more", b""], ids=["missing", "longer", "empty"])
def test_a_part_that_is_missing_or_of_another_length_is_found(
    folder: Path, tmp_path: Path, part: str, end: bytes | None
) -> None:
    place = folder / part
    if end is None:
        place.unlink()
    else:
        place.write_bytes(place.read_bytes() + end if end else b"")
    refused(folder, tmp_path, part)


@pytest.mark.slow
def test_every_byte_of_a_tar_that_is_not_a_part_s_counts_as_well(tar: Path, tmp_path: Path) -> None:
    """Headers, paddings, the end, the manifest; of the long database every 4099th."""
    good = tar.read_bytes()
    tail = len(good) - good.rindex(b"database.sqlite3\0", 0, 100) - 512 - TarReader(tar).manifest.parts[0].size
    places = [*range(0, 512, 7), *range(512, len(good) - tail, 4099), *range(len(good) - tail, len(good), 29)]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 0x21
        tar.write_bytes(bad)
        with pytest.raises(DamagedError):
            verify(tar)
    assert len(places) > 200
    refused(tar, tmp_path)


@pytest.mark.parametrize("cut", [1, 512, 1024, 1025, 2000, 30_000])
def test_a_tar_that_is_cut_off_or_goes_on_is_refused(tar: Path, tmp_path: Path, cut: int) -> None:
    good = tar.read_bytes()
    for bad in (good[:-cut], good + bytes(cut)):
        tar.write_bytes(bad)
        refused(tar, tmp_path)


@pytest.mark.parametrize(
    "path", ["../evil", "secrets/../../evil", "/etc/evil", "secrets/evil.key", "files/02/" + "01" * 16, "x" * 90]
)
def test_a_foreign_name_in_a_tar_is_refused(tar: Path, tmp_path: Path, path: str) -> None:
    evil = header(path, 4) + b"evil".ljust(512, b"\0")
    tar.write_bytes(evil + tar.read_bytes())
    refused(tar, tmp_path, OUTSIDE)
    assert list(tmp_path.rglob("*evil*")) == []


def test_a_link_a_long_name_or_extra_headers_in_a_tar_are_refused(tar: Path, tmp_path: Path) -> None:
    """As the usual tools write them, in the place of a part."""
    link = tarfile.TarInfo("secrets/ck.previous.key")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    hard = tarfile.TarInfo("secrets/ck.previous.key")
    hard.type, hard.linkname = tarfile.LNKTYPE, "secrets/ck.key"
    fifo = tarfile.TarInfo("secrets/ck.previous.key")
    fifo.type = tarfile.FIFOTYPE
    noted = tarfile.TarInfo("secrets/ck.previous.key")
    noted.pax_headers = {"path": "../evil"}
    good = tar.read_bytes()
    for info, form in ((link, "GNU"), (hard, "GNU"), (fifo, "GNU"), (noted, "PAX")):
        made = info.tobuf(getattr(tarfile, f"{form}_FORMAT"))
        tar.write_bytes(made + good)
        refused(tar, tmp_path)
    long = io.BytesIO()
    with tarfile.open(fileobj=long, mode="w", format=tarfile.GNU_FORMAT) as other:
        other.addfile(tarfile.TarInfo("secrets/" + "x" * 200))
    tar.write_bytes(long.getvalue())
    refused(tar, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_part_of_another_type_than_a_plain_file_is_refused(tar: Path, tmp_path: Path, kind: bytes) -> None:
    """Right in name, size and content."""
    good, info = tar.read_bytes(), tarfile.TarInfo("secrets/ck.key")
    info.size, info.mode, info.type = 32, 0o600, kind
    bad = info.tobuf(tarfile.GNU_FORMAT)
    assert good.count(header("secrets/ck.key", 32)) == 1
    tar.write_bytes(good.replace(header("secrets/ck.key", 32), bad))
    refused(tar, tmp_path, OUTSIDE)


def test_a_part_that_comes_twice_is_refused(tar: Path, tmp_path: Path) -> None:
    good = tar.read_bytes()
    tar.write_bytes(header("secrets/ck.key", 32) + bytes(512) + good)
    refused(tar, tmp_path)


ON_POSIX = pytest.mark.skipif(os.name != "posix", reason="links, and modes of files")


def _link(folder: Path) -> None:
    shutil.move(folder / "secrets" / "ck.key", folder.parent / "ck.key")
    (folder / "secrets" / "ck.key").symlink_to(folder.parent / "ck.key")


def _linked_folder(folder: Path) -> None:
    shutil.move(folder / "secrets", folder.parent / "secrets")
    (folder / "secrets").symlink_to(folder.parent / "secrets", target_is_directory=True)


def _more(folder: Path) -> None:
    (folder / "secrets" / "other.key").write_bytes(b"x")


def _deep(folder: Path) -> None:
    (folder / "files" / "01" / "x" / "y").mkdir(parents=True)


@pytest.mark.parametrize(
    "change",
    [pytest.param(_link, marks=ON_POSIX), pytest.param(_linked_folder, marks=ON_POSIX), _more, _deep],
    ids=["link", "linked-folder", "more", "deep"],
)
def test_links_and_foreign_files_in_a_folder_are_refused(
    folder: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(folder)
    refused(folder, tmp_path)


def rewrite(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    """A manifest that is right about what lies there, by somebody who can write the backup."""
    manifest = change(decode((folder / NAME).read_bytes()))
    there = [(part.path, (folder / part.path).read_bytes()) for part in manifest.parts]
    parts = tuple(Part(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in there)
    (folder / NAME).write_bytes(encode(msgspec.structs.replace(manifest, parts=parts)))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: msgspec.structs.replace(one, server_id="00" * 16),
        lambda one: msgspec.structs.replace(one, restore_epoch=9),
        lambda one: msgspec.structs.replace(one, keys="00" * 32),
        lambda one: msgspec.structs.replace(one, schema="0001"),
    ],
    ids=["server", "epoch", "keys", "schema"],
)
def test_a_manifest_about_another_database_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[Manifest], Manifest]
) -> None:
    rewrite(folder, change)
    refused(folder, tmp_path)


def test_secrets_of_another_server_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "secrets" / "log.key").write_bytes(bytes(32))
    rewrite(folder, lambda one: one)
    refused(folder, tmp_path, "secrets")


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(9000)], ids=len)
def test_a_database_that_is_none_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "database.sqlite3").write_bytes(content)
    rewrite(folder, lambda one: one)
    refused(folder, tmp_path, "database.sqlite3")


def test_a_database_with_one_time_keys_or_lost_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    key = "INSERT INTO one_time_key (device_id, key, body, sig) VALUES (1, x'00', x'01', x'02')"
    for statement in (key, "UPDATE device SET account_id = 99"):
        spare = tmp_path / "spare"
        shutil.copytree(folder, spare)
        with closing(sqlite3.connect(spare / "database.sqlite3")) as db, db:
            db.execute(statement)
        rewrite(spare, lambda one: one)
        refused(spare, tmp_path, "database.sqlite3")
        shutil.rmtree(spare)


def test_a_database_whose_index_does_not_fit_its_table_is_refused(folder: Path, tmp_path: Path) -> None:
    place = folder / "database.sqlite3"
    good = place.read_bytes()
    assert good.count(b"ana") == 2
    where = good.rindex(b"ana")
    place.write_bytes(good[:where] + b"ano" + good[where + 3 :])
    rewrite(folder, lambda one: one)
    refused(folder, tmp_path, "database.sqlite3")


def test_of_a_newer_program_is_told_apart(folder: Path, tmp_path: Path) -> None:
    good = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(good.replace(b'"format":1', b'"format":2,"new":[]'))
    for task in (verify, lambda path: restore(settings_of(tmp_path / "new"), path)):
        with pytest.raises(BackupError) as error:
            task(folder)
        assert error.value.code == "server_backup_newer"
    (folder / NAME).write_bytes(good)
    rewrite(folder, lambda one: msgspec.structs.replace(one, schema="9999"))
    with pytest.raises(BackupError) as error:
        restore(settings_of(tmp_path / "new"), folder)
    assert error.value.code == "server_backup_newer"


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BackupError) as error:
        verify(tmp_path / "nothing")
    assert error.value.code == "backup_missing"


def _with(**values: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(GOOD) | values, order="sorted") + b"\n"


PART = {"path": "secrets/x", "sha256": "cd" * 32, "size": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        encode(GOOD)[:-1],
        b" " + encode(GOOD),
        encode(GOOD).replace(b'"database"', b'"database":"sqlite","database"', 1),
        _with(extra=1),
        _with(format=0),
        _with(format=True),
        _with(kind="other"),
        _with(restore_epoch=-1),
        _with(created_ms=1.5),
        _with(server_id="EF" * 16),
        _with(server_id="ef" * 16 + "\n"),
        _with(schema="../x"),
        _with(secrets=False),
        _with(files="bucket"),
        _with(database="postgresql"),
        _with(parts=[]),
        _with(parts=msgspec.to_builtins(GOOD.parts)[::-1]),
        _with(parts=[*msgspec.to_builtins(GOOD.parts), PART]),
        _with(parts=[*msgspec.to_builtins(GOOD.parts), msgspec.to_builtins(GOOD.parts)[-1]]),
    ],
    ids=str.split(
        "empty none deep no-end space twice more format-0 format-true kind negative fraction upper newline schema "
        "no-secrets bucket postgresql no-parts backwards foreign repeated"
    ),
)
def test_a_manifest_that_is_not_the_one_form_of_possible_values_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(data)


def test_a_manifest_has_one_form() -> None:
    """Frozen: a backup of today must be read for as long as there are backups."""
    parts = b",".join(b'{"path":"%s","sha256":"%s","size":5}' % (part.path.encode(), b"cd" * 32) for part in GOOD.parts)
    assert encode(GOOD) == (
        b'{"created_ms":1,"database":"sqlite","files":"folder","format":1,"keys":"%s",'
        b'"kind":"mensajeria-server-backup","parts":[%s],"program":"0.1.0","restore_epoch":1,"schema":"0003",'
        b'"secrets":true,"server_id":"%s"}\n'
    ) % (b"ab" * 32, parts, b"ef" * 16)
    assert decode(encode(GOOD)) == GOOD


def test_a_tar_s_header_has_one_form() -> None:
    """Frozen, as the manifest's; sizes above 8 GiB have another."""
    assert [hashlib.sha256(header("database.sqlite3", size)).hexdigest()[:16] for size in (5, 1 << 40)] == [
        "6aba573217b72cf7",
        "44c69f1718b2b242",
    ]


@given(st.binary(max_size=300) | st.builds(lambda cut, add: encode(GOOD)[:cut] + add, st.integers(0, 400), st.binary()))
def test_any_bytes_are_a_manifest_or_damaged(data: bytes) -> None:
    try:
        found = decode(data)
    except BackupError:
        return
    assert encode(found) == data


@given(st.lists(st.sampled_from(["..", ".", "", "/", "files", "secrets", "ck.key", "01", "01" * 16, "\0", "\n"])))
def test_no_name_of_a_part_leads_out_of_the_backup(pieces: list[str]) -> None:
    for path in ("/".join(pieces), "".join(pieces)):
        if is_part(path):
            folder, _, rest = path.partition("/")
            assert (folder, rest) in {("secrets", "ck.key"), ("files", "01/" + "01" * 16)}
