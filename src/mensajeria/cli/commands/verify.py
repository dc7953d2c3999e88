"""`mensajeria verify`: make sure of a person, and what happened to a chat's security."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from mensajeria.cli.display import moment, security_line
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import chat_of, foreseen, opened
from mensajeria.cli.records import security_record, verification_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line
from mensajeria.client.api import Trust, VerificationChanged, VerificationPhase
from mensajeria.client.qr import qr_text

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client, EventStream
    from mensajeria.client.api import Verification

_OVER: Final = {VerificationPhase.DONE, VerificationPhase.CANCELLED}
_ANSWERS: Final = {"yes": True, "y": True, "sí": True, "si": True, "s": True, "no": False, "n": False}
LIFE_S: Final = 600.0


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    _check(args)
    with foreseen():
        run_until_stopped(_run(args, console))
    return Exit.OK


def _check(args: argparse.Namespace) -> None:
    if args.action != "qr" and args.person is None:
        raise UsageError("verify_person_needed", action=args.action)
    if args.action == "confirm" and args.code is None:
        raise UsageError("verify_code_needed")
    if (args.action == "qr" and args.person is not None) or (args.action != "confirm" and args.code is not None):
        raise UsageError("verify_arguments", action=args.action)


async def _run(args: argparse.Namespace, console: Console) -> None:
    if args.action == "start":
        await _start(args, console)
        return
    actions = {
        "show": _show, "number": _number, "confirm": _confirm, "accept": _accept, "cancel": _cancel, "qr": _qr,
        "timeline": _timeline,
    }  # fmt: skip
    try:
        # Only a request can be declined, and that needs the other side to hear of it.
        offline = args.action != "cancel"
        async with asyncio.timeout(args.timeout), opened(args, console, offline=offline) as client:
            await actions[args.action](client, args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _show(client: Client, args: argparse.Namespace, console: Console) -> None:
    found = await client.security.of(args.person)
    if console.as_json:
        console.record(**security_record(found))
        return
    name = found.person.handle
    if found.verified_by is not None:
        method = console.translator.tr(f"verification.method.{found.verified_by}")
        console.say("verify.verified", name=name, method=method, when=moment(found.verified_ms))
    else:
        console.say("verify.changed" if found.person.trust is Trust.CHANGED else "verify.first_use", name=name)
    if found.sending_blocked:
        console.say("verify.blocked")
    console.say("verify.number", number=found.safety_number)
    console.say("verify.devices", count=found.devices)


async def _number(client: Client, args: argparse.Namespace, console: Console) -> None:
    found = await client.security.of(args.person)
    if console.as_json:
        console.record(type="safety_number", person=found.person.handle, number=found.safety_number)
    else:
        console.line(found.safety_number)


async def _confirm(client: Client, args: argparse.Namespace, console: Console) -> None:
    method = await client.security.check(args.person, args.code)
    if console.as_json:
        console.record(type="verified", person=args.person, method=str(method))
    else:
        console.say("verify.matches", name=args.person)


async def _accept(client: Client, args: argparse.Namespace, console: Console) -> None:
    changed = await client.security.accept(args.person)
    if console.as_json:
        console.record(type="identity_accepted", person=args.person, changed=changed)
    else:
        console.say("verify.accepted" if changed else "verify.not_changed", name=args.person)


async def _cancel(client: Client, args: argparse.Namespace, console: Console) -> None:
    await client.caught_up()
    if await client.security.state(args.person) is not None:
        _tell(await client.security.cancel(args.person), console)
        await client.security.settled()
        return
    was = await client.security.withdraw(args.person)
    if console.as_json:
        console.record(type="unverified", person=args.person, was=was)
    else:
        console.say("verify.withdrawn" if was else "verify.not_verified", name=args.person)


async def _qr(client: Client, _args: argparse.Namespace, console: Console) -> None:
    code = await client.security.code()
    if console.as_json:
        console.record(type="verification_code", code=code)
        return
    if sys.stdout.isatty():
        console.line(qr_text(code))
    console.line(code)


async def _timeline(client: Client, args: argparse.Namespace, console: Console) -> None:
    entries = await (await chat_of(client, args.person)).security_timeline()
    for entry in entries:
        if console.as_json:
            console.record(
                type="security_event",
                at_ms=entry.at_ms,
                kind=str(entry.kind),
                person=None if entry.person is None else entry.person.handle,
                params=dict(entry.params) or None,
            )
        else:
            console.line(security_line(entry, console))
    if not entries and not console.as_json:
        console.say("verify.nothing")


# --- comparing emoji: this process stays until both have confirmed ---


async def _start(args: argparse.Namespace, console: Console) -> None:
    try:
        async with opened(args, console) as client:
            async with asyncio.timeout(args.timeout):
                await client.caught_up()
            async with asyncio.timeout(LIFE_S + args.timeout):
                last = await _compare(client, args.person, console)
            await client.security.settled()
    except TimeoutError as error:
        raise CommandError("timeout") from error
    if last.phase is VerificationPhase.CANCELLED:
        raise CommandError("not_verified", {"reason": console.translator.tr(f"verification.{last.reason}")})


async def _compare(client: Client, person: str, console: Console) -> Verification:
    stream = client.events()
    try:
        return await _follow(client, person, stream, await client.security.start(person), console)
    finally:
        stream.close()


async def _follow(
    client: Client, person: str, stream: EventStream, state: Verification, console: Console
) -> Verification:
    answer: asyncio.Future[bool] | None = None
    _tell(state, console)
    while state.phase not in _OVER:
        following = asyncio.ensure_future(_next(stream, state))
        waiting: list[asyncio.Future[Any]] = [following] if answer is None else [following, answer]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if answer in done and answer is not None:
            following.cancel()
            same, answer = answer.result(), None
            state = await (client.security.confirm(person) if same else client.security.cancel(person, mismatch=True))
        else:
            state = following.result()
        _tell(state, console)
        if state.phase is VerificationPhase.COMPARING and answer is None:
            answer = _asked(console)
    return state


async def _next(stream: EventStream, state: Verification) -> Verification:
    """The next news of the comparison with this person."""
    async for event in stream:
        if isinstance(event, VerificationChanged):
            view = event.verification
            if view.person.uid == state.person.uid and view.phase not in {state.phase, VerificationPhase.INCOMING}:
                return view
    raise CommandError("closed")


def _asked(console: Console) -> asyncio.Future[bool]:
    """The person's answer, read in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def settle(same: bool) -> None:  # noqa: FBT001 - the answer
        if not answer.done():
            answer.set_result(same)

    def read() -> None:
        while line := sys.stdin.readline():
            word = line.strip().lower()
            if word in _ANSWERS:
                loop.call_soon_threadsafe(settle, _ANSWERS[word])
                return
            console.warn(console.tr("usage.verify_answer"))
        # Nobody answers any more: what was not compared is not confirmed.
        loop.call_soon_threadsafe(settle, False)  # noqa: FBT003 - the answer

    threading.Thread(target=read, daemon=True).start()
    return answer


def _tell(state: Verification, console: Console) -> None:
    if console.as_json:
        console.record(**verification_record(state))
        return
    name = one_line(state.person.handle)
    if state.phase is VerificationPhase.CANCELLED:
        console.say("verify.cancelled", name=name, reason=console.translator.tr(f"verification.{state.reason}"))
        return
    console.line(console.translator.tr(f"verification.{state.phase}", name=name))
    if state.phase is VerificationPhase.COMPARING:
        for symbol, word in state.emoji:
            console.line(f"    {symbol}  {console.translator.tr(f'emoji.{word}')}")
        console.say("verify.same")
