"""Loaded by schemathesis itself: signs its requests as real devices do, and lets it find what exists.

The people come from the file that MENSAJERIA_TEST_PEOPLE names, one JSON object per line. Each signs some hundred
requests, then the next: a single one would soon be refused by the rate limit of its device.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.transport.requests import REQUESTS_TRANSPORT

from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac

REQUESTS_EACH = 250
ENDING = "/v1/auth/logout"
"""What ends the caller's login has callers of its own: the others would be refused from then on."""
LAST = 8
_lines = Path(os.environ["MENSAJERIA_TEST_PEOPLE"]).read_text(encoding="utf-8").splitlines()
_people = [json.loads(line) for line in _lines]
_keys = {f"Bearer {one['token']}": rest_key(bytes.fromhex(one["ck"])) for one in _people}
_counter = itertools.count(1000)
_used = itertools.count()
_turn = 0
_lock = threading.Lock()
_ID = re.compile("[A-Za-z0-9_-]{21}[AQgw]|[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[a-z0-9_.]{3,32}")


class Mac(AuthBase):
    """Sees the request exactly as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign it, if it carries one of our tokens and no MAC of somebody's own making."""
        key = _keys.get(_text(request.headers.get("Authorization", "")))
        if key is not None and not request.headers.get(MAC_HEADER):
            body: Any = request.body or b""
            raw = body.encode() if isinstance(body, str) else bytes(body)
            with _lock:
                count = next(_counter)
            request.headers[MAC_HEADER] = rest_mac(key, request.method or "", request.path_url, raw, count)
        return request


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@schemathesis.auth(refresh_interval=None)
class Device:
    """The access token."""

    def get(self, case: Any, context: Any) -> str:
        """Whose turn it is."""
        global _turn  # noqa: PLW0603 - schemathesis makes its own objects of this class
        with _lock:
            count = next(_used)
            if case.operation.path == ENDING:
                _turn = len(_people) - 1 - count % LAST
            else:
                _turn = count // REQUESTS_EACH % (len(_people) - LAST)
        return str(_people[_turn]["token"])

    def set(self, case: Any, data: str, context: Any) -> None:
        """Put it where the API wants it."""
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let the last step sign."""
    kwargs["auth"] = Mac()


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the well-formed ids become those of somebody or something that is there."""
    for name, value in (path_parameters or {}).items():
        known = _people[_turn].get(name)
        if known and isinstance(value, str) and _ID.fullmatch(value) and sum(value.encode()) % 2:
            path_parameters[name] = known  # type: ignore[index]
    return path_parameters


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """1.0 is an integer to JSON Schema, not to this API."""
    if isinstance(body, float) and body.is_integer():
        return int(body)
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    return [map_body(context, value) for value in body] if isinstance(body, list) else body


@REQUESTS_TRANSPORT.serializer("application/offset+octet-stream")
def _bytes(context: Any, value: Any) -> dict[str, Any]:
    return {"data": value if isinstance(value, bytes) else str(value).encode()}
