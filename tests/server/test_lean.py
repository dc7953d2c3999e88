"""What an idle server does not carry around."""

from __future__ import annotations

import subprocess
import sys


def test_a_server_loads_nothing_that_it_never_uses() -> None:
    program = (
        "import sys, mensajeria.server.main\n"
        "never = {'rich', 'pydantic.v1', 'aiofastnet'}\n"
        "print(*(name for name, module in sys.modules.items() if module and name in never))\n"
        "import rich.table\n"
        "print(rich.table.Table.__name__)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.splitlines() == ["", "Table"]
