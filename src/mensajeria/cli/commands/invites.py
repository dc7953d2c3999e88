"""`mensajeria invite`: a member's invites, where the operator allows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import InviteView


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    with foreseen():
        run_until_stopped(_run(args, console))
    return Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> None:
    verbs = {"create": _create, "list": _list, "revoke": _revoke}
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=True) as client:
            await verbs[args.verb](client, args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _create(client: Client, args: argparse.Namespace, console: Console) -> None:
    made = await client.create_invite(uses=args.uses, days=args.days)
    token = made.token.reveal_text()
    if console.as_json:
        console.record(
            type="invite",
            id=made.number,
            token=token,
            link=made.link.reveal_text(),
            uses_left=made.uses_left,
            expires_ms=made.expires_ms,
        )
    else:
        console.say("admin.invite", token=token)
        console.say("ownership.link", link=made.link.reveal_text())


async def _list(client: Client, _args: argparse.Namespace, console: Console) -> None:
    found = await client.invites()
    for invite in found:
        _show(invite, console)
    if not found and not console.as_json:
        console.say("admin.invite_none")


def _show(invite: InviteView, console: Console) -> None:
    if console.as_json:
        console.record(
            type="invite",
            id=invite.number,
            uses_left=invite.uses_left,
            created_ms=invite.created_ms,
            expires_ms=invite.expires_ms,
            state=invite.state,
            joined=list(invite.joined),
        )
        return
    state, expires = console.tr(f"admin.invite_{invite.state}"), moment(invite.expires_ms)
    console.say("admin.invite_line", id=invite.number, uses=invite.uses_left, expires=expires, state=state)
    if invite.joined:
        console.say("ownership.joined", names=", ".join(invite.joined))


async def _revoke(client: Client, args: argparse.Namespace, console: Console) -> None:
    await client.revoke_invite(args.invite)
    if console.as_json:
        console.record(type="revoked", id=args.invite)
    else:
        console.say("admin.revoked", id=args.invite)
