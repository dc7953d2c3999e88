"""JSON Schema of msgspec types as they stand on the wire in MessagePack: arrays with named places, byte strings."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import inspect as shapes

Schema = dict[str, Any]
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
REF: Final = "#/components/schemas/"


class WireSchemas:
    """Collects the schema of every struct that is asked for, and of what it consists of."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def add(self, structs: Iterable[type[msgspec.Struct]]) -> None:
        """Describe these."""
        for struct in structs:
            self._of(shapes.type_info(struct))

    def _of(self, shape: shapes.Type) -> Schema:
        match shape:
            case shapes.StructType():
                return self._of_struct(shape)
            case shapes.UnionType():
                return {"oneOf": [self._of(one) for one in shape.types]}
            case shapes.VarTupleType() | shapes.ListType():
                sizes = _sizes(shape.min_length, shape.max_length, "Items")
                return {"type": "array", "items": self._of(shape.item_type), **sizes}
            case shapes.EnumType():
                members = {member.name.lower(): member.value for member in shape.cls}
                return {
                    "enum": list(members.values()),
                    "description": ", ".join(f"{v} {k}" for k, v in members.items()),
                }
            case _:
                return _of_scalar(shape)

    def _of_struct(self, shape: shapes.StructType) -> Schema:
        name = shape.cls.__name__
        if name not in self.found:
            self.found[name] = {}  # so that a struct may contain itself
            self.found[name] = self._described(shape)
        return {"$ref": REF + name}

    def _described(self, shape: shapes.StructType) -> Schema:
        places = [{"title": "tag", "const": shape.tag}] if shape.tag is not None else []
        places += [_titled(self._of(field.type), field.name) for field in shape.fields]
        required = len(places) - sum(not field.required for field in shape.fields)
        size = {"minItems": required, "maxItems": len(places), "items": False}
        return {"description": summary(shape.cls), "type": "array", "prefixItems": places, **size}


def summary(struct: type) -> str:
    """A struct's docstring as one paragraph."""
    return " ".join((inspect.getdoc(struct) or "").split())


def _titled(schema: Schema, name: str) -> Schema:
    return {"title": name, **schema}


def _of_scalar(shape: shapes.Type) -> Schema:
    match shape:
        case shapes.IntType():
            bounds = {word: value for key, word in _BOUNDS.items() if (value := getattr(shape, key)) is not None}
            return {"type": "integer", **bounds}
        case shapes.BytesType():
            sizes = _sizes(shape.min_length, shape.max_length, "Length")
            return {"type": "string", "format": "binary", **sizes}
        case shapes.StrType():
            pattern = {} if shape.pattern is None else {"pattern": shape.pattern.replace("\\Z", "$")}
            return {"type": "string", **_sizes(shape.min_length, shape.max_length, "Length"), **pattern}
        case shapes.BoolType():
            return {"type": "boolean"}
        case shapes.NoneType():
            return {"type": "null"}
        case _:
            raise TypeError(f"no wire schema for {type(shape).__name__}")


def _sizes(least: int | None, most: int | None, of: str) -> Schema:
    sizes = {f"min{of}": least, f"max{of}": most}
    return {word: value for word, value in sizes.items() if value is not None}
