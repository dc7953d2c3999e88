"""Secrets that do not end up in a log line, a traceback or a pickle by accident."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

__all__ = ["Secret"]

_BYTES: Final = (bytes, bytearray, memoryview)


@final
class Secret:
    """Secret bytes (a key, a token, a password) whose only way out is `reveal`.

    Two secrets compare in constant time for equal lengths. A secret cannot be pickled, copied into a format string,
    iterated or measured: whoever needs the bytes says so by calling `reveal`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray | memoryview) -> None:
        if not isinstance(value, _BYTES):
            msg = f"a secret is made of bytes, not {type(value).__name__}"
            raise TypeError(msg)
        self._value = bytes(value)

    @classmethod
    def from_text(cls, text: str) -> Secret:
        """Wrap `text` as UTF-8 (a password as it was typed)."""
        return cls(text.encode())

    def reveal(self) -> bytes:
        """Return the bytes. Each call is a place to look at in a review."""
        return self._value

    def reveal_text(self) -> str:
        """Return the bytes decoded as UTF-8; raises UnicodeDecodeError when they are no text."""
        return self._value.decode()

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._value, other._value) if isinstance(other, Secret) else NotImplemented

    # Hashing would leak equality through dict order and timing, and no one keys a table by a secret.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> NoReturn:
        msg = "a secret has no truth value: test the variable with `is None`, or reveal it"
        raise TypeError(msg)

    def __reduce__(self) -> NoReturn:
        msg = "a secret cannot be pickled or copied"
        raise TypeError(msg)
