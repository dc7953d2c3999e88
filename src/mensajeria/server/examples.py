"""Examples for the OpenAPI document, made from its own schemas, so that each is as valid as the schema says.

A value depends on the name of its field only: the same user id is the same text wherever it appears.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from mensajeria.protocol.ids import b64
from mensajeria.protocol.limits import TEXT_PATTERN
from mensajeria.server.version import VERSION

Schema = dict[str, Any]
MOMENT_MS: Final = 1_767_225_600_000
_SEALED_BYTES: Final = 24
_KNOWN: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln",
    "detail": "",
    "joined": "bruno",
    "more": False,
    "name": "home",
    "If-Range": '"oggmvJ3vcQrm2wkRMTmYuw"',
    "Range": "bytes=0-262143",
    "Upload-Offset": 0,
    "index": 0,
    "text": "Unwanted advertising",
    "version": VERSION,
}
"""Where a value made from the type would not look like one."""


def example(schema: Schema, schemas: dict[str, Schema], name: str = "") -> Any:
    """A value of `schema`; `schemas` are those that it may refer to."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "anyOf" in schema:
        return example(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas, name)
    fixed = [schema[word] for word in ("const", "default") if word in schema] + schema.get("enum", [])
    if fixed:
        return fixed[0]
    match schema["type"]:
        case "object":
            return {key: example(one, schemas, key) for key, one in schema["properties"].items()}
        case "array":
            return [example(schema["items"], schemas, name)]
        case "integer":
            return _number(schema, name)
        case "boolean":
            return _KNOWN.get(name, True)
        case _:
            return _text(schema, name)


def _number(schema: Schema, name: str) -> int:
    if name == "ts" or name.endswith("_ms"):
        return MOMENT_MS
    return max(int(schema.get("minimum", 0)), int(_KNOWN.get(name, 1)))


def _text(schema: Schema, name: str) -> str:
    if (
        "minLength" in schema and schema.get("pattern", TEXT_PATTERN) != TEXT_PATTERN
    ):  # base64url, as `protocol.api.Base64Url` describes it
        least, most = (schema[key] * 6 // 8 for key in ("minLength", "maxLength"))
        digest = hashlib.shake_128(name.encode())
        return b64(digest.digest(min(most, max(least, _SEALED_BYTES))))
    return str(_KNOWN.get(name, "ana"))


def add_examples(document: Schema) -> None:
    """Give every parameter, request body and good answer in JSON of an OpenAPI document one."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                parameter["example"] = example(parameter["schema"], schemas, parameter["name"])
            good = (answer for status, answer in operation["responses"].items() if status < "300")
            for part in (operation.get("requestBody", {}), *good):
                for content in _json(part):
                    content["example"] = example(content["schema"], schemas)


def _json(part: Schema) -> list[Schema]:
    return [content for kind, content in part.get("content", {}).items() if kind == "application/json"]
