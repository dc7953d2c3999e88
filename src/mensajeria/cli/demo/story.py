"""The demonstration without a display: one exchange between two people, told as it happens."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mensajeria.cli.demo.evidence import StoredRow, places_with, size_of, stored_row
from mensajeria.cli.demo.hexdump import hexdump
from mensajeria.cli.demo.stage import new_password
from mensajeria.cli.failure import CommandError
from mensajeria.cli.terminal import one_line

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from mensajeria.cli.console import Console
    from mensajeria.cli.demo.stage import Stage

WAIT_S: Final = 60.0
DUMP_LINES: Final = 10
STATES: Final = ("queued", "sent", "delivered", "read")
TICKS: Final = {"queued": "◷", "sent": "✓", "delivered": "✓✓", "read": "✓✓"}


class Actor:
    """A person: their process, and what it has reported."""

    def __init__(self, stage: Stage, name: str, handle: str) -> None:
        self.name = name
        self.handle = handle
        self.password = new_password()
        self._reports: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = stage.start(
            "-m", "mensajeria.cli.demo.person", str(stage.profile(handle)), stage.url, handle, pipe=True
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        self._write(self.password)

    def tell(self, **order: Any) -> None:
        """Give an order."""
        self._write(order)

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next report of this kind; what comes before it is passed over. Raises CommandError."""
        while True:
            try:
                report = self._reports.get(timeout=WAIT_S)
            except queue.Empty:
                report = None
            if report is None:
                raise CommandError("demo_person", {"name": self.name})
            if report["event"] == event and all(report[key] == value for key, value in fields.items()):
                return report

    def _write(self, order: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise CommandError("demo_person", {"name": self.name}) from error

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self._reports.put(json.loads(line))
        except ValueError:  # the pipe was closed under the reader at the end
            pass
        self._reports.put(None)


@dataclass
class Exchange:
    """One message from its typing to its reading, with the times since it was typed, in ms."""

    text: str
    row: StoredRow
    read_text: str
    times: dict[str, float] = field(default_factory=dict)


def converse(stage: Stage, sender: Actor, reader: Actor, text: str) -> Exchange:
    """One sends, the other reads; gather what all three parties saw."""
    sender.tell(do="send", to=reader.handle, text=text)
    typed = sender.wait_for("typed")["at"]
    first = sender.wait_for("state", state="queued")
    times = {"queued": first["at"] - typed}
    for state in STATES[1:]:
        times[state] = sender.wait_for("state", state=state, mid=first["mid"])["at"] - typed
    read = reader.wait_for("read")
    row = stored_row(stage.server_folder, bytes.fromhex(first["mid"]))
    return Exchange(text, row, read["text"], {state: seconds * 1000 for state, seconds in times.items()})


def tell_story(stage: Stage, console: Console) -> None:
    """Play the whole exchange in the terminal. Raises CommandError."""
    ink = console.ink
    page = _Page(console)
    page.title()
    page.fact("demo.server", url=stage.url)
    ana, bruno = Actor(stage, "Ana", "ana"), Actor(stage, "Bruno", "bruno")
    for person in (ana, bruno):
        person.wait_for("ready")
        page.fact("demo.registered", name=person.name)
    _play(stage, page, (ana, ink.teal), (bruno, ink.blue), console.tr("demo.ana_says"))
    _play(stage, page, (bruno, ink.blue), (ana, ink.teal), console.tr("demo.bruno_says"))
    _search_files(
        stage, page, [console.tr("demo.ana_says"), console.tr("demo.bruno_says"), ana.password, bruno.password]
    )
    for person in (ana, bruno):
        person.tell(do="stop")


def _play(
    stage: Stage,
    page: _Page,
    writer: tuple[Actor, Callable[[str], str]],
    reader: tuple[Actor, Callable[[str], str]],
    text: str,
) -> None:
    (sender, sender_ink), (receiver, receiver_ink) = writer, reader
    exchange = converse(stage, sender, receiver, text)
    page.box(page.tr("demo.typed", name=sender.name), [exchange.text], sender_ink)
    title = page.tr("demo.stored", seq=exchange.row.seq, size=len(exchange.row.body))
    page.box(title, page.dump(exchange.row.body), page.ink.dim)
    page.box(page.tr("demo.read", name=receiver.name), [exchange.read_text], receiver_ink)
    page.box(page.tr("demo.states", name=sender.name), page.states(exchange.times), page.ink.green)


def _search_files(stage: Stage, page: _Page, texts: list[str]) -> None:
    found = [path for text in texts for path in places_with(stage.server_folder, text)]
    if found:  # never seen; if it ever happens, it must not look like success
        raise CommandError("demo_plaintext", {"path": str(found[0])})
    page.line()
    page.fact("demo.searched", size=f"{size_of(stage.server_folder) / 1024:.0f}", count=len(texts))


class _Page:
    """Boxes and lines on the terminal."""

    WIDTH: Final = 78

    def __init__(self, console: Console) -> None:
        self._console = console
        self.ink = console.ink
        self.tr = console.tr

    def title(self) -> None:
        """The headline."""
        self._console.line()
        self._console.line("  " + self.ink.bold(self.ink.teal(self.tr("demo.title"))))
        self._console.line("  " + self.ink.dim(self.tr("demo.subtitle")))
        self._console.line()

    def line(self) -> None:
        """An empty line."""
        self._console.line()

    def fact(self, key: str, **params: object) -> None:
        """A line with a tick."""
        self._console.line(f"  {self.ink.green('✓')} {self.tr(key, **params)}")

    def box(self, title: str, lines: list[str], paint: Callable[[str], str]) -> None:
        """A titled block."""
        rule = "─" * max(2, self.WIDTH - len(title) - 5)
        self._console.line()
        self._console.line("  " + paint("╭─ ") + self.ink.bold(title) + paint(f" {rule}"))
        for line in lines:
            self._console.line("  " + paint("│") + f" {one_line(line)}")
        self._console.line("  " + paint("╰" + "─" * (self.WIDTH - 1)))

    def dump(self, body: bytes) -> list[str]:
        """The bytes of a row, and how many more there are."""
        lines = list(hexdump(body, lines=DUMP_LINES))
        hidden = len(body) - DUMP_LINES * 16
        return [*lines, self.tr("demo.more_bytes", count=hidden)] if hidden > 0 else lines

    def states(self, times: dict[str, float]) -> list[str]:
        """Each state with its tick and the time since the message was typed."""
        return [f"{TICKS[state]:<3}{self.tr(f'demo.state.{state}'):<14}{times[state]:>9.1f} ms" for state in STATES]
