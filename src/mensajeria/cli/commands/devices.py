"""`mensajeria devices`: list the account's devices, remove one, confirm or deny a new one, give one another name."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mensajeria.cli.asking import ask_password, given_code
from mensajeria.cli.display import device_line
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import device_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line
from mensajeria.client.api import DeviceLinked, SecurityWarning

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import DeviceView


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    _check(args)
    with foreseen():
        run_until_stopped(_run(args, console))
    return Exit.OK


def _check(args: argparse.Namespace) -> None:
    wanted = {"list": 0, "revoke": 1, "rename": 2, "confirm": 1, "deny": 1, "link": 0}[args.action]
    if sum(value is not None for value in (args.device, args.name)) != wanted:
        raise UsageError("device_arguments")


async def _run(args: argparse.Namespace, console: Console) -> None:
    actions = {"list": _list, "revoke": _revoke, "rename": _rename, "confirm": _confirm, "deny": _revoke, "link": _link}
    online = args.action in {"list", "link"}
    try:
        async with asyncio.timeout(_patience(args)), opened(args, console, offline=not online) as client:
            await actions[args.action](client, args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


def _patience(args: argparse.Namespace) -> float:
    """Whoever links a device has to walk over to it: a code lives ten minutes."""
    return max(float(args.timeout), 600.0) if args.action == "link" else float(args.timeout)


async def _list(client: Client, _args: argparse.Namespace, console: Console) -> None:
    for device in await client.devices():
        if console.as_json:
            console.record(**device_record(device))
        else:
            console.line(device_line(device, console))


async def _revoke(client: Client, args: argparse.Namespace, console: Console) -> None:
    device = await _find(client, args.device)
    password = ask_password(console, args.password_file, new=False)
    await client.revoke_device(device.did, password, recovery_code=given_code(args.code_file))
    if console.as_json:
        console.record(type="device_revoked", did=device.did.hex())
    else:
        console.say("devices.revoked", name=one_line(device.name))


async def _confirm(client: Client, args: argparse.Namespace, console: Console) -> None:
    device = await _find(client, args.device)
    await client.confirm_device(device.did)
    if console.as_json:
        console.record(type="device_confirmed", did=device.did.hex())
    else:
        console.say("devices.confirmed", name=one_line(device.name))


async def _link(client: Client, _args: argparse.Namespace, console: Console) -> None:
    """Show a code and wait until a new device has proven that it read it."""
    link, events = await client.link_code(), client.events()
    if console.as_json:
        console.record(type="link", code=link.text.reveal_text(), expires_ms=link.expires_ms)
    else:
        console.say("devices.link_title")
        console.line(f"\n{link.text.reveal_text()}\n")
        console.say("devices.link_advice")
    async for event in events:
        if isinstance(event, DeviceLinked):
            if console.as_json:
                console.record(type="device_linked", did=event.device.did.hex(), name=event.device.name)
            else:
                console.say("devices.linked", name=one_line(event.device.name))
            return
        if isinstance(event, SecurityWarning) and event.code == "link_refused":
            raise CommandError("link_refused")


async def _rename(client: Client, args: argparse.Namespace, console: Console) -> None:
    device = await _find(client, args.device)
    await client.rename_device(device.did, args.name)
    if console.as_json:
        console.record(type="device_renamed", did=device.did.hex(), name=args.name)
    else:
        console.say("devices.renamed", name=one_line(args.name))


async def _find(client: Client, wanted: str) -> DeviceView:
    """By the beginning of its id (at least 4 digits), or by its name when only one has it."""
    devices = await client.devices()
    found = [device for device in devices if device.name == wanted]
    if not found and len(wanted) >= 4:  # noqa: PLR2004 - fewer would be a slip
        with contextlib.suppress(ValueError):
            int(wanted, 16)
            found = [device for device in devices if device.did.hex().startswith(wanted.lower())]
    if not found:
        raise CommandError("unknown_device")
    if len(found) > 1:
        raise UsageError("device_ambiguous", ids=", ".join(device.did.hex()[:8] for device in found))
    return found[0]
