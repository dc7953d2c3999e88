"""The encrypted copy of a file that is sent, and the file that a ciphertext becomes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mensajeria.client.errors import InputError, ProfileError
from mensajeria.client.transfer import disk, saving
from mensajeria.client.transfer.staging import FOLDER, Staged, read_staged, stage_file, stage_name, sweep
from mensajeria.crypto.files import FileSealError, sealed_size
from mensajeria.protocol.records_files import FileBody

SECRET = b"el original no debe verse " * 400


def staged(profile: Path, content: bytes = SECRET, name: str = "notas.txt") -> tuple[Staged, Path]:
    original = profile.parent / name
    original.write_bytes(content)
    made = stage_file(profile, stage_name(), original, as_image=None)
    return made, profile / FOLDER / made.stage


def body_of(made: Staged, name: str = "") -> FileBody:
    return FileBody(
        blob=bytes(16), key=made.key.reveal(), sha256=made.sha256, size=made.size, name=name or made.name,
        media=made.media, width=0, height=0, blurhash="", thumb=b"", caption="",
    )  # fmt: skip


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    folder = tmp_path / "profile"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "descargas"
    folder.mkdir()
    return folder


def test_a_copy_is_ciphertext_that_only_its_owner_may_read(profile: Path) -> None:
    made, copy = staged(profile)
    assert b"original" not in copy.read_bytes()
    assert copy.stat().st_size == made.sealed == sealed_size(len(SECRET))
    assert copy.stat().st_mode & 0o777 == 0o600


def test_an_original_that_changes_later_does_not_change_the_copy(profile: Path, target: Path) -> None:
    made, copy = staged(profile)
    (profile.parent / "notas.txt").write_bytes(b"otra cosa")
    assert saving.save(copy, body_of(made), target).read_bytes() == SECRET


def test_a_file_that_is_sent_twice_has_two_keys(profile: Path) -> None:
    one, two = staged(profile)[0], staged(profile)[0]
    assert one.key != two.key


@pytest.mark.parametrize("what", ["folder", "pipe", "nothing", "forbidden name"])
def test_what_is_no_file_is_refused_at_once(what: str, profile: Path) -> None:
    path = profile.parent / "x"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "forbidden name":
        path = Path("a\x00b")
    with pytest.raises(InputError) as caught:
        stage_file(profile, stage_name(), path, as_image=None)
    assert caught.value.code in {"not_a_file", "file_unreadable"}


def test_a_full_disk_is_told_before_anything_is_written(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MARGIN", 1 << 62)
    with pytest.raises(ProfileError, match="disk_full"):
        staged(profile)
    assert list((profile / FOLDER).iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(profile: Path) -> None:
    """A limit of the process stands for the disk's."""
    import resource  # noqa: PLC0415 - not on every system
    import signal  # noqa: PLC0415

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    original = profile.parent / "grande.bin"
    original.write_bytes(bytes(3 << 20))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        with pytest.raises(ProfileError, match="disk_full"):
            stage_file(profile, stage_name(), original, as_image=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((profile / FOLDER).iterdir()) == []


def test_the_sweep_takes_only_what_nobody_needs(profile: Path) -> None:
    kept, gone = staged(profile)[0], staged(profile)[0]
    sweep(profile, frozenset({kept.stage}))
    assert [path.name for path in (profile / FOLDER).iterdir()] == [kept.stage]
    with pytest.raises(OSError, match=gone.stage):
        read_staged(profile, gone.stage, 0, 1)


def test_a_copy_that_was_cut_is_noticed_when_it_is_sent(profile: Path) -> None:
    made, copy = staged(profile)
    os.truncate(copy, 100)
    with pytest.raises(OSError, match="shorter"):
        read_staged(profile, made.stage, 0, made.sealed)


def test_a_saved_file_replaces_nothing(profile: Path, target: Path) -> None:
    made, copy = staged(profile)
    (target / "notas.txt").write_bytes(b"mio")
    assert saving.save(copy, body_of(made), target) == target / "notas (2).txt"
    assert (target / "notas.txt").read_bytes() == b"mio"


def test_a_path_that_is_taken_is_refused(profile: Path, target: Path) -> None:
    made, copy = staged(profile)
    taken = target / "mio"
    taken.symlink_to(target / "nowhere")
    with pytest.raises(InputError, match="target_exists"):
        saving.check_target(taken)
    with pytest.raises(InputError, match="target_exists"):
        saving.save(copy, body_of(made), taken)
    assert sorted(path.name for path in target.iterdir()) == ["mio"]


def test_a_file_that_is_not_authentic_to_its_end_gets_no_name(profile: Path, target: Path) -> None:
    made, copy = staged(profile, os.urandom(200_000))
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(FileSealError):
        saving.save(copy, body_of(made), target)
    assert list(target.iterdir()) == []


def test_a_saved_file_cannot_be_run(profile: Path, target: Path) -> None:
    made, copy = staged(profile, name="programa.sh")
    assert saving.save(copy, body_of(made), target).stat().st_mode & 0o777 == 0o600


def test_a_part_grows_where_it_was(profile: Path) -> None:
    made, _ = staged(profile)
    part = saving.part_of(profile, body_of(made))
    saving.append(part, 0, b"abcdef")
    saving.append(part, 3, b"xyz")
    assert part.read_bytes() == b"abcxyz"
    saving.append(part, 6, bytes(made.sealed))
    assert saving.part_size(part, body_of(made)) == 0


def test_room_for_the_whole_file_is_asked_for_first(profile: Path, target: Path) -> None:
    made, _ = staged(profile)
    part = saving.part_of(profile, body_of(made))
    huge = FileBody(**{**{f: getattr(body_of(made), f) for f in FileBody.__struct_fields__}, "size": 1 << 43})
    with pytest.raises(ProfileError, match="disk_full"):
        saving.check_room(part, 0, huge, target)
