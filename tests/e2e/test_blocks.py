"""A real server keeps a blocked person away, and gets what a report discloses."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from mensajeria.client import Client, MessageFailedError, StateError
from tests.e2e.conftest import Register, ServerProcess
from tests.e2e.helpers import befriend, eventually, texts

pytestmark = pytest.mark.slow


async def test_nothing_passes_until_the_block_is_taken_back(register: Register) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    await ana.block("bruno")
    assert [person.handle for person in await ana.blocked()] == ["bruno"]
    assert (await there.view()).blocked
    assert not (await back.view()).blocked, "the other one is not told"
    with pytest.raises(StateError, match="person_blocked"):
        await there.send_text("no sale")
    refused = await back.send_text("no llega")
    with pytest.raises(MessageFailedError, match="forbidden"):
        await bruno.wait_sent(refused.mid)
    await back.discard(refused.mid)

    await there.unblock()
    assert await ana.blocked() == ()
    await ana.wait_sent((await there.send_text("otra vez")).mid)
    await bruno.wait_sent((await back.send_text("aquí estoy")).mid)
    assert await texts(there, outgoing=True) == ["hola", "otra vez"]


async def test_the_command_line_blocks_and_tells_the_operator_what_was_chosen(
    register: Register, server: ServerProcess, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    sent = await back.send_text("una amenaza")

    async def arrived() -> bool:
        return "una amenaza" in await texts(there)

    await eventually(arrived)
    await ana.close()
    profile = ("--profile", str(tmp_path / "ana"), "--json")
    chosen = ("--with", "bruno", "--message", sent.mid.hex())
    told = await command("report", "bruno", "me amenaza", *chosen, *profile)
    assert told["text"].startswith("me amenaza\n\n")
    assert told["text"].endswith(" bruno: una amenaza")
    listed = await command("admin", "report", "list", "--data-dir", str(server.folder), "--json")
    assert (listed["id"], listed["claim"], listed["chat"]) == (told["id"], told["text"], there.chat_id.hex())
    assert await command("block", "bruno", *profile) == {
        "type": "blocked", "person": "bruno", "uid": bruno.me.uid.hex(),
    }  # fmt: skip
    async with await Client.open(tmp_path / "ana", offline=True) as again:
        assert [person.handle for person in await again.blocked()] == ["bruno"]


async def command(*arguments: str) -> dict[str, Any]:
    """The one line that a command of its own process prints."""
    python = (sys.executable, "-m", "mensajeria.cli")
    process = await asyncio.create_subprocess_exec(*python, *arguments, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found
