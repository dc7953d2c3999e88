"""Logs: one object a line, known fields only, and nothing of what an exception or a library says."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from mensajeria.server.logs import configure_logs

SECRET = "canary-of-this-test"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    logging.getLogger().handlers = handlers


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logs("info", "json")

    def read() -> list[dict[str, Any]]:
        text = written.getvalue()
        assert SECRET not in text
        return [json.loads(line) for line in text.splitlines()]

    return read


def failing() -> None:
    raise ValueError(SECRET)


def test_an_unknown_field_is_dropped_and_its_absence_told(lines: Any) -> None:
    structlog.get_logger().info("something", count=1, text=SECRET, handle=SECRET)

    [line] = lines()
    assert (line["event"], line["count"], line["count_dropped"]) == ("something", 1, 2)


def test_an_exception_is_its_type_and_the_way_to_it(lines: Any) -> None:
    try:
        failing()
    except ValueError:
        structlog.get_logger().exception("failed")

    [line] = lines()
    assert line["error"] == "ValueError"
    assert line["where"].startswith("test_logs.py:")
    assert "failing < test_logs.py" in line["where"]


def test_what_is_below_the_level_is_not_logged(lines: Any) -> None:
    structlog.get_logger().debug("something")

    assert lines() == []


@pytest.mark.allow_log_errors
async def test_an_exception_that_nobody_awaited_is_logged_without_its_words(lines: Any) -> None:
    async def fail() -> None:
        failing()

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task
    gc.collect()

    [line] = lines()
    assert (line["event"], line["level"], line["step"], line["error"]) == ("library", "error", "asyncio", "ValueError")


def test_a_library_is_named_and_not_repeated(lines: Any) -> None:
    logging.getLogger("some.library").warning("password %s", SECRET)
    logging.getLogger("some.library").info("nothing")

    [line] = lines()
    assert (line["step"], line["level"]) == ("some.library", "warning")
    assert line["where"].startswith("test_logs.py:")
