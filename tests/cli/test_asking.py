from __future__ import annotations

import errno
import io
import os
import stat
import sys
from pathlib import Path

import pytest

from mensajeria.cli import asking
from mensajeria.cli.console import Console
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.client.i18n import Translator
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.limits import TEXT_MAX_BYTES


@pytest.fixture
def console() -> Console:
    return Console(Translator("en"))


class Stdin:
    """Standard input that is no terminal."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def test_a_password_file_holds_the_password_in_its_first_line(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "password"
    file.write_bytes("contraseña larga\r\nsegunda línea\n".encode())
    assert asking.ask_password(console, file, new=True) == Secret.from_text("contraseña larga")


def test_a_file_goes_before_the_environment(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from the file")
    monkeypatch.setenv("MENSAJERIA_PASSWORD", "from the environment")
    assert asking.ask_password(console, tmp_path / "password", new=False) == Secret.from_text("from the file")
    assert asking.ask_password(console, None, new=False) == Secret.from_text("from the environment")


def test_the_password_can_come_from_standard_input(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"typed by a program\nrest"))
    assert asking.ask_password(console, Path("-"), new=True) == Secret.from_text("typed by a program")


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe", b"x" * 5000], ids=["empty", "blank", "binary", "huge"])
def test_a_file_without_a_password_is_a_usage_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "password").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        asking.read_secret(tmp_path / "password")
    assert caught.value.status is Exit.USAGE


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        asking.read_secret(tmp_path / "nowhere")


def test_without_any_source_and_terminal_the_options_are_named(
    console: Console, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    with pytest.raises(UsageError) as caught:
        asking.ask_password(console, None, new=False)
    console.fail(caught.value)
    assert "MENSAJERIA_PASSWORD" in capsys.readouterr().err
    assert asking.ask_passphrase(console) is None


def test_a_new_password_that_is_typed_differently_the_second_time_is_refused(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["one", "another"])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    monkeypatch.setattr(Stdin, "isatty", lambda _self: True)
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    with pytest.raises(UsageError, match="passwords_differ"):
        asking.ask_password(console, None, new=True)


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_a_private_file_is_new_and_for_its_owner_alone(tmp_path: Path) -> None:
    asking.write_private(tmp_path / "code", "ABCD\n")
    assert (tmp_path / "code").read_text() == "ABCD\n"
    assert stat.S_IMODE((tmp_path / "code").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="file_exists"):
        asking.write_private(tmp_path / "code", "other")
    assert (tmp_path / "code").read_text() == "ABCD\n"
    with pytest.raises(UsageError, match="unwritable_file") as caught:
        asking.write_private(tmp_path / "nowhere" / "code", "x")
    for language, reason in (("es", "no existe el archivo o la carpeta"), ("en", "there is no such file or folder")):
        assert Console(Translator(language))._sentence(caught.value).endswith(f": {reason}")


def test_what_the_system_refuses_is_told_in_words_or_by_its_name() -> None:
    spanish = Translator("es")
    assert spanish.reason(OSError(errno.ENOSPC, "No space left on device")) == "no queda espacio en el disco"
    assert spanish.reason(OSError(errno.EIO, "Input/output error")) == "EIO"
    assert spanish.reason(OSError("what a library says")) == "OSError"


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"hola\n", "hola"), (b"hola\r\n", "hola"), (b"a\n\nb\n\n", "a\n\nb\n"), ("ñ".encode(), "ñ")],
    ids=["line", "windows", "paragraphs", "utf-8"],
)
def test_the_text_of_a_message_comes_from_standard_input(
    data: bytes, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    assert asking.read_text() == text


def test_the_longest_text_fits_and_a_longer_one_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"x" * TEXT_MAX_BYTES + b"\n"))
    assert len(asking.read_text()) == TEXT_MAX_BYTES
    for data in (b"x" * (TEXT_MAX_BYTES + 1), "ñ".encode() * TEXT_MAX_BYTES):
        monkeypatch.setattr(sys, "stdin", Stdin(data))
        with pytest.raises(CommandError) as caught:
            asking.read_text()
        assert caught.value.status is Exit.TOO_LARGE


def test_what_is_no_text_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"\xff\x00"))
    with pytest.raises(UsageError, match="text_not_utf8"):
        asking.read_text()
