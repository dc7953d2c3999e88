"""Loaded by schemathesis itself: signs its requests as real devices do.

The people come from the file that MENSAJERIA_TEST_PEOPLE names, one JSON object per line: token and channel key. Each
signs some hundred requests, then the next: a single one would soon be refused by the rate limit of its device.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path
from typing import Any

import requests
import schemathesis
from requests.auth import AuthBase

from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac

REQUESTS_EACH = 250
_lines = Path(os.environ["MENSAJERIA_TEST_PEOPLE"]).read_text(encoding="utf-8").splitlines()
_people = [json.loads(line) for line in _lines]
_keys = {f"Bearer {one['token']}": rest_key(bytes.fromhex(one["ck"])) for one in _people}
_counter = itertools.count(1)
_used = itertools.count()
_lock = threading.Lock()


class Mac(AuthBase):
    """Sees the request exactly as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign it, if it carries one of our tokens and no MAC of somebody's own making."""
        key = _keys.get(_text(request.headers.get("Authorization", "")))
        if key is not None and not request.headers.get(MAC_HEADER):
            body = request.body or b""
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
        with _lock:
            turn = next(_used) // REQUESTS_EACH
        return str(_people[turn % len(_people)]["token"])

    def set(self, case: Any, data: str, context: Any) -> None:
        """Put it where the API wants it."""
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let the last step sign."""
    kwargs["auth"] = Mac()
