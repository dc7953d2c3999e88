"""The encrypted local store: SQLCipher with full-text search, owned by one thread."""

from mensajeria.client.store.store import Store
from mensajeria.client.store.tx import Tx

__all__ = ["Store", "Tx"]
