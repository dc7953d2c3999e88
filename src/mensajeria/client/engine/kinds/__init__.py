"""Types of messages: one module for each, and the registry through which rows are read."""

from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.kinds.changes import Delete, Edit, React
from mensajeria.client.engine.kinds.file import File
from mensajeria.client.engine.kinds.history import History
from mensajeria.client.engine.kinds.registry import Kind, Kinds
from mensajeria.client.engine.kinds.text import Text
from mensajeria.client.engine.kinds.timer import Timer

__all__ = ["Arrival", "Kind", "Kinds", "known_kinds"]


def known_kinds() -> Kinds:
    """All types that this version reads."""
    return Kinds([Text(), Edit(), React(), Delete(), Timer(), File(), History()])
