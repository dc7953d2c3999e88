"""Memory of a server that does nothing, started on an empty folder without any configuration (PSS and RSS, in MiB)."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.lib.proc import pss_mb, rss_mb
from tests.server.process import start_server_process

BAR_MB: Final = 90.0
SETTLE_S: Final = 2.0
STARTS: Final = ("first start, on an empty folder", "later start")


def run() -> list[dict[str, Any]]:
    """A row for each start."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what in STARTS:
            begun = time.perf_counter()
            server = start_server_process(Path(folder) / "data", settings={"MENSAJERIA_LOG_LEVEL": "warning"})
            ready = time.perf_counter() - begun
            try:
                time.sleep(SETTLE_S)
                memory, resident = pss_mb(server.process.pid), rss_mb(server.process.pid)
            finally:
                server.stop()
            figures = {"pss_mb": memory, "rss_mb": resident, "bar_mb": BAR_MB, "ok": resident <= BAR_MB}
            rows.append({"what": what, "ready_s": ready, **figures})
    return rows
