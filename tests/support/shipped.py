"""What costs the machine most and few tests look at: Argon2id's memory, and the wiping of what SQLite has used.

Tests run with a hundredth of the one and without the other; those marked `as_shipped`, and all of them with
MENSAJERIA_TEST_AS_SHIPPED=1 (a nightly run), with what the program ships with. All people of one server need the same:
a password that was stretched in another way is a wrong one.
"""

from __future__ import annotations

import os
from typing import Final

from mensajeria.client.store import connection
from mensajeria.crypto import password

ALWAYS: Final = "MENSAJERIA_TEST_AS_SHIPPED" in os.environ
_SHIPPED: Final = (password.ARGON2_MEMORY_KIB, connection.MEMORY_SECURITY)
_CHEAP: Final = (1024, "OFF")


def use(*, shipped: bool) -> None:
    """Use what the program ships with, or what is cheap."""
    password.ARGON2_MEMORY_KIB, connection.MEMORY_SECURITY = _SHIPPED if shipped or ALWAYS else _CHEAP  # type: ignore[misc]
