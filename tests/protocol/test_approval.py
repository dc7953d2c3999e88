"""What approves a change covers all of it, and its bytes never change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.approval import (
    Action,
    Change,
    approval_mac,
    deletion_digest,
    password_digest,
    recovery_body,
    removal_digest,
)
from mensajeria.protocol.encoding import H, cat
from mensajeria.protocol.records import Signed

CK = Secret(b"c" * 32)
CHANGE = Change(Action.DEVICE_REMOVE, b"s" * 16, b"u" * 16, b"t" * 32, b"d" * 32)


def test_the_mac_is_that_of_the_specification() -> None:
    assert approval_mac(CK, CHANGE).hex() == "cbdc859c026b39dc7fb20628bfbc4cc2bfbc12a0dea3c267af285b50aa5d1b3e"
    assert CHANGE.body == cat(b"device-remove", b"s" * 16, b"u" * 16, b"t" * 32, b"d" * 32)


@pytest.mark.parametrize(
    "other",
    [
        replace(CHANGE, action=Action.PASSWORD_CHANGE),
        replace(CHANGE, server_id=bytes(16)),
        replace(CHANGE, uid=bytes(16)),
        replace(CHANGE, transcript=bytes(32)),
        replace(CHANGE, digest=bytes(32)),
    ],
)
def test_every_part_is_covered(other: Change) -> None:
    assert approval_mac(CK, other) != approval_mac(CK, CHANGE)
    assert approval_mac(Secret(bytes(32)), CHANGE) != approval_mac(CK, CHANGE)


def test_digests_name_their_content() -> None:
    assert password_digest(b"t", b"u", b"w") == H("password-change", b"t", b"u", b"w")
    assert removal_digest(Signed(b"body", b"sig")) == H("device-remove", b"body", b"sig")
    assert len({password_digest(b"", b"", b""), removal_digest(Signed(b"", b"")), deletion_digest()}) == 3


def test_a_recovery_s_body_is_no_change_s_body() -> None:
    body = recovery_body(
        server_id=b"s" * 16, uid=b"u" * 16, nonce=b"n" * 32, upload=b"x", wrap_password=b"p", wrap_recovery=b"r"
    )
    assert body == cat(b"s" * 16, b"u" * 16, b"n" * 32, H("upload", b"x"), H("wraps", b"p", b"r"))
    assert body[:4] not in {len(action).to_bytes(4, "big") for action in Action}
