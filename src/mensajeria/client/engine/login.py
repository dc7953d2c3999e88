"""The login's tokens: kept fresh, rotated by one task at a time, stored before they are used."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from mensajeria.client.engine.me import Me
from mensajeria.client.errors import RefusedError, StateError
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.values import Tokens
from mensajeria.client.transport.rest.calls import Credentials, refresh
from mensajeria.client.transport.rest.client import RestClient
from mensajeria.kit.lazy import LazyModule
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")

MARGIN_MS: Final = 60_000
COUNTERS: Final = 64
SKIPPED: Final = 100_000
ENDING: Final = frozenset({Code.LOGIN_REVOKED, Code.UNAUTHORIZED, Code.ACCOUNT_SUSPENDED, Code.UNKNOWN_DEVICE})


class LoginKeeper:
    """Implements `transport.rest.calls.CredentialSource`."""

    def __init__(self, me: Me, store: Store, client: RestClient) -> None:
        self._me = me
        self._store = store
        self._client = client
        self._lock = asyncio.Lock()
        self._counters: deque[int] = deque()

    async def credentials(self) -> Credentials:
        """Valid credentials. Raises StateError (login_ended), RefusedError, NetworkError."""
        tokens, key = await self._stored()
        if tokens.access_expires_ms - MARGIN_MS > self._me.clock.now_ms():
            return Credentials(tokens.access.reveal_text(), key)
        return await self.renew(tokens.access.reveal_text())

    async def channel_key(self) -> Secret:
        """CK. Raises StateError (login_ended)."""
        key = await self._store.read(lambda tx: tx.own.channel_key())
        if key is None:
            raise StateError("login_ended")
        return key

    async def renew(self, refused: str) -> Credentials:
        """New credentials unless another task has just got them. Raises as `credentials`."""
        async with self._lock:
            tokens, key = await self._stored()
            if tokens.access.reveal_text() != refused:
                return Credentials(tokens.access.reveal_text(), key)
            await self._refresh(tokens, key)
            tokens, key = await self._stored()
            return Credentials(tokens.access.reveal_text(), key)

    async def next_counter(self) -> int:
        """Never the same number twice; they are reserved in the store by the block."""
        if not self._counters:
            first = await self._store.run(lambda tx: tx.own.reserve_rest_counters(COUNTERS))
            self._counters.extend(range(first, first + COUNTERS))
        return self._counters.popleft()

    async def skip_counters(self) -> None:
        """Far above what a former life of this profile may have used."""
        self._counters.clear()
        await self._store.run(lambda tx: tx.own.reserve_rest_counters(SKIPPED))

    async def _refresh(self, tokens: Tokens, key: Secret) -> None:
        """Use the tokens up for new ones.

        Nothing is stored in place of a login that was made meanwhile: a new password ends the old login before its own
        one is stored, and the connection that was closed by that asks here.
        """
        counter = await self.next_counter()
        try:
            new = await refresh(self._client, key, counter, self._me.did, tokens.refresh)
        except RefusedError as error:
            if error.code not in ENDING:
                raise
            if await self._store.run(partial(_end, tokens)):
                raise StateError("login_ended", error.code) from error
            return
        fresh = Tokens(
            Secret.from_text(new.access_token), new.access_expires_ms, Secret(new.refresh_token), tokens.known
        )
        await self._store.run(partial(_replace, tokens, fresh))

    async def _stored(self) -> tuple[Tokens, Secret]:
        tokens, key = await self._store.read(lambda tx: (tx.own.tokens(), tx.own.channel_key()))
        if tokens is None or key is None:
            raise StateError("login_ended")
        return tokens, Secret(api.rest_key(key.reveal()))


def _end(tokens: Tokens, tx: Tx) -> bool:
    """The login is over; False when another one is stored by now."""
    stored = tx.own.tokens()
    if stored is not None and stored.refresh != tokens.refresh:
        return False
    tx.own.clear_tokens()
    return True


def _replace(tokens: Tokens, fresh: Tokens, tx: Tx) -> None:
    stored = tx.own.tokens()
    if stored is not None and stored.refresh == tokens.refresh:
        tx.own.put_tokens(fresh)
