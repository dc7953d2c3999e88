"""Looks for secrets in everything that somebody holds, in every form in which a program might write them down."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SHORTEST = 8
"""Bytes that a form must have to count: fewer would be found by chance."""


def forms(secret: bytes) -> dict[str, bytes]:
    """A secret as it is, in base64 (both alphabets, at each alignment), hexadecimal and UTF-16."""
    found = {"raw": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for shift in range(3):
        # Of each group of four characters only those that depend on nothing but the secret.
        text = base64.b64encode(bytes(shift) + secret)
        first = -(-shift * 8 // 6)
        last = (shift + len(secret)) * 8 // 6
        found[f"base64+{shift}"] = text[first:last]
        found[f"base64url+{shift}"] = text[first:last].translate(bytes.maketrans(b"+/", b"-_"))
    try:
        text16 = secret.decode()
    except UnicodeDecodeError:
        text16 = secret.hex()
    found["utf-16-le"], found["utf-16-be"] = text16.encode("utf-16-le"), text16.encode("utf-16-be")
    if len(secret) == 32 or not secret.isascii():
        found["numbers"] = ",".join(map(str, secret)).encode()  # a list in JSON
        found["escaped"] = json.dumps(text16).strip('"').encode() if text16 != secret.hex() else secret.hex().encode()
    return {name: form for name, form in found.items() if len(form) >= SHORTEST}


def leaks(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """(secret, form, place) of everything that was found."""
    every = {name: forms(secret) for name, secret in secrets.items()}
    return [
        (name, form, place)
        for place, held in places.items()
        for name, shapes in every.items()
        for form, shape in shapes.items()
        if shape in held
    ]


def files_of(folder: Path, *, but: Iterable[str] = ()) -> dict[str, bytes]:
    """Every file below a folder: the database, its write-ahead log, secret files, whatever was left."""
    skipped = set(but)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in skipped
    }


# ------------------------------------------------------------------------------------- private keys out of a pickle


def unpickled(pickle: str, key: bytes) -> Any:
    """What vodozemac keeps of an account or a session: AES-256-CBC under keys derived from the pickle key."""
    derived = HKDF(hashes.SHA256(), 80, salt=None, info=b"Pickle").derive(key)
    sealed = base64.b64decode(pickle + "=" * (-len(pickle) % 4))[:-8]
    opening = Cipher(algorithms.AES(derived[:32]), modes.CBC(derived[64:])).decryptor()
    padded = opening.update(sealed) + opening.finalize()
    return json.loads(padded[: -padded[-1]])


def numbers_in(value: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Private byte strings of an unpickled value, with the way to them."""
    if isinstance(value, list) and len(value) >= 32 and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        yield path, bytes(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "public" not in name:
                yield from numbers_in(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from numbers_in(inner, f"{path}/{number}")


def device_secrets(state: bytes) -> dict[str, bytes]:
    """Private keys in a stored device: identity, one-time and fallback keys, hybrid prekeys."""
    record = msgspec.msgpack.decode(state)
    found = dict(numbers_in(unpickled(record["account"], record["pickle_key"])))
    assert len(found) >= 50, "the device's keys were not found"
    found["pickle key"] = record["pickle_key"]
    for prekey in record["prekeys"]:
        found[f"hybrid seed {prekey['prekey_id']}"] = prekey["material"][:64]
        found[f"hybrid x25519 {prekey['prekey_id']}"] = prekey["material"][64:]
    return found


def session_secrets(state: bytes) -> dict[str, bytes]:
    """The ratchet of an outbound sender session."""
    record = msgspec.msgpack.decode(state)
    return dict(numbers_in(unpickled(record["pickle"], record["pickle_key"])))
