"""asyncapi.yaml: current, whole, and true to the bytes that the codec makes."""

from __future__ import annotations

from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from mensajeria.protocol import auth, frames
from mensajeria.protocol.errors import Close
from mensajeria.server.asyncapi import PATH, document
from mensajeria.server.spec import to_yaml

B16, B32 = b"i" * 16, b"h" * 32
HEAD = frames.Head(B32, 7, 0, 0, True, (B16, B16), 3, 3)
SAMPLES: list[msgspec.Struct] = [
    frames.Hello(1, B16, "jwt", B32, 0),
    frames.Batch(
        (
            frames.Ack(B32, B16, 1, 2),
            frames.Nack(B32, B16, "unknown_chat"),
            frames.Event(B32, 1, 2, frames.EventKind.MESSAGE, b"x"),
            frames.Envelope(1, 7, b"x"),
            frames.PeerCursor(B32, B16, 4),
            frames.NewChat(HEAD),
        )
    ),
    frames.SyncPage(1, (HEAD,), False),
    frames.PutResult(1, (frames.PutOutcome.OK, frames.PutOutcome.STALE)),
    frames.Error(0, "malformed"),
    auth.ServerInfo(1, B16, 0, "open", (1,)),
]


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return document()


def on_the_wire(value: Any) -> Any:
    """What the codec sends, with each byte as one character: JSON Schema has no byte strings."""
    if isinstance(value, list):
        return [on_the_wire(item) for item in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def validator(spec: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def test_committed_document_is_current(spec: dict[str, Any]) -> None:
    assert PATH.read_text(encoding="utf-8") == to_yaml(spec), "run: python -m mensajeria.server.asyncapi"


def test_every_frame_message_and_close_code_is_there(spec: dict[str, Any]) -> None:
    structs = [*frames.FRAMES.values(), *get_args(auth.ClientAuth), *get_args(auth.ServerAuth)]

    assert set(spec["components"]["messages"]) == {struct.__name__ for struct in structs}
    assert all(message["summary"] for message in spec["components"]["messages"].values())
    assert {entry["code"] for entry in spec["x-close-codes"]} == {int(code) for code in Close}
    ways = spec["operations"]["fromDevice"]["messages"] + spec["operations"]["toDevice"]["messages"]
    assert {way["$ref"].rpartition("/")[2] for way in ways} == {struct.__name__ for struct in frames.FRAMES.values()}


def test_every_reference_has_a_target(spec: dict[str, Any]) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(target := value.get("$ref"), str):
                found = spec
                for part in target.removeprefix("#/").split("/"):
                    found = found[part]
            for item in value.values():
                check(item)
        elif isinstance(value, list):
            for item in value:
                check(item)

    check(spec)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_schemas_describe_what_is_sent(spec: dict[str, Any], sample: msgspec.Struct) -> None:
    sent = on_the_wire(msgspec.msgpack.decode(msgspec.msgpack.encode(sample)))
    judge = validator(spec, type(sample).__name__)

    assert judge.is_valid(sent)
    assert not judge.is_valid([*sent, 0])
    assert not judge.is_valid(["", *sent[1:]])
