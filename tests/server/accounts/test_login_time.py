"""How long the answer to the first message of a login takes tells nothing about whether the handle exists."""

from __future__ import annotations

import random
import secrets
import statistics
import time

import pytest
from opaque_snake import OpaqueServer

from mensajeria.crypto.password import password_proof
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.server.accounts.opaque import PasswordVerifier, make_decoy

DIFFERENCE_S = 5e-6
ROUNDS = 5
SAMPLES = 400


@pytest.mark.slow
def test_the_decoy_takes_as_long_as_a_record() -> None:
    """Interleaved, medians. The machine may be busy: one quiet round of some shows it; a real difference is in all."""
    setup = Secret(OpaqueServer().export_setup())
    verifier = PasswordVerifier(setup)
    records = {"known": make_decoy(setup), "unknown": make_decoy(setup)}
    ke1 = password_proof(SUITE_PASSWORD).start_login(Secret(secrets.token_hex(32).encode())).ke1

    def difference() -> float:
        took: dict[str, list[float]] = {handle: [] for handle in records}
        for _ in range(SAMPLES):
            for handle in random.sample(sorted(records), 2):
                began = time.perf_counter()
                verifier.challenge(ke1, handle, records[handle])
                took[handle].append(time.perf_counter() - began)
        return abs(statistics.median(took["known"]) - statistics.median(took["unknown"]))

    assert min(difference() for _ in range(ROUNDS)) < DIFFERENCE_S
    verifier.close()
