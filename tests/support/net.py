"""Ports on the loopback address."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

# Below what systems take for the near end of connections: a server that is killed and started again on its port would
# now and then find it taken, once even by its own client, whose try to connect had met itself. And each worker of a run
# has ports of its own, also while nobody listens on them.
_WORKERS: Final = 16
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS
_PORTS: Final = range(15_000 + _WORKER, 32_000, _WORKERS)
_TRIES: Final = 200


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago.

    Raises:
        OSError: none was, however often it was tried.
    """
    chance = random.SystemRandom()  # the tests' own chance is seeded alike in every worker
    for _ in range(_TRIES):
        port = chance.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
