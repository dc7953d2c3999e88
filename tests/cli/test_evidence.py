from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.cli.demo.evidence import _forms, places_with, size_of
from mensajeria.cli.demo.hexdump import hexdump

SECRET = "¿Un café a las cinco?"


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
@pytest.mark.parametrize("alphabet", ["standard", "url"])
def test_a_text_is_found_in_base64_at_any_offset(before: bytes, alphabet: str) -> None:
    encode = base64.b64encode if alphabet == "standard" else base64.urlsafe_b64encode
    data = encode(before + SECRET.encode() + b"after")
    assert any(form in data for form in _forms(SECRET))


@pytest.mark.parametrize(
    "data",
    [
        SECRET.encode(),
        SECRET.encode("utf-16-le"),
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
    ],
    ids=["raw", "utf-16", "hex", "hex-upper"],
)
def test_a_text_is_found_in_a_file_in_any_form(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\x00\xff" + data + b"\x01")
    (tmp_path / "clean").write_bytes(b"nothing here")
    assert places_with(tmp_path, SECRET) == [tmp_path / "deep" / "file"]
    assert size_of(tmp_path) == len(data) + 3 + len(b"nothing here")


def test_a_hexdump_shows_offset_bytes_and_characters() -> None:
    lines = list(hexdump(b"Hola\x00\xff" + bytes(range(0x41, 0x4C)), lines=4))
    assert lines[0].startswith("0000  48 6f 6c 61 00 ff 41 42  43 44 45 46 47 48 49 4a  Hola··ABCDEFGHIJ")
    assert lines[1].split() == ["0010", "4b", "K"]


@given(st.binary(max_size=200), st.integers(0, 20))
def test_a_hexdump_loses_no_byte_it_has_room_for(data: bytes, lines: int) -> None:
    dumped = b"".join(bytes.fromhex(line[6:54]) for line in hexdump(data, lines=lines))
    assert dumped == data[: lines * 16]
