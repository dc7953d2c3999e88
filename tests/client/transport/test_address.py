"""Addresses as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.errors import InputError
from mensajeria.client.transport.address import parse_address


@pytest.mark.parametrize(
    ("typed", "url", "ws"),
    [
        ("chat.example.org", "https://chat.example.org", "wss://chat.example.org/ws"),
        ("https://chat.example.org:443/", "https://chat.example.org", "wss://chat.example.org/ws"),
        ("chat.example.org:8443", "https://chat.example.org:8443", "wss://chat.example.org:8443/ws"),
        ("https://example.org/chat/", "https://example.org/chat", "wss://example.org/chat/ws"),
        ("localhost:8000", "http://localhost:8000", "ws://localhost:8000/ws"),
        ("127.0.0.1:80", "http://127.0.0.1", "ws://127.0.0.1/ws"),
        ("http://[::1]:9000", "http://[::1]:9000", "ws://[::1]:9000/ws"),
        ("https://localhost", "https://localhost", "wss://localhost/ws"),
        ("  CHAT.Example.org ", "https://chat.example.org", "wss://chat.example.org/ws"),
        ("ñandú.example", "https://xn--and-6ma2c.example", "wss://xn--and-6ma2c.example/ws"),
    ],
)
def test_forms(typed: str, url: str, ws: str) -> None:
    address = parse_address(typed)
    assert (address.url, address.websocket("/ws")) == (url, ws)


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "ftp://a.example", "https://", "a b", "https://u:p@a.example", "a.example?x", "a.example#x", "x:99999",
     "http://[::1", "a" * 400, "\x00"],
)  # fmt: skip
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(typed)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    "typed", ["http://chat.example.org", "http://192.168.1.5:8000", "http://127.0.0.1.evil.example"]
)
def test_plain_http_leaves_this_machine_only_on_request(typed: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(typed)
    assert caught.value.code == "insecure_address"
    assert not parse_address(typed, insecure_http=True).secure


@given(st.text(max_size=60))
def test_any_text_gives_an_address_or_the_declared_error(typed: str) -> None:
    try:
        address = parse_address(typed)
    except InputError as error:
        assert error.code in {"bad_address", "insecure_address"}  # noqa: PT017
    else:
        assert parse_address(address.url, insecure_http=True) == address
