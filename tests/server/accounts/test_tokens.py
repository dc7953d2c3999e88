"""Access tokens: eight ways to forge one, and what ends a good one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.ids import b64
from mensajeria.protocol.signing import verify_ed25519_bytes
from mensajeria.server.accounts import tokens as module
from mensajeria.server.accounts.tokens import AUDIENCE, ROLLOUT_MS, AccessClaims, AccessTokens, ChannelKeySealer
from mensajeria.server.db.schema import SUSPENDED, account, device
from mensajeria.server.keyfiles import FormerKey
from mensajeria.server.state import Server
from tests.server.enrol import log_in, register, talk

KEY = Secret(b"k" * 32)
SERVER = b"s" * 16


def private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(KEY.reveal())


def claims(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "iss": b64(SERVER),
        "aud": AUDIENCE,
        "sub": b64(b"u" * 16),
        "did": b64(b"d" * 16),
        "cnf": {"kid": b64(b"c" * 32)},
        "jti": "1",
        "iat": 1_700_000_000,
        "exp": 1_700_000_600,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(**changes: object) -> str:
    return jwt.encode(claims(**changes), private(), algorithm="EdDSA")


def unsigned() -> str:
    return jwt.encode(claims(), "", algorithm="none")


def by_public_key_as_hmac_secret() -> str:
    public = private().public_key().public_bytes_raw()
    return jwt.encode(claims(), public, algorithm="HS256")


def by_another_key() -> str:
    return jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA")


def with_key_in_header() -> str:
    """A kid that points to a file, and a jwk of the forger's own."""
    headers = {"kid": "../../dev/null", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32))}}
    return jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=headers)


def with_changed_claims() -> str:
    head, _, signature = signed().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(sub=b64(b"x" * 16))).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def with_changed_algorithm() -> str:
    _, body, signature = signed().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


FORGERIES: dict[str, Callable[[], str]] = {
    "none": unsigned,
    "hmac-with-public-key": by_public_key_as_hmac_secret,
    "another-key": by_another_key,
    "key-in-header": with_key_in_header,
    "changed-claims": with_changed_claims,
    "changed-algorithm": with_changed_algorithm,
    "critical-extension": lambda: jwt.encode(
        claims(), private(), algorithm="EdDSA", headers={"crit": ["b64"], "b64": False}
    ),
    "header-no-object": lambda: ".".join((b64(b"[]"), *signed().split(".")[1:])),
    "four-parts": lambda: f"{signed()}.",
    "signature-spelt-otherwise": lambda: f"{signed()}=",
    "expiry-negative": lambda: signed(exp=-1),
    "cut": lambda: signed()[:-20],
    "no-signature": lambda: signed().rsplit(".", 1)[0] + ".",
    "issuer": lambda: signed(iss=b64(b"t" * 16)),
    "audience": lambda: signed(aud="other"),
    "audience-missing": lambda: signed(aud=None),
    "no-expiry": lambda: signed(exp=None),
    "expiry-text": lambda: signed(exp="1700000600"),
    "no-did": lambda: signed(did=None),
    "no-cnf": lambda: signed(cnf=None),
    "cnf-text": lambda: signed(cnf="x"),
    "empty": lambda: "",
    "garbage": lambda: "a.b.c",
    "not-ascii": lambda: "\u00f1.\u00f1.\u00f1",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_forged_tokens_are_refused(forge: Callable[[], str]) -> None:
    tokens = AccessTokens(KEY, SERVER, FakeClock())

    with pytest.raises(ProtocolError) as caught:
        tokens.check(forge())
    assert caught.value.code is Code.UNAUTHORIZED


def test_good_token_until_it_expires() -> None:
    clock = FakeClock()
    tokens = AccessTokens(KEY, SERVER, clock)
    token, expires_ms = tokens.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"c" * 32)

    assert tokens.check(token).did == b"d" * 16
    assert tokens.check(signed()).uid == b"u" * 16
    assert expires_ms == clock.now_ms() + limits.ACCESS_TOKEN_S * 1000
    clock.advance(limits.ACCESS_TOKEN_S)
    with pytest.raises(ProtocolError) as caught:
        tokens.check(token)
    assert caught.value.code is Code.TOKEN_EXPIRED


def test_any_reader_of_jwt_reads_our_tokens() -> None:
    clock = FakeClock()
    token, expires_ms = AccessTokens(KEY, SERVER, clock).issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"c" * 32)

    found = jwt.decode(
        token,
        private().public_key(),
        algorithms=["EdDSA"],
        audience=AUDIENCE,
        issuer=b64(SERVER),
        options={"verify_exp": False, "verify_iat": False},
    )

    assert (found["sub"], found["did"], found["exp"]) == (b64(b"u" * 16), b64(b"d" * 16), expires_ms // 1000)
    assert len(jwt.get_unverified_header(token)["kid"]) == 11


def test_sealed_secret_opens_only_where_it_belongs() -> None:
    sealer = ChannelKeySealer(KEY)
    sealed = sealer.seal("ck", b"did", Secret(b"secret"))

    assert sealer.unseal("ck", b"did", sealed) == Secret(b"secret")
    assert b"secret" not in sealed
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for label, owner, data in (("ck", b"other", sealed), ("refresh", b"did", sealed), ("ck", b"did", altered)):
        with pytest.raises(ProtocolError):
            sealer.unseal(label, owner, data)
    with pytest.raises(ProtocolError):
        ChannelKeySealer(Secret(b"x" * 32)).unseal("ck", b"did", sealed)
    with pytest.raises(ProtocolError):
        sealer.unseal("ck", b"did", b"")


async def refused(server: Server, token: str, did: bytes | None = None) -> Code:
    with pytest.raises(ProtocolError) as caught:
        await server.authenticator.authenticate(token, did)
    return caught.value.code


@pytest.mark.quick
async def test_new_login_ends_the_tokens_of_the_one_before(server: Server) -> None:
    ana = await register(server, "ana")
    assert ana.tokens is not None
    old = ana.tokens.access_token
    await server.authenticator.authenticate(old)

    await log_in(talk(server), ana)

    assert await refused(server, old) is Code.LOGIN_REVOKED
    await server.authenticator.authenticate(ana.tokens.access_token)


@pytest.mark.quick
async def test_token_is_for_its_device(server: Server) -> None:
    ana = await register(server, "ana")
    bruno = await register(server, "bruno")
    assert ana.tokens is not None

    assert await refused(server, ana.tokens.access_token, bruno.device.did) is Code.UNAUTHORIZED


async def test_revoked_device_and_suspended_account(server: Server, clock: FakeClock) -> None:
    """Changed by another process: noticed when the short memory is over."""
    ana = await register(server, "ana")
    bruno = await register(server, "bruno")
    assert ana.tokens is not None
    assert bruno.tokens is not None
    await server.authenticator.authenticate(ana.tokens.access_token)

    def change(connection: object) -> None:
        connection.execute(update(device).where(device.c.did == ana.device.did).values(revoked_ms=1))  # type: ignore[attr-defined]
        connection.execute(update(account).where(account.c.uid == bruno.uid).values(status=SUSPENDED))  # type: ignore[attr-defined]

    await server.db.write(change)
    clock.advance(11)

    assert await refused(server, ana.tokens.access_token) is Code.LOGIN_REVOKED
    assert await refused(server, bruno.tokens.access_token) is Code.ACCOUNT_SUSPENDED


@pytest.mark.quick
async def test_channel_key_is_not_in_the_database_in_the_clear(server: Server) -> None:
    ana = await register(server, "ana")
    assert ana.ck is not None
    async with server.db.read() as connection:
        row = (await connection.execute(device.select())).one()

    assert all(ana.ck.reveal() not in value for value in row if isinstance(value, bytes))


def rotated(clock: FakeClock) -> tuple[AccessTokens, AccessTokens]:
    """One process with the key before a rotation and one with both."""
    new, old = Secret(b"n" * 32), KEY
    return AccessTokens(old, SERVER, clock), AccessTokens(new, SERVER, clock, FormerKey(old, clock.now_ms()))


def test_former_key_signs_until_all_know_the_new_one_and_is_good_until_its_tokens_expire() -> None:
    clock = FakeClock()
    before, after = rotated(clock)
    ids = {"uid": b"u" * 16, "did": b"d" * 16, "key_id": b"k" * 32}

    early, _ = after.issue(**ids)
    assert before.check(early).uid == b"u" * 16  # a process that has not read the new key yet understands it
    clock.advance(ROLLOUT_MS / 1000)
    late, _ = after.issue(**ids)
    assert jwt.get_unverified_header(late)["kid"] != jwt.get_unverified_header(early)["kid"]
    assert after.check(early).did == after.check(late).did == b"d" * 16
    with pytest.raises(ProtocolError) as caught:
        before.check(late)
    assert caught.value.code is Code.TOKEN_EXPIRED  # refreshed, not ended
    clock.advance(limits.ACCESS_TOKEN_S - ROLLOUT_MS / 1000 - 1)
    after.check(early)


def test_stolen_former_key_makes_no_tokens_after_its_time() -> None:
    clock = FakeClock()
    before, after = rotated(clock)
    clock.advance(ROLLOUT_MS / 1000 + limits.ACCESS_TOKEN_S)

    forged, _ = before.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"k" * 32)

    with pytest.raises(ProtocolError) as caught:
        after.check(forged)
    assert caught.value.code is Code.TOKEN_EXPIRED


def test_signature_of_a_kept_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []

    def verify(key: bytes, message: bytes, signature: bytes) -> None:
        verified.append(1)
        verify_ed25519_bytes(key, message, signature)

    monkeypatch.setattr(module, "verify_ed25519_bytes", verify)
    tokens, token = AccessTokens(KEY, SERVER, FakeClock()), signed()

    assert [tokens.check(token).did for _ in range(3)] == [b"d" * 16] * 3
    assert verified == [1]


def test_token_that_was_made_here_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device comes with what it has just been given."""
    tokens = AccessTokens(KEY, SERVER, FakeClock())
    token, expires_ms = tokens.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"c" * 32)
    expected = AccessTokens(KEY, SERVER, FakeClock()).check(token)
    monkeypatch.setattr(module, "verify_ed25519_bytes", lambda *_: pytest.fail("verified"))

    assert tokens.check(token) == expected == AccessClaims(b"u" * 16, b"d" * 16, b"c" * 32, expires_ms)


def test_token_that_was_made_here_with_a_key_now_gone_is_refused() -> None:
    tokens = AccessTokens(KEY, SERVER, FakeClock())
    token, _ = tokens.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"c" * 32)
    tokens.use(Secret(b"n" * 32), None)

    with pytest.raises(ProtocolError) as error:
        tokens.check(token)
    assert error.value.code is Code.TOKEN_EXPIRED


def test_kept_token_ends_when_it_expires() -> None:
    clock = FakeClock()
    tokens = AccessTokens(KEY, SERVER, clock)
    token, expires_ms = tokens.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"k" * 32)
    tokens.check(token)
    clock.advance((expires_ms - clock.now_ms()) / 1000)

    with pytest.raises(ProtocolError) as caught:
        tokens.check(token)
    assert caught.value.code is Code.TOKEN_EXPIRED


def test_kept_token_of_the_former_key_ends_with_that_key_whatever_it_says() -> None:
    clock = FakeClock()
    before, after = rotated(clock)
    headers = jwt.get_unverified_header(before.issue(uid=b"u" * 16, did=b"d" * 16, key_id=b"k" * 32)[0])
    long = jwt.encode(claims(exp=clock.now_ms() // 1000 + 10**6), private(), algorithm="EdDSA", headers=headers)
    after.check(long)
    clock.advance(ROLLOUT_MS / 1000 + limits.ACCESS_TOKEN_S)

    with pytest.raises(ProtocolError):
        after.check(long)


def test_kept_token_is_forgotten_with_its_key() -> None:
    clock = FakeClock()
    tokens, token = AccessTokens(KEY, SERVER, clock), signed()
    tokens.check(token)
    tokens.use(Secret(b"n" * 32), None)

    with pytest.raises(ProtocolError):
        tokens.check(token)


def test_only_so_many_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    tokens = AccessTokens(KEY, SERVER, FakeClock())
    for number in range(5):
        tokens.check(signed(jti=str(number)))

    assert len(tokens._kept) == 2


def test_sealer_opens_what_the_former_key_sealed_and_seals_with_the_new_one() -> None:
    old, new = Secret(b"o" * 32), Secret(b"n" * 32)
    sealed = ChannelKeySealer(old).seal("ck", b"did", Secret(b"x" * 32))
    both = ChannelKeySealer(new, old)

    assert both.unseal("ck", b"did", sealed) == Secret(b"x" * 32)
    again = both.seal("ck", b"did", Secret(b"x" * 32))
    assert ChannelKeySealer(new).unseal("ck", b"did", again) == Secret(b"x" * 32)
    for label, owner in (("refresh", b"did"), ("ck", b"other")):
        with pytest.raises(ProtocolError):
            both.unseal(label, owner, sealed)
