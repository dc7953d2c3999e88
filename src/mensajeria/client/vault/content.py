"""What a vault keeps, and the promise of each place that can keep it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from mensajeria.kit.secrets import Secret

KEY_BYTES: Final = 32
CONTENT_BYTES: Final = KEY_BYTES + 8
MAX_GEN: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Content:
    """LK, the store's raw key, and the ceiling of `gen`: no more encryptions than that may have been persisted."""

    key: Secret
    ceiling: int

    @classmethod
    def fresh(cls) -> Content:
        """A new random key."""
        return cls(Secret(secrets.token_bytes(KEY_BYTES)), 0)

    def encode(self) -> Secret:
        """40 bytes: key ‖ u64 ceiling."""
        return Secret(self.key.reveal() + self.ceiling.to_bytes(8, "big"))

    @classmethod
    def decode(cls, data: bytes) -> Content:
        """The inverse of `encode`; raises ValueError for anything else."""
        ceiling = int.from_bytes(data[KEY_BYTES:], "big")
        if len(data) != CONTENT_BYTES or ceiling > MAX_GEN:
            raise ValueError("not a vault's content")
        return cls(Secret(data[:KEY_BYTES]), ceiling)


class Place(Protocol):
    """One place for the content. Its methods block (files, the keyring's service): not for the event loop's thread."""

    def load(self) -> Content:
        """The content.

        Raises ProfileError: passphrase_needed, passphrase_wrong, keyring_failed, key_lost,
        profile_damaged, profile_newer.
        """
        ...

    def store(self, content: Content) -> None:
        """Replace the content as a whole. Raises ProfileError: keyring_failed, store_failed."""
        ...
