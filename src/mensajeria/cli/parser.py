"""The arguments of `mensajeria`: names are fixed (docs/cli.md), words come from the catalogue.

Nothing heavy is imported here: a command's module is loaded when that command runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from mensajeria.cli.argument_types import count, message_id, path_from, port, seconds, timer
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mensajeria.client.i18n import Translator

# argparse would look for translations of its own words on disk, at each of 200 calls. All that a person reads is ours,
# and the complaints below are recognised by their English form.
argparse._ = lambda words: words  # type: ignore[attr-defined]
# argparse words its complaints in English; these are the forms it has, each with a sentence of the catalogue.
_COMPLAINTS: Final = (
    ("required", re.compile(r"the following arguments are required: (?P<what>.+)")),
    ("unrecognized", re.compile(r"unrecognized arguments: (?P<what>.+)")),
    (
        "choice",
        re.compile(r"argument (?P<argument>.+?): invalid choice: (?P<what>.+?) \(choose from (?P<choices>.+)\)"),
    ),
    ("value", re.compile(r"argument (?P<argument>.+?): invalid \S+ value: (?P<what>.+)")),
    ("one_value", re.compile(r"argument (?P<argument>.+?): expected one argument")),
    ("excluded", re.compile(r"argument (?P<argument>.+?): not allowed with argument (?P<what>.+)")),
)


class Parser(argparse.ArgumentParser):
    """An argument parser in the person's language."""

    translator: Translator  # set on the class by `build`: argparse makes the sub-parsers by itself
    width: int = 78  # of the help, likewise: argparse would ask the terminal again for each argument
    as_json: bool = False  # likewise: what is wrong is told as any other failure

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, add_help=False, allow_abbrev=False, **options)
        self._positionals.title = self.translator.tr("cli.help.arguments")
        self._optionals.title = self.translator.tr("cli.help.options")
        self.add_argument("-h", "--help", action="help", help=self.translator.tr("cli.help.help"))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and where the help is, or in one JSON object; exit 2."""
        sentence = f"{self.prog}: {one_line(self._complaint(message))}"
        if self.as_json:
            print(json.dumps({"type": "error", "code": "usage", "message": sentence, "exit": 2}), file=sys.stderr)
            raise SystemExit(Exit.USAGE)
        print(sentence, file=sys.stderr)
        print(self.translator.tr("cli.usage.see_help", command=f"{self.prog} --help"), file=sys.stderr)
        raise SystemExit(Exit.USAGE)

    def _complaint(self, message: str) -> str:
        for key, form in _COMPLAINTS:
            if found := form.fullmatch(message):
                # Whether argparse puts values in quotation marks depends on Python's version: take them away.
                parts = {name: part.replace("'", "") for name, part in found.groupdict().items()}
                return self.translator.tr(f"cli.usage.{key}", **parts)
        return message


class _Formatter(argparse.HelpFormatter):
    """The usage line begins in the person's language, and sub-commands stand without the braces' list above them."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=Parser.width)

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, prefix or Parser.translator.tr("cli.help.usage") + " ")


class Builder:
    """Adds the commands one by one; of those that are not `wanted` only the entry in the list."""

    def __init__(self, translator: Translator, wanted: Callable[[str], bool]) -> None:
        self._translator, self._wanted = translator, wanted
        Parser.translator, Parser.width = translator, shutil.get_terminal_size().columns - 2
        self.parser = Parser(prog="mensajeria", description=self._help("program"))
        self.parser.add_argument("--version", action="store_true", help=self._help("version"))
        self.parser.add_argument("--debug", action="store_true", help=self._help("debug"))
        self._unwanted = Parser()
        self._commands = self._choices(self.parser, "command", "commands")

    def _help(self, key: str) -> str:
        return self._translator.tr(f"cli.help.{key}")

    def _choices(self, parser: Parser, name: str, title: str) -> argparse._SubParsersAction[Parser]:
        # `prog` is given: argparse would make it of the usage line, translated prefix and all.
        required = parser is not self.parser
        return parser.add_subparsers(
            dest=name,
            metavar=self._help(name),
            title=self._help(title),
            prog=parser.prog,
            required=required,
            parser_class=cast("type[Parser]", self._make),
        )

    def _make(self, *, prog: str, **options: Any) -> Parser:
        command = prog.split()[1]
        return Parser(prog=prog, **options) if self._wanted(command) else self._unwanted

    def command(self, name: str, module: str, *, key: str = "") -> Parser:
        """A command that is run by `mensajeria.cli.commands.<module>.run`."""
        text = self._help(key or name)
        parser: Parser = self._commands.add_parser(name, help=text, description=text)
        parser.set_defaults(module=module)
        return parser

    def family(self, parent: Parser, dest: str, prefix: str, names: Iterable[str]) -> dict[str, Parser]:
        """Sub-commands, whose words are `cli.help.<prefix>_<name>`; `args.<dest>` names the one asked for."""
        if parent is self._unwanted:
            return dict.fromkeys(names, parent)
        choices = self._choices(parent, dest, "actions")
        texts = {name: self._help(f"{prefix}_{name}") for name in names}
        return {name: choices.add_parser(name, help=text, description=text) for name, text in texts.items()}

    def option(self, parser: Parser, *flags: str, key: str = "", **options: Any) -> None:
        """An option whose help is the catalogue's sentence `cli.help.<key or name>`."""
        if parser is not self._unwanted:
            parser.add_argument(*flags, help=self._help(key or flags[-1].lstrip("-").replace("-", "_")), **options)

    def profile(self, parser: Parser, *, network: bool = True) -> None:
        """The options of every command that opens a profile."""
        self.option(parser, "--profile", type=Path, default=path_from("MENSAJERIA_PROFILE"), metavar="DIR")
        default = path_from("MENSAJERIA_PASSPHRASE_FILE")
        self.option(parser, "--passphrase-file", type=Path, default=default, metavar="FILE")
        if network:
            self.option(parser, "--ca-file", type=Path, metavar="FILE")

    def json(self, parser: Parser) -> None:
        """`--json`."""
        self.option(parser, "--json", action="store_true")

    def waiting(self, parser: Parser) -> None:
        """`--timeout`."""
        self.option(parser, "--timeout", type=seconds, default=30.0, metavar="S")


def build(translator: Translator, argv: Sequence[str] | None = None) -> Parser:
    """The command line: whole, or with the options of that command only which `argv` begins with.

    Not for use from several threads: argparse keeps the language on a class.
    """
    # They need this module's classes.
    from mensajeria.cli.parser_account import add_account_commands  # noqa: PLC0415
    from mensajeria.cli.parser_admin import add_admin_commands  # noqa: PLC0415
    from mensajeria.cli.parser_people import add_people_commands  # noqa: PLC0415

    # The options before a command take no values.
    first = None if argv is None else next((word for word in argv if not word.startswith("-")), "")
    builder = Builder(translator, lambda command: first in {None, command})
    Parser.as_json = "--json" in (argv or ())
    _server_commands(builder)
    add_account_commands(builder)
    _message_commands(builder)
    add_people_commands(builder)
    _window_commands(builder)
    add_admin_commands(builder)
    return builder.parser


def _server_commands(builder: Builder) -> None:
    serve = builder.command("serve", "serve")
    builder.option(serve, "--host", metavar="H")
    builder.option(serve, "--port", type=port, metavar="N")
    builder.option(serve, "--data-dir", type=Path, metavar="DIR")
    builder.option(serve, "--workers", type=count, metavar="N")
    builder.option(serve, "--migrate", action="store_true", key="serve_migrate")


def _message_commands(builder: Builder) -> None:
    from mensajeria.cli.parser_groups import add_group_command  # noqa: PLC0415

    send = builder.command("send", "send")
    builder.profile(send)
    builder.option(send, "--to", required=True, metavar="USER_OR_CHAT")
    builder.option(send, "text", nargs="?", metavar="TEXT", key="send_text")
    builder.option(
        send, "--file", type=Path, action="append", default=[], metavar="PATH", dest="files", key="send_file"
    )
    builder.option(send, "--as-file", action="store_true")
    builder.option(send, "--progress", action="store_true")
    builder.option(send, "--reply-to", type=message_id, metavar="MID")
    builder.option(send, "--no-wait", action="store_true")
    builder.waiting(send)
    builder.json(send)
    download = builder.command("download", "download")
    builder.profile(download)
    builder.option(download, "--with", required=True, metavar="USER_OR_CHAT", dest="peer")
    builder.option(download, "mid", type=message_id, metavar="MID", key="download_mid")
    builder.option(download, "--to", type=Path, required=True, metavar="PATH", key="download_to")
    builder.option(download, "--progress", action="store_true")
    builder.waiting(download)
    builder.json(download)
    listen = builder.command("listen", "listen")
    builder.profile(listen)
    builder.option(listen, "--accept-all", action="store_true")
    builder.json(listen)
    history = builder.command("history", "history")
    builder.profile(history)
    builder.option(history, "--with", required=True, metavar="USER_OR_CHAT", dest="peer")
    builder.option(history, "--limit", type=count, default=50, metavar="N")
    builder.option(history, "--offline", action="store_true")
    builder.waiting(history)
    builder.json(history)
    _change_commands(builder)
    _mute_commands(builder)
    _chats_command(builder)
    add_group_command(builder)
    _verify_command(builder)
    _audit_command(builder)


def _change_commands(builder: Builder) -> None:
    for name in ("edit", "react", "delete", "timer"):
        parser = builder.command(name, "change")
        builder.profile(parser)
        builder.option(parser, "--with", required=True, metavar="USER_OR_CHAT", dest="peer")
        if name != "timer":
            builder.option(parser, "mid", type=message_id, metavar="MID", key="change_mid")
        if name == "edit":
            builder.option(parser, "text", metavar="TEXT", key="edit_text")
        elif name == "react":
            builder.option(parser, "emoji", nargs="?", metavar="EMOJI", key="react_emoji")
        elif name == "delete":
            builder.option(parser, "--here", action="store_true")
        else:
            builder.option(parser, "seconds", nargs="?", type=timer, metavar="SECONDS", key="timer_seconds")
        builder.option(parser, "--no-wait", action="store_true")
        builder.waiting(parser)
        builder.json(parser)


def _mute_commands(builder: Builder) -> None:
    for name in ("mute", "unmute"):
        parser = builder.command(name, "muting")
        builder.profile(parser)
        builder.option(parser, "--with", required=True, metavar="USER_OR_CHAT", dest="peer")
        if name == "mute":
            builder.option(parser, "--hours", type=count, metavar="N", key="mute_hours")
        builder.json(parser)


def _chats_command(builder: Builder) -> None:
    chats = builder.command("chats", "chats")
    builder.profile(chats)
    builder.option(chats, "--offline", action="store_true")
    builder.waiting(chats)
    builder.json(chats)
    builder.option(
        chats, "action", nargs="?", choices=("list", "accept", "decline"), default="list", key="chats_action"
    )
    builder.option(chats, "chat", nargs="?", metavar="USER_OR_CHAT", key="chats_chat")


def _verify_command(builder: Builder) -> None:
    verify = builder.command("verify", "verify")
    builder.profile(verify)
    builder.waiting(verify)
    builder.json(verify)
    actions = ("show", "number", "start", "confirm", "accept", "cancel", "qr", "timeline")
    builder.option(verify, "action", choices=actions, key="verify_action")
    builder.option(verify, "person", nargs="?", metavar="USER_OR_CHAT", key="verify_person")
    builder.option(verify, "code", nargs="?", metavar="CODE", key="verify_code")


def _audit_command(builder: Builder) -> None:
    audit = builder.command("audit", "audit", key="audit_command")
    builder.profile(audit)
    builder.option(audit, "--state", type=Path, metavar="FILE", key="audit_state")
    builder.option(audit, "--compare", type=Path, action="append", metavar="FILE", key="audit_compare")
    builder.waiting(audit)
    builder.json(audit)


def _window_commands(builder: Builder) -> None:
    desktop = builder.command("desktop", "desktop")
    builder.profile(desktop)
    builder.option(desktop, "--place", choices=("left", "right"))
    builder.option(desktop, "--screenshot", type=Path, metavar="FILE")
    demo = builder.command("demo", "demo")
    builder.option(demo, "--terminal", action="store_true")
    builder.option(demo, "--keep", type=Path, metavar="DIR")
