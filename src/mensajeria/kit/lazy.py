"""Modules that are loaded when they are first used: for libraries that cost a start-up more than they give to it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module until one of its attributes is asked for.

    Beside an ordinary import under `TYPE_CHECKING`, so that types are checked as ever. Any attribute may raise
    ImportError.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
