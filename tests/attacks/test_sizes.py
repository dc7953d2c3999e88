"""What a server can measure: no row and no envelope has a size that tells more than its bucket."""

from __future__ import annotations

import os

from mensajeria.crypto.message import decode_outer, seal_message
from mensajeria.protocol import limits
from tests.crypto.people import NOW, DirectChat, Person, envelope

LARGEST = 20_000


def allowed() -> set[int]:
    """Multiples of 64 up to 1 KiB; above, numbers whose last bits are zero (docs/protocol/e2ee.md §3)."""
    found = set(range(64, 1025, 64))
    for size in range(1025, 2 * LARGEST):
        bits = size.bit_length() - 1
        if size % (1 << (bits - bits.bit_length())) == 0:
            found.add(size)
    return found


def encrypted_bytes(megolm: bytes) -> int:
    """Length of what a Megolm message encrypts, in whole blocks, from its two fields."""
    at, values = 1, []
    for _ in range(2):
        value, shift = 0, 0
        at += 1
        while True:
            byte = megolm[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                break
        values.append(value)
    assert len(megolm) == at + values[1] + 8 + 64, "index, ciphertext, MAC and signature, and nothing else"
    return values[1]


def test_a_row_has_one_of_the_allowed_sizes() -> None:
    """Texts that zstd shortens and texts that it does not."""
    chat, sizes = DirectChat(Person("ana"), Person("bruno")), set()
    for length in (*range(1, 1200, 7), *range(1200, LARGEST, 477)):
        for text in ("a" * length, os.urandom(length).hex()[:length]):
            row = seal_message(chat.outbound, chat.draft(text), now_ms=NOW, epoch=0).outer
            sizes.add(encrypted_bytes(decode_outer(row).ct) - 16)  # the cipher adds a whole block to whole blocks
    assert sizes <= allowed()
    assert 30 < len(sizes) < 80


def test_an_envelope_has_one_of_three_sizes() -> None:
    ana, bruno = Person("ana"), Person("bruno")
    peer, sizes = envelope(ana, bruno).peer, set()
    for length in range(0, 15_000, 211):
        sizes.add(len(envelope(ana, bruno, bytes(length), peer=peer, new_session=False).blob))
    assert len(sizes) == len(limits.TODEVICE_BUCKETS)
