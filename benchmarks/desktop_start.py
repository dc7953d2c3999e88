"""The whole desktop program, from the start of its process to the picture, with 10,000 stored messages and no server.

    python -m benchmarks.desktop_start

A real account is made on a server of its own in a temporary folder; the server is gone before the measurement.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MESSAGES = 10_000
RUNS = 5
MEASURE = """
import time; start = time.perf_counter()
import json, sys
from pathlib import Path
from PyQt6.QtCore import QEvent, QObject, QTimer
from PyQt6.QtWidgets import QApplication
from mensajeria.desktop.app.main import StartOptions, build
app = QApplication([])
program = build(StartOptions(Path(sys.argv[1])))
times = {}
def note(name): times.setdefault(name, (time.perf_counter() - start) * 1000)
class Painted(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and "window" not in times:
            QTimer.singleShot(0, opened)
        return False
def opened():
    note("window")
    if not program.session.current:
        program.session.open_chat(program.session.chats.visible[0].chat_id)
def shown():
    note("chat")
    program.leave()
painted = Painted()
program.window.main.installEventFilter(painted)
program.session.timeline.opened.connect(lambda: QTimer.singleShot(0, shown))
program.ended.connect(app.quit)
app.exec()
print(json.dumps(times))
"""


def environment() -> dict[str, str]:
    """Nobody's own settings, no screen, keys in the throwaway profile; compiled modules are kept as everywhere."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MENSAJERIA_")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return clean | {"QT_QPA_PLATFORM": "offscreen", "MENSAJERIA_KEY_FILE": "plain"}


async def fill(profile: Path, url: str) -> None:
    """An account with one chat of MESSAGES stored messages."""
    from mensajeria.client import Client  # noqa: PLC0415 - the measured processes load it themselves
    from mensajeria.client.api import MessageKind, MessageState  # noqa: PLC0415 - see above
    from mensajeria.client.store.values import NewMessage  # noqa: PLC0415 - see above
    from mensajeria.protocol.ids import Mid  # noqa: PLC0415 - see above

    password = secrets.token_urlsafe(18)
    async with await Client.register(url, "ana", password, profile=profile, insecure_key_file=True) as client:
        await client.recovery_code_saved()  # or the window would begin with it
        chat = await client.direct_chat("ana")
        now = time.time_ns() // 1_000_000

        def store(tx: Any) -> None:
            for number in range(MESSAGES):
                at, text = now - (MESSAGES - number) * 60_000, f"message {number}, about as long as people write"
                mid, me = Mid(secrets.token_bytes(16)), client.me.uid
                new = NewMessage(chat.chat_id, mid, me, True, MessageKind.TEXT, MessageState.SENT, at, text=text)  # noqa: FBT003
                tx.messages.add(new)

        await client._opened.store.run(store)  # noqa: SLF001 - sending that many would measure something else


def prepare(folder: Path) -> Path:
    """A filled profile; the server has ended."""
    command = [sys.executable, "-m", "mensajeria.cli", "serve", "--port", "0", "--data-dir", str(folder / "server")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert server.stdout is not None
        asyncio.run(fill(folder / "ana", server.stdout.readline().split()[-1]))
    finally:
        server.terminate()
        server.communicate()
    return folder / "ana"


def measure() -> dict[str, float]:
    """The best of RUNS starts, in ms: `window` on screen with the chat list, `chat` with its newest messages."""
    with tempfile.TemporaryDirectory() as folder:
        profile = prepare(Path(folder))
        command = [sys.executable, "-c", MEASURE, str(profile)]
        runs = [
            json.loads(subprocess.run(command, check=True, env=environment(), capture_output=True, text=True).stdout)
            for _ in range(RUNS)
        ]
    return {name: min(run[name] for run in runs) for name in ("window", "chat")}


if __name__ == "__main__":
    found = measure()
    print(f"desktop with {MESSAGES:,} stored messages, process start to window {found['window']:.0f} ms (bar 1000)")
    print(f"                                        and to the open chat     {found['chat']:.0f} ms")
