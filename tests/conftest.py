"""Fixtures and checks for every test.

- `postgres_url`, `valkey_url`: real servers, started only when a test asks (see tests/support).
- Every test fails when an unexpected ERROR is logged while it runs, or a task dies unnoticed.
- Coroutine tests of the server and the client fail when the project's code blocks the event loop (support/blocking.py).
"""

from __future__ import annotations

import gc
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import picows  # noqa: F401 - before the server, which leaves out the transport that clients use (server/lean.py)
import pytest
from hypothesis import HealthCheck, Phase

from tests.support import shipped, warm
from tests.support.blocking import is_coroutine_test
from tests.support.examples import QUICK
from tests.support.garbage import collect_since, collections_of_older_objects
from tests.support.logs import RecordedErrors
from tests.support.loop import LoopLag

if TYPE_CHECKING:
    from tests.support.lifeline import Lifeline, MadeOnce, Run
    from tests.support.postgres import PostgresServer
    from tests.support.valkey import ValkeyServer

# Collecting tests makes many objects and little garbage; pytest_collection_finish turns it on again.
gc.disable()
# Where the caches of compiled code are turned off, each process that a test starts would compile everything again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Argon2 takes its megabytes in many threads; each would keep a heap of its own for them.
os.environ.setdefault("MALLOC_ARENA_MAX", "2")
# Thousands of small databases, each flushed at every commit, go to memory where there is plenty of it: a killed process
# loses nothing there either, and the tests of a full disk make their own.
_MEMORY, _PLENTY = Path("/dev/shm"), 4 << 30
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _PLENTY:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
# A test never opens a window on the screen of whoever runs it, and is not touched by their settings.
os.environ["QT_QPA_PLATFORM"] = os.environ.get("MENSAJERIA_TEST_QPA_PLATFORM", "offscreen")
for _name in [
    name for name in os.environ if name.startswith("MENSAJERIA_") and not name.startswith("MENSAJERIA_TEST_")
]:
    del os.environ[_name]

shipped.use(shipped=False)


_RUN: pytest.StashKey[Run] = pytest.StashKey()
_LIFELINE: pytest.StashKey[Lifeline] = pytest.StashKey()  # only in the process that owns the run
_ALL_SLOW = re.compile(r"^pytestmark = (\[.*)?pytest\.mark\.slow\b", re.MULTILINE)


# ------------------------------------------------------------------------------------------- one run, many workers


def _run(config: pytest.Config) -> Run:
    """Return the test run this process belongs to; the process that owns the run makes it at the first call."""
    from tests.support.lifeline import Lifeline, Run  # noqa: PLC0415 - needs FIFOs and flock: not on Windows

    if _RUN not in config.stash:
        if hasattr(config, "workerinput"):
            config.stash[_RUN] = Run(Path(config.workerinput["mensajeria_run"]))
        else:
            config.stash[_LIFELINE] = Lifeline()
            config.stash[_RUN] = config.stash[_LIFELINE].run
    return config.stash[_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    if os.name == "posix":
        node.workerinput["mensajeria_run"] = str(_run(node.config).folder)  # type: ignore[attr-defined]


def _is_quick(config: pytest.Config) -> bool:
    return str(config.option.markexpr) == "not slow"


def pytest_configure(config: pytest.Config) -> None:
    """Let programs start warm (the quick tests start fewer than pays for it), and say how Hypothesis works here.

    No deadlines: a loaded machine is no failure. Fewer examples in the quick tests.

    `--hypothesis-profile=nightly` tries a thousand examples where a test does not say how many; `mutation` is that of
    tools/mutation.py, which wants to know only whether a test fails.
    """
    if not shipped.ALWAYS and not _is_quick(config):
        warm.install()
    usual = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    hypothesis.settings.register_profile("usual", usual)
    hypothesis.settings.register_profile("quick", usual, max_examples=QUICK)
    hypothesis.settings.register_profile("nightly", usual, max_examples=1000)
    first_failure = [Phase.explicit, Phase.generate]
    hypothesis.settings.register_profile(
        "mutation", usual, max_examples=30, phases=first_failure, database=None, derandomize=True
    )
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("quick" if _is_quick(config) else "usual")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick tests come without the files that hold none: importing them would be a tenth of their collection."""
    if not _is_quick(config) or not collection_path.match("test_*.py"):
        return None
    return True if _ALL_SLOW.search(collection_path.read_text("utf-8")) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, in whatever order all of them come: else one worker may end alone with them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run's servers."""
    if _LIFELINE in config.stash:
        config.stash[_LIFELINE].close()


def pytest_collection_finish() -> None:
    """Keep what was imported out of the collections that the checks below cause."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # the server's own, see serve.py
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marked test, and what it asks for, gets what the program ships with."""
    _now.item = item
    if item.get_closest_marker("as_shipped") is not None:
        shipped.use(shipped=True)


def pytest_runtest_teardown() -> None:
    """What is cheap, again."""
    shipped.use(shipped=False)


@pytest.fixture(scope="session")
def made_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Fill a folder once for all workers of the run: call it with a name and what fills it, copy what it returns."""
    if os.name == "posix":
        return _run(request.config).once

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = tmp_path_factory.mktemp(name) / name
        folder.mkdir()
        make(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def made_server(made_once: MadeOnce) -> Path:
    """The data folder of a server that was started once, with its database of SQLite: to copy."""
    from tests.server.fixtures import make_in_a_process  # noqa: PLC0415 - brings the server along

    return made_once("server", lambda folder: make_in_a_process(folder, f"sqlite:///{folder / 'mensajeria.db'}"))


# ------------------------------------------------------------------------------------------------ database servers


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresServer:
    """The run's PostgreSQL, shared by all workers. For databases prepared once see `PostgresServer.template`."""
    if os.name != "posix":
        pytest.skip("the test servers need a POSIX system")
    from tests.support import postgres  # noqa: PLC0415 - not on Windows

    if not postgres.postgres_is_available():
        pytest.skip("no PostgreSQL binaries for this system")
    return postgres.shared_postgres(_run(request.config))


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[Callable[[str | None], str]]:
    """Make fresh databases for one test: call it with a template's name or None, get a URL."""
    made: list[str] = []

    def make(template: str | None = None) -> str:
        made.append(f"test_{secrets.token_hex(8)}")
        return postgres_server.create_database(made[-1], template=template)

    yield make
    for name in made:
        postgres_server.drop_database(name)


@pytest.fixture
def postgres_url(postgres_database: Callable[[str | None], str]) -> str:
    """The URL (`postgresql+asyncpg://`) of a fresh, empty database."""
    return postgres_database(None)


@pytest.fixture(scope="session")
def valkey_server(request: pytest.FixtureRequest) -> ValkeyServer:
    """This worker's Valkey."""
    if os.name != "posix":
        pytest.skip("the test servers need a POSIX system")
    from tests.support import valkey  # noqa: PLC0415 - not on Windows

    if not valkey.valkey_is_available():
        pytest.skip("no Valkey binary for this system")
    return valkey.start_valkey(_run(request.config))


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """The URL (`redis://`) of an empty Valkey."""
    valkey_server.clear()
    return valkey_server.url


# --------------------------------------------------------------------------------------------------------- checks


class _Now:
    """The test that runs: a fixture that asks for `request` instead costs more than all the others of a small test."""

    item: pytest.Item


_now = _Now()


@pytest.fixture(autouse=True)
def log_errors() -> Iterator[None]:
    """Fail the test when an ERROR is logged that it did not announce with `@pytest.mark.allow_log_errors`.

    asyncio logs the exception of a task nobody awaited as an ERROR when the task is collected: hence the collection.
    """
    item, errors, collections = _now.item, RecordedErrors(), collections_of_older_objects()
    with errors.recording():
        yield
        if is_coroutine_test(item):
            collect_since(collections)
    patterns = [p for mark in item.iter_markers("allow_log_errors") for p in mark.args or (".*",)]
    if unexpected := errors.not_matching(patterns):
        pytest.fail("unexpected ERROR in the log:\n" + "\n".join(unexpected), pytrace=False)


@pytest.fixture
async def loop_lag() -> AsyncIterator[LoopLag]:
    """Measure how long the test's event loop is kept from running; `assert_below(seconds)` when the work is done."""
    async with LoopLag() as lag:
        yield lag
