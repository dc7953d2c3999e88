"""What costs the machine most and few tests look at: Argon2id's memory, and the wiping of what SQLite has used.

Tests run with a hundredth of the one and without the other. Those marked `as_shipped` stretch passwords with all of
that memory; all people of one server need the same: a password that was stretched in another way is a wrong one. The
wiping cannot be turned off again in a process that has once turned it on, and doubles what each store costs from then
on: its tests run in processes of their own (tests/client/store/test_shipped.py). With MENSAJERIA_TEST_AS_SHIPPED=1 (a
nightly run) everything is as the program ships it.
"""

from __future__ import annotations

import os
from typing import Final

from mensajeria.client.store import connection
from mensajeria.crypto import password

ALWAYS: Final = "MENSAJERIA_TEST_AS_SHIPPED" in os.environ
_SHIPPED_KIB: Final = password.ARGON2_MEMORY_KIB
_CHEAP_KIB: Final = 1024


def use(*, shipped: bool) -> None:
    """Use what the program ships with, or what is cheap."""
    password.ARGON2_MEMORY_KIB = _SHIPPED_KIB if shipped or ALWAYS else _CHEAP_KIB  # type: ignore[misc]
    if not ALWAYS:
        connection.MEMORY_SECURITY = "OFF"  # type: ignore[misc]
