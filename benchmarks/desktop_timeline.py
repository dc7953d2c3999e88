"""How fast the timeline is: opening a chat, frames while it scrolls, pages, resizing; a window from process start.

    python -m benchmarks.desktop_timeline [--frames N]

Runs offscreen with 10,000 made-up messages held in memory (database reads are not part of it). A frame moves the bar by
120 px and repaints the whole view. Prints one line per figure, milliseconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import quantiles
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt6.QtCore import QEventLoop, QTimer
from PyQt6.QtWidgets import QApplication

from mensajeria.client.i18n import Translator
from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.timeline import WINDOW_ROWS
from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    MessageRow,
    MessageState,
    OpenedChat,
    Page,
    Person,
    Phase,
    Preferences,
    ThemeChoice,
)
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.desktop.windows.app_window import AppWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STORED = 10_000
NOW_MS = 1_795_500_000_000
ME, PEER = Person("1", "ana", "Ana", 1), Person("2", "bruno", "Bruno", 2)
TEXTS = (
    "Vale",
    "¿Sales ya? El tren se adelanta diez minutos",
    "Por cierto, la gestoría ya me ha contestado: falta solo tu firma en la página dos y queda cerrado. " * 2,
    "Aquí está: https://osm.org/go/b0Kx9 y el punto `4.2` **hoy**",
    "🎉🎉",
    "Hecho. Te espero con una horchata bien fría 🥤",
)


def message(place: int) -> MessageRow:
    """The stored message at ``place``."""
    mine = place % 5 < 2
    state = MessageState.READ if mine else MessageState.NONE
    when = NOW_MS - (STORED - place) * 90_000
    text = TEXTS[place * 7 % len(TEXTS)]
    return MessageRow(f"m{place}", place, ME if mine else PEER, mine, when, text, state)


class Bench:
    """A window whose store answers at once from memory."""

    def __init__(self) -> None:
        self.rows = [message(place) for place in range(STORED)]
        self.session = SessionModel(Wording(Translator("es"), lambda: NOW_MS), Preferences(theme=ThemeChoice.LIGHT))
        self.ui = UiContext(self.session)
        self.window = AppWindow(self.ui, self.session)
        self.session.put_chats([ChatRow("c", "Bruno", 2, sort_ms=1)])
        self.session.set_phase(Phase.READY)
        self.session.open_requested.connect(self._open)
        self.session.older_requested.connect(self._older)
        self.window.show()

    def _open(self, chat_id: str) -> None:
        rows = tuple(self.rows[-WINDOW_ROWS:])
        self.session.put_opened_chat(OpenedChat(Page(chat_id, rows, at_start=False, at_end=True)))

    def _older(self, chat_id: str, position: int, count: int) -> None:
        start = max(0, position - count)
        page = Page(chat_id, tuple(self.rows[start:position]), at_start=start == 0, at_end=False)
        # As in the program: the answer comes with a later turn of the event loop.
        QTimer.singleShot(0, lambda: self.session.put_older(page))

    def open(self) -> float:
        """Open the chat until it is painted, ms."""

        def work() -> None:
            self.session.open_chat("c")
            self.window.grab()

        return timed(work)

    def change_theme(self) -> None:
        """Swap light and dark and paint."""
        self.ui.toggle_theme()
        self.window.grab()

    def frames(self, count: int) -> list[float]:
        """Scroll up ``count`` times and repaint, ms each."""
        view = self.window.main.pane.timeline
        bar, viewport = view.verticalScrollBar(), view.viewport()
        assert bar is not None
        assert viewport is not None

        def frame() -> None:
            bar.setValue(bar.value() - 120)
            viewport.repaint()
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents)

        return [timed(frame) for _ in range(count)]


def timed(work: Callable[[], object]) -> float:
    """Run ``work`` and say how long it took, ms."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def summary(name: str, values: list[float]) -> str:
    """Median, 95th and 99th percentile and maximum."""
    cuts = quantiles(values, n=100)
    return f"{name:<28} p50 {cuts[49]:6.2f}   p95 {cuts[94]:6.2f}   p99 {cuts[98]:6.2f}   max {max(values):6.2f}"


def cold_start() -> float:
    """From the start of a fresh process to the painted chat, ms."""
    command = [sys.executable, "-m", "benchmarks.desktop_timeline", "--once"]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--once", action="store_true", help="open the chat, paint it and end")
    options = parser.parse_args(arguments)
    app = QApplication([])
    app.setStyle("Fusion")
    bench = Bench()
    opening = bench.open()
    if options.once:
        return 0
    print(f"open and paint {STORED} stored   {opening:6.1f}")
    print(summary("frame", bench.frames(options.frames)))
    print(f"resize                       {timed(lambda: (bench.window.resize(1000, 700), bench.window.grab())):6.1f}")
    print(f"theme                        {timed(bench.change_theme):6.1f}")
    print(f"process start to paint       {min(cold_start() for _ in range(3)):6.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
