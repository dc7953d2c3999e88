"""The OpenAPI document: current, complete, and true to what the endpoints need."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import BaseModel

from mensajeria.protocol import api
from mensajeria.protocol.errors import MEANINGS, Code
from mensajeria.server.examples import example
from mensajeria.server.spec import PATH, document, to_yaml


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return document()


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in spec["paths"].items() for method, one in methods.items()]


def test_committed_document_is_current(spec: dict[str, Any]) -> None:
    assert PATH.read_text(encoding="utf-8") == to_yaml(spec), "run: python -m mensajeria.server.spec"


def test_every_operation_says_how_it_is_authenticated(spec: dict[str, Any]) -> None:
    schemes = spec["components"]["securitySchemes"]
    for path, _, operation in operations(spec):
        for requirement in operation["security"]:
            assert set(requirement) <= set(schemes)
        both = operation["security"] == [{"accessToken": [], "requestMac": []}]
        assert both == (path.startswith("/v1/") and path not in {"/v1/server", "/v1/auth/refresh"})
        assert both == ("401" in operation["responses"]) or path == "/v1/auth/refresh"


def test_every_error_is_a_problem_with_an_example_of_that_status(spec: dict[str, Any]) -> None:
    for _, _, operation in operations(spec):
        assert operation["description"]
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for code, shown in content["examples"].items():
                assert shown["value"]["status"] == int(status) == MEANINGS[Code(code)].status


def test_every_json_and_every_parameter_has_an_example_that_its_schema_accepts(spec: dict[str, Any]) -> None:
    tried = 0
    for path, method, operation in operations(spec):
        good = [answer for status, answer in operation["responses"].items() if int(status) < 300]
        parts = [operation.get("requestBody", {}), *good]
        described = [
            part["content"]["application/json"] for part in parts if "application/json" in part.get("content", {})
        ]
        for one in [*operation.get("parameters", ()), *described]:
            schema = {**one["schema"], "components": spec["components"]}
            Draft202012Validator(schema).validate(one["example"])
            tried += 1
        assert described or {"204", "206"} & set(operation["responses"]) or method == "head", path
    assert tried > 80


@pytest.mark.parametrize("name", ["RefreshRequest", "ReportRequest", "EraseRequest", "BackupUpload", "DeviceRename"])
def test_an_example_of_a_body_is_one_that_the_endpoint_parses(spec: dict[str, Any], name: str) -> None:
    made = example({"$ref": f"/{name}"}, spec["components"]["schemas"])

    parsed: BaseModel = getattr(api, name).model_validate_json(json.dumps(made))
    assert json.loads(parsed.model_dump_json()) == made


def test_models_are_closed(spec: dict[str, Any]) -> None:
    for name, schema in spec["components"]["schemas"].items():
        if schema["type"] == "object" and name not in {"Problem", "Health", "Ready", "Version"}:
            assert schema["additionalProperties"] is False, name


def test_every_reference_has_a_target(spec: dict[str, Any]) -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    known = {f"#/components/schemas/{name}" for name in spec["components"]["schemas"]}
    assert references(spec) <= known


def test_yaml_of_awkward_values() -> None:
    assert to_yaml({"a b": [], "c": {}, "d": ["no", {"e": None}], "1": "x: y\n# z"}) == (
        '"a b": []\nc: {}\nd:\n  - "no"\n  -\n    e: null\n"1": "x: y\\n# z"\n'
    )
