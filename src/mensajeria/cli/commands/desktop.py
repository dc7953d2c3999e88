"""`mensajeria desktop`: the window of one profile."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mensajeria.cli.asking import given_passphrase
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.desktop.app.paths import default_profile

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console


def run(args: argparse.Namespace, console: Console) -> int:
    """Open the window and wait until it is closed."""
    _need_display()
    try:
        from mensajeria.desktop.app.main import StartOptions, run  # noqa: PLC0415 - Qt may be missing
        from mensajeria.desktop.app.program import ShowOptions  # noqa: PLC0415 - see above
    except ImportError as error:
        # Either the package ("No module named ...") or a system library ("libEGL.so.1: cannot open ...").
        raise CommandError("not_installed", {"name": error.name or str(error).partition(":")[0]}) from error
    failure = run(
        StartOptions(
            profile=args.profile or default_profile(),
            language=console.translator.language,
            passphrase=given_passphrase(args.passphrase_file),
            ca_file=args.ca_file,
            show=ShowOptions(args.place or "", args.screenshot),
        )
    )
    if failure is not None:
        raise CommandError(failure.code, failure.params)
    return Exit.OK


def _need_display() -> None:
    """Qt ends the process without a word to Python when there is no screen: look before."""
    if sys.platform in {"win32", "darwin"} or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise CommandError("no_display", {"name": "DISPLAY, WAYLAND_DISPLAY"})
