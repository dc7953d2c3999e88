"""What PyQt's annotations leave open, in one place."""

from __future__ import annotations

from typing import TypeVar, cast

from PyQt6.QtWidgets import QApplication

T = TypeVar("T")


def present(value: T | None) -> T:
    """``value``, which Qt's annotations call optional although it is always there at this point.

    Raises ``LookupError`` when it is not: a mistake in the program.
    """
    if value is None:
        raise LookupError("a Qt object that must exist does not")
    return value


def application() -> QApplication:
    """The running application. Raises ``LookupError`` without one."""
    return cast("QApplication", present(QApplication.instance()))


def utf16_offset(text: str, offset: int) -> int:
    """Qt counts UTF-16 units: the unit at which character ``offset`` of ``text`` begins."""
    return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2
