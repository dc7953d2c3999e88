"""Errors that are logged while a test runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class RecordedErrors(logging.Handler):
    """Keeps the text of every record of level ERROR or higher that reaches the root logger."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.messages.append(self.format(record))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record for the length of a `with` block."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)

    def not_matching(self, patterns: Iterable[str]) -> list[str]:
        """Return the messages in which none of the regular expressions is found."""
        compiled = [re.compile(pattern, re.DOTALL) for pattern in patterns]
        return [message for message in self.messages if not any(p.search(message) for p in compiled)]
