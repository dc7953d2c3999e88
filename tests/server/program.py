"""The server as a program that takes its settings from the environment alone: `python -m tests.server.program`."""

from __future__ import annotations

import sys

from mensajeria.server.serve import serve
from mensajeria.server.settings import load_settings


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(load_settings(), say=say)
