"""What every connection to PostgreSQL asks of it, so that a process that is away holds nothing for long.

A process may stop in the middle of a transaction: its machine falls, is paused, or is cut off. Nothing tells that to
PostgreSQL, which would keep the locks for as long as TCP waits: hours, for whoever wants the same chat or account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import asyncpg

IDLE_IN_TRANSACTION_S: Final = 5
"""Our transactions never wait for anything but the database: between two of their statements are milliseconds.

Who waits for a chat that is locked holds up all that wait behind it, and all is to be well again within 10 seconds. So
this is below that, and below the 10 seconds after which the waiting statement itself would give up and begin anew. A
process that is only slow, or was asleep for longer, loses the transaction and nothing else: nobody was told that it is
stored, messages are stored by the next try, and other requests are answered with "later".
"""
SESSION: Final = {
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
DRIVER: Final = "postgresql+asyncpg://"
"""What SQLAlchemy is told of an address: `connector` has it."""


def connector(dsn: str, **options: Any) -> Callable[[], Awaitable[Any]]:
    """What opens a connection for SQLAlchemy, which would not pass on the options that an address may have."""
    return partial(asyncpg.connect, dsn, **options)
