"""What the bridge must know of a profile. Apart from the rest, because it loads nothing of the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mensajeria.kit.secrets import Secret


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """Where the profile lies and how its key is had. `passphrase` None: the keyring, or the person is asked."""

    folder: Path
    passphrase: Secret | None = None
    ca_file: Path | None = None
