"""The recovery code between its making and the person's word that they have it: it lies in the encrypted store.

It is stored with the account it belongs to, in one transaction: whoever is killed before they could show it shows it at
the next start. Nothing else can bring it back, the server does not know it.
"""

from __future__ import annotations

from typing import Final

from mensajeria.client.store import Tx
from mensajeria.kit.secrets import Secret

_NAME: Final = "recovery_code"
_ANEW: Final = "begun_anew"
"""Meta value: the code is of an account that has just begun anew."""


def keep_code(tx: Tx, code: Secret, *, anew: bool) -> None:
    """A new code, which nobody has seen yet. `anew`: it takes the place of one that the account had."""
    tx.own.put(_NAME, code)
    if anew:
        tx.meta.set(_ANEW, b"1")


def kept_code(tx: Tx) -> Secret | None:
    """The code that nobody has said they have; None when there is none."""
    return tx.own.get(_NAME)


def is_anew(tx: Tx) -> bool:
    """Whether the kept code is that of an account that has begun anew."""
    return tx.meta.get(_ANEW) is not None


def forget_code(tx: Tx) -> None:
    """The person has it, by their word or because they have just used it."""
    tx.own.remove(_NAME)
    tx.meta.remove(_ANEW)
