"""Mistakes in the use of the store. What can fail on a right use is a `ProfileError` (store_failed, ...)."""

from __future__ import annotations


class UnknownChatError(LookupError):
    """The chat is not in the store."""


class StoreMisuseError(ValueError):
    """A value that would break an invariant, e.g. a cursor that goes back."""
