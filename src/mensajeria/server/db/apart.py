"""Migrating in a process of its own, which takes what it needed in memory away with it.

A plain one: what `multiprocessing` starts beside it to clean up stays for as long as the server runs, and takes 12 MB.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from mensajeria.server.db.revision import SchemaError

_ANSWER: Final = b"\0answer\0"
"""What stands before it was printed by something else at the start of a Python program."""


def migrate_apart(url: str) -> None:
    """As `migrate.migrate`, and raises as it does."""
    path = os.pathsep.join(filter(None, sys.path))
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", __name__],
        input=url.encode(),  # with a password in it: the list of processes shows arguments
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    _, begin, answer = ended.stdout.partition(_ANSWER)
    if ended.returncode or not begin:
        raise SQLAlchemyError(f"the migration ended with {ended.returncode}")
    failure: Exception | None = pickle.loads(answer)  # noqa: S301 - from our own process
    if failure is not None:
        raise failure


def _migrate(url: str) -> Exception | None:
    from mensajeria.server.db.migrate import migrate  # noqa: PLC0415 - only in that process

    try:
        migrate(url)
    except (SchemaError, OSError) as error:
        return error
    except Exception as error:  # noqa: BLE001 - a driver's own exception may not survive the way between processes
        return SQLAlchemyError(f"{type(error).__name__}: {error}")
    return None


if __name__ == "__main__":
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints from here on
    outcome = _ANSWER + pickle.dumps(_migrate(sys.stdin.buffer.read().decode()))
    with os.fdopen(answer, "wb") as out:
        out.write(outcome)
