"""Structured logs: an event and its fields, of which only known ones pass. Never content, tokens, keys or handles."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, Literal

import structlog

FIELDS: Final = frozenset({
    "event", "level", "timestamp", "exc_info",
    "request_id", "method", "route", "status", "ms", "step", "error", "where", "code",
    "address", "port", "database", "revision", "workers", "registration", "server_id", "version",
    "uid", "did", "chat", "connection", "count", "bytes", "reason", "seconds", "batch",
})  # fmt: skip
"""Every field that a log line may have. Ids of users, devices and chats are random and reveal no name."""

Event = MutableMapping[str, Any]


def keep_known_fields(_logger: Any, _method: str, event: Event) -> Event:
    """Drop what is not in `FIELDS`; say how many were dropped, so that a test or an operator notices."""
    unknown = [name for name in event if name not in FIELDS]
    for name in unknown:
        del event[name]
    if unknown:
        event["count_dropped"] = len(unknown)
    return event


def failure(error: BaseException) -> dict[str, str]:
    """An exception as log fields: its type and the way to it.

    Not its message, not the frames' variables: either may hold what a log must not.
    """
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    way = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return {"error": type(error).__name__, "where": way}


def describe_failure(_logger: Any, _method: str, event: Event) -> Event:
    """Replace `exc_info` by the fields of `failure`."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event.update(failure(error))
    return event


class _Libraries(logging.Handler):
    """What libraries and the event loop log with the standard module: who, where and which error, never their words.

    Without it Python prints them as they are: an exception that nobody awaited with all that it says.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log one."""
        error = None if record.exc_info is None else record.exc_info[1]
        place = {"where": f"{record.filename}:{record.lineno} {record.funcName}"} if error is None else failure(error)
        structlog.get_logger().log(record.levelno, "library", step=record.name, **place)


def configure_logs(level: str, style: Literal["text", "json"]) -> None:
    """Set up structlog for the process: one line per event on standard error."""
    last = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            describe_failure,
            keep_known_fields,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Libraries)] + [_Libraries(logging.WARNING)]
