"""Where the store's key lives: the keyring, a file sealed by a passphrase, or (only on request) a plain file."""

from mensajeria.client.vault.opening import add_passphrase, create_vault, forget_key, open_vault
from mensajeria.client.vault.vault import Vault

__all__ = ["Vault", "add_passphrase", "create_vault", "forget_key", "open_vault"]
