"""`python -m mensajeria.server.spec [--check]`: writes api_spec.yaml from the code, or says whether it is current."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from mensajeria.server.main import create_app
from mensajeria.server.reference import describe
from mensajeria.server.settings import Settings

PATH: Final = Path(__file__).with_name("api_spec.yaml")


def document() -> dict[str, Any]:
    """The OpenAPI document as the code has it."""
    return describe(create_app(Settings()))


def main(arguments: list[str]) -> int:
    """Write or check; 0 when the file is current afterwards."""
    text = to_yaml(document())
    if "--check" not in arguments:
        PATH.write_text(text, encoding="utf-8")
        return 0
    return 0 if PATH.exists() and PATH.read_text(encoding="utf-8") == text else 1


def to_yaml(value: Any) -> str:
    """YAML of JSON values: block style, every string quoted as JSON does it (which YAML 1.2 reads the same)."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, dict) and value:
        return [line for key, item in value.items() for line in _entry(f"{indent}{_key(key)}:", item, depth)]
    if isinstance(value, list) and value:
        return [line for item in value for line in _entry(f"{indent}-", item, depth)]
    return [indent + json.dumps(value, ensure_ascii=False)]


def _entry(head: str, item: Any, depth: int) -> list[str]:
    if isinstance(item, dict | list) and item:
        return [head, *_lines(item, depth + 1)]
    return [f"{head} {json.dumps(item, ensure_ascii=False)}"]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalpha() else json.dumps(key, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
