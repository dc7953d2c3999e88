"""Everything the running server is made of, in one value that is passed to whoever needs it. No module-level state."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.kit.clock import Clock
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.db.engine import Database
from mensajeria.server.facts import Facts
from mensajeria.server.keyfiles import KeyFiles
from mensajeria.server.push import Push
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.settings import Settings


@dataclass(slots=True, kw_only=True)
class Server:
    """The services of one process. `hub` is given by the real-time part before the first request."""

    settings: Settings
    clock: Clock
    db: Database
    keys: KeyFiles
    facts: Facts
    limiter: Limiter
    authenticator: Authenticator
    hub: Push
