"""The demonstration with a display: two desktop windows side by side, each a process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from mensajeria.cli.demo.stage import new_password

if TYPE_CHECKING:
    from mensajeria.cli.console import Console
    from mensajeria.cli.demo.stage import Stage

POLL_S: Final = 0.2
PEOPLE: Final = (("ana", "left"), ("bruno", "right"))


def has_display() -> bool:
    """Whether windows can be shown: Qt is installed and there is a screen."""
    if importlib.util.find_spec("PyQt6") is None:
        return False
    if sys.platform in {"win32", "darwin"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_windows(stage: Stage, console: Console) -> None:
    """Prepare two accounts that know each other, open their windows, and wait until both are closed."""
    console.say("demo.preparing", url=stage.url)
    asyncio.run(_prepare(stage, console))
    windows = [
        stage.start("-m", "mensajeria.cli", "desktop", "--profile", str(stage.profile(name)), "--place", side)
        for name, side in PEOPLE
    ]
    console.say("demo.windows_open")
    while any(window.poll() is None for window in windows):
        time.sleep(POLL_S)


async def _prepare(stage: Stage, console: Console) -> None:
    """Register both, let Ana greet Bruno and Bruno accept, so that both can write at once."""
    from mensajeria.client import Client  # noqa: PLC0415 - loaded only where windows are shown
    from mensajeria.kit.secrets import Secret  # noqa: PLC0415 - see above

    ana, bruno = [
        await Client.register(
            stage.url, name, Secret.from_text(new_password()), profile=stage.profile(name), insecure_key_file=True
        )
        for name, _ in PEOPLE
    ]
    async with ana, bruno:
        for one in (ana, bruno):
            await one.recovery_code_saved()  # nobody will want these accounts back
        greeting = await (await ana.direct_chat("bruno")).send_text(console.tr("demo.greeting"))
        await ana.wait_sent(greeting.mid)
        answer = await (await bruno.direct_chat("ana")).send_text(console.tr("demo.greeting_back"))
        await bruno.wait_sent(answer.mid)
