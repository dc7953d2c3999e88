"""`mensajeria admin backup`: the whole server in one file or folder."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mensajeria.cli.display import moment, size_text
from mensajeria.cli.failure import CommandError
from mensajeria.cli.terminal import one_line
from mensajeria.server.admin.backups import create, restore, verify
from mensajeria.server.admin.backups.errors import BackupError
from mensajeria.server.admin.backups.reading import OUTSIDE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mensajeria.cli.console import Console
    from mensajeria.server.admin.backups.create import Made
    from mensajeria.server.settings import Settings


def make(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Make one, also beside a running server."""
    with _in_words(console):
        made = create.create(settings, args.path, with_secrets=not args.without_secrets)
    _tell("create", made, args, console)


def check(_settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Read all of one."""
    with _in_words(console):
        made = verify.verify(args.path)
    _tell("verify", made, args, console)


def put_back(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Put one into an empty place, as a declared restore."""
    with _in_words(console):
        done = restore.restore(settings, args.path, after_epoch=args.epoch or 0)
    _tell("restore", done.made, args, console, epoch=done.restore_epoch)


@contextmanager
def _in_words(console: Console) -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        params = {name: one_line(str(value)) for name, value in error.params.items()}
        if params.get("part") == OUTSIDE:
            params["part"] = console.tr("admin.backup_outside")
        raise CommandError(error.code, params) from error


def _tell(action: str, made: Made, args: argparse.Namespace, console: Console, *, epoch: int | None = None) -> None:
    found = made.manifest
    if console.as_json:
        console.record(
            type="server_backup",
            action=action,
            path=str(args.path),
            server_id=found.server_id,
            created_ms=found.created_ms,
            database=found.database,
            database_checked=made.checked,
            schema=found.schema,
            restore_epoch=found.restore_epoch if epoch is None else epoch,
            files=found.files,
            secrets=found.secrets,
            parts=len(found.parts),
            size=made.size,
        )
        return
    console.say(f"admin.backup_{action}", path=args.path, created=moment(found.created_ms), size=size_text(made.size))
    if action != "restore":
        console.say("admin.backup_secrets" if found.secrets else "admin.backup_no_secrets")
    if found.files == "bucket":
        console.say("admin.backup_no_files")
    if action == "verify" and not made.checked:
        console.say("admin.backup_not_looked_into")
    if epoch is not None:
        console.say("admin.restored", epoch=epoch)
