"""Structured logs: an event and its fields, of which only known ones pass. Never content, tokens, keys or handles."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

FIELDS: Final = frozenset({
    "event", "level", "timestamp", "logger", "exc_info", "exception",
    "request_id", "method", "route", "status", "ms", "step", "error", "code",
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


def configure_logs(level: str, style: Literal["text", "json"]) -> None:
    """Set up structlog for the process: one line per event on standard error."""
    last = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            keep_known_fields,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
