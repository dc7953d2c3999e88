"""Values of any message type for hypothesis, made from the type itself: well-formed, and as hostile as it allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

Strategy = st.SearchStrategy[Any]


def values_of(kind: Any, known: Sequence[bytes] = ()) -> Strategy:
    """Instances of a msgspec type. `known`: ids that mean something to the receiver, used where their length fits."""
    return _strategy(inspect.type_info(kind), known)


def _strategy(info: inspect.Type, known: Sequence[bytes]) -> Strategy:
    match info:
        case inspect.StructType():
            fields = {field.name: _strategy(field.type, known) for field in info.fields}
            return st.builds(info.cls, **fields)
        case inspect.UnionType():
            return st.one_of([_strategy(one, known) for one in info.types])
        case inspect.VarTupleType():
            return _tuples(info, known)
        case inspect.BytesType():
            return _bytes(info, known)
        case _:
            return _plain(info)


def _plain(info: inspect.Type) -> Strategy:
    """Values without ids in them."""
    match info:
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return _integers(info)
        case inspect.StrType() if info.pattern is not None:
            return st.from_regex(info.pattern, fullmatch=True)
        case inspect.StrType():
            return st.text(max_size=min(info.max_length or 20, 20), min_size=info.min_length or 0)
        case inspect.NoneType():
            return st.none()
        case _:
            raise AssertionError(info)


def _tuples(info: inspect.VarTupleType, known: Sequence[bytes]) -> Strategy:
    longest = min(info.max_length or 3, 3)
    shortest = min(info.min_length or 0, longest)
    return st.lists(_strategy(info.item_type, known), min_size=shortest, max_size=longest).map(tuple)


def _integers(info: inspect.IntType) -> Strategy:
    low = info.ge if info.ge is not None else 0
    high = info.le if info.le is not None else (info.lt - 1 if info.lt is not None else (1 << 63) - 1)
    edges = [value for value in (low, low + 1, 2, 3, 4, 1 << 31, 1 << 47, high - 1, high) if low <= value <= high]
    return st.sampled_from(edges) | st.integers(int(low), int(high))


def _bytes(info: inspect.BytesType, known: Sequence[bytes]) -> Strategy:
    low, high = info.min_length or 0, min(info.max_length or 200, 200)
    fitting = [one for one in known if low <= len(one) <= (info.max_length or 200)]
    free = st.binary(min_size=low, max_size=max(low, high))
    return st.sampled_from(fitting) | free if fitting else free


def bodies_of(kind: type[msgspec.Struct], known: Sequence[bytes] = ()) -> Strategy:
    """Encoded bodies of a frame: well-formed ones, their beginnings, ones with a changed byte, and garbage."""
    good = values_of(kind, known).map(msgspec.msgpack.encode)

    def spoilt(draw: Any) -> bytes:
        body = bytearray(draw(good))
        at = draw(st.integers(0, len(body)))
        if draw(st.booleans()):
            return bytes(body[:at])
        if at < len(body):
            body[at] ^= draw(st.integers(1, 255))
        return bytes(body)

    return good | st.composite(spoilt)() | st.binary(max_size=64)
