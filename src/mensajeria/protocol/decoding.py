"""The one way from bytes to a record: canonical, of a version and suite that this program knows, within its size."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from mensajeria.protocol import limits, records
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, decode_strict, decode_versioned

S = TypeVar("S", bound=msgspec.Struct)

SUITES: Final[dict[type[msgspec.Struct], int]] = {
    records.IdentityRecord: records.SUITE_IDENTITY,
    records.SessionBinding: records.SUITE_GROUP,
    records.ToDeviceOuter: records.SUITE_TODEVICE,
    records.MessageOuter: records.SUITE_GROUP,
}
"""Records that name a suite, and the only suite known of each."""

_any_array: Final = msgspec.msgpack.Decoder(tuple[Any, ...])


@cache
def decoder_of(kind: type[S]) -> msgspec.msgpack.Decoder[S]:
    """The decoder of a record type, made once."""
    return msgspec.msgpack.Decoder(kind)


@cache
def _is_versioned(kind: type[msgspec.Struct]) -> bool:
    return "v" in kind.__struct_fields__


def decode_record(kind: type[S], data: bytes, *, max_size: int = limits.MAX_SIGNED_BODY) -> S:
    """Decode a record that is a msgpack map.

    Raises:
        NewerVersionError: its version or suite needs a newer program.
        MalformedError: anything else that is not the canonical encoding of a `kind`.
    """
    decode = decode_versioned if _is_versioned(kind) else decode_strict
    value: S = decode(data, decoder_of(kind), max_size=max_size)
    _check_suite(kind, value)
    return value


def decode_array(kind: type[S], data: bytes, *, max_size: int) -> S:
    """Decode a record that is a msgpack array (see `decode_record`); its first element is its version or suite."""
    try:
        value: S = decode_strict(data, decoder_of(kind), max_size=max_size)
    except MalformedError as error:
        if _first_element_is_newer(data, max_size):
            raise NewerVersionError("needs a newer program") from error
        raise
    if getattr(value, "v", limits.PROTOCOL_VERSION) != limits.PROTOCOL_VERSION:
        raise NewerVersionError("needs a newer program")
    _check_suite(kind, value)
    return value


def _check_suite(kind: type[msgspec.Struct], value: msgspec.Struct) -> None:
    known = SUITES.get(kind)
    if known is not None and getattr(value, "suite") != known:  # noqa: B009 - the table's kinds share no base class
        raise NewerVersionError("unknown suite: needs a newer program")


def _first_element_is_newer(data: bytes, max_size: int) -> bool:
    """A later version may have other fields: it is recognised by its first element alone."""
    if len(data) > max_size:
        return False
    try:
        items = _any_array.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return False
    return bool(items) and type(items[0]) is int and limits.PROTOCOL_VERSION < items[0] <= 255  # noqa: PLR2004 - a u8
