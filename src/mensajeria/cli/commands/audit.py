"""`mensajeria audit`: read the server's whole key log and hold it against what was seen of it before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client.audit import read_audit_file, write_audit_file

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.audit import AuditReport


def run(args: argparse.Namespace, console: Console) -> int:
    """Audit once."""
    with foreseen():
        report = run_until_stopped(_run(args, console))
    for violation in report.violations:
        if console.as_json:
            console.record(type="violation", code=violation.code, detail=violation.detail)
        else:
            text = console.translator.error(violation.code, {"handle": "?"})
            console.line(console.ink.red(f"{text} ({violation.detail})"))
    return Exit.SECURITY if report.violations else Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> AuditReport:
    known = args.state is not None and await asyncio.to_thread(args.state.exists)
    state = await asyncio.to_thread(read_audit_file, args.state) if known else None
    others = [await asyncio.to_thread(read_audit_file, path) for path in args.compare or ()]
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=True) as client:
            report, kept = await client.security.audit(state, others)
    except TimeoutError as error:
        raise CommandError("timeout") from error
    if args.state is not None:
        try:
            await asyncio.to_thread(write_audit_file, args.state, kept)
        except OSError as error:
            raise CommandError("unwritable", {"path": str(args.state)}) from error
    _show(report, console)
    return report


def _show(report: AuditReport, console: Console) -> None:
    if console.as_json:
        root, found = report.root.hex(), len(report.violations)
        console.record(type="log_audit", size=report.size, root=root, checked=report.checked, violations=found)
    else:
        console.say("verify.audited", size=report.size, checked=report.checked, root=report.root.hex()[:16])
