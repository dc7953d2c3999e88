from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.language import language_of
from mensajeria.cli.main import main
from mensajeria.cli.parser import build
from mensajeria.client.i18n import Translator

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "serve",
    "verify",
    "audit",
    "register",
    "login",
    "link",
    "recover",
    "reset-identity",
    "recovery-code",
    "renew-identity",
    "devices",
    "health",
    "privacy",
    "profile",
    "backup",
    "password",
    "logout",
    "delete-account",
    "invite",
    "send",
    "download",
    "listen",
    "history",
    "edit",
    "react",
    "delete",
    "timer",
    "mute",
    "unmute",
    "chats",
    "group",
    "block",
    "unblock",
    "blocked",
    "report",
    "desktop",
    "demo",
    "admin",
)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "en")


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), ("admin", "invite", "create")], ids=" ".join)
def test_every_command_has_help_in_both_languages(
    command: tuple[str, ...], language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", language)
    assert main([*command, "--help"]) == Exit.OK
    out = capsys.readouterr().out
    assert out.startswith("uso: mensajeria" if language == "es" else "usage: mensajeria")
    assert "None" not in out
    if language == "es":
        assert not re.search(r"\b(options|usage|positional|show this help)\b", out)


@pytest.mark.parametrize("columns", [50, 100])
def test_the_help_is_as_wide_as_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["send", "--help"]) == Exit.OK
    widest = max(len(line) for line in capsys.readouterr().out.splitlines())
    assert columns - 20 < widest < columns


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["send"], "missing: --to"),
        (["send", "--to", "bruno", "a", "b"], "not understood: b"),
        (["chats", "steal"], "'steal' is not possible"),
        (["history", "--with", "bruno", "--limit", "0"], "--limit: '0' is not valid"),
        (["history", "--with", "bruno", "--limit", "many"], "--limit: 'many' is not valid"),
        (["serve", "--port", "70000"], "--port: '70000' is not valid"),
        (["send", "--to"], "--to: the value is missing"),
        (["send", "--to", "bruno", "--timeout", "nan", "x"], "--timeout: 'nan' is not valid"),
        (["admin"], "missing: ACTION"),
        (["admin", "invite"], "missing: ACTION"),
        (["nothing"], "'nothing' is not possible"),
        (["send", "--t", "bruno"], "missing: --to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_two_lines_and_exit_2(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == Exit.USAGE
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 2
    assert captured.out == ""


@pytest.mark.parametrize("argv", [["audit", "--limit", "x", "--json"], ["--json", "nothing"], ["report", "--json"]])
def test_a_wrong_command_line_for_a_program_is_one_object(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["admin", *argv])

    told = json.loads(capsys.readouterr().err)
    assert (status, told["type"], told["code"], told["exit"]) == (2, "error", "usage", 2)
    assert told["message"].startswith("mensajeria admin")


def test_complaints_are_in_the_person_s_language_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "es")
    assert main(["send"]) == Exit.USAGE
    assert "falta: --to" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == Exit.USAGE
    assert "mensajeria" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == Exit.OK
    assert re.fullmatch(r"mensajeria \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_the_documented_commands_are_the_commands() -> None:
    table = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").partition("## Exit codes")[0]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z-]+)", row.split("|")[1])}
    assert documented == set(COMMANDS)


def test_every_documented_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    table = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").partition("## Exit codes")[0]
    for row in (row for row in table.splitlines() if row.startswith("| `") and "admin" not in row):
        usage = row.split("|")[1] if "\\|" not in row else row
        command = re.findall(r"`([a-z-]+(?: [a-z]+)*)", usage)[0].split()
        main([*command, "--help"])
        shown = capsys.readouterr().out
        assert all(option in shown for option in re.findall(r"--[a-z-]+", usage)), row


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "es_ES.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_GB", "MENSAJERIA_LANG": "es"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "es-MX"}, "es"),
        ({"LANG": "est_EE"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "es_AR"}, "es"),
        ({}, "en"),
    ],
    ids=str,
)
def test_the_language_follows_the_environment(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mensajeria.cli.main import main; main(['--help'])\n"
        "heavy = 'httpx picows PyQt6 sqlalchemy fastapi vodozemac sqlcipher3 pydantic asyncio cryptography'.split()\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_the_words_of_every_command_are_in_the_catalogue() -> None:
    for language in ("es", "en"):
        build(Translator(language))  # raises MissingStringError for a sentence that is not there


@pytest.mark.parametrize("argv", [["send"], ["--debug", "send", "--help"]], ids=" ".join)
def test_a_command_s_options_are_those_it_has_in_the_whole_command_line(argv: list[str]) -> None:
    english = Translator("en")
    for parser in (build(english), build(english, argv)):
        args = parser.parse_args(["--debug", "send", "--to", "bruno", "--no-wait", "hola"])
        assert (args.module, args.to, args.text, args.no_wait, args.timeout) == ("send", "bruno", "hola", True, 30.0)
    assert build(english, argv).format_help() == build(english).format_help()


def test_options_of_other_commands_are_not_made() -> None:
    parser = build(Translator("en"), ["send"])
    with pytest.raises(SystemExit):
        parser.parse_args(["history", "--with", "bruno"])
