"""Whom one follows to a new identity, and whom not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from dataclasses import replace as with_fields

import pytest
from msgspec.structs import replace

from mensajeria.client.api import Trust
from mensajeria.client.engine.identity_moves import follows
from mensajeria.client.engine.people import Served, new_contact, updated_contact
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import VerifiedList, verify_device_list
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import Signed, SuccessionProof
from mensajeria.protocol.signing import Ctx

NOW = 1_790_000_000_000


@dataclass
class Mover:
    """Somebody whose identity moves twice, and what there is to steal."""

    uid: bytes
    code: RecoveryCode
    identities: list[Identity]
    lists: list[VerifiedList]
    contact: Contact

    def proof(self, old: int, new: int) -> bytes:
        return self.identities[old].succession(self.identities[new].record, self.code, NOW)


@pytest.fixture(scope="module")
def mover() -> Mover:
    uid, code = os.urandom(16), RecoveryCode.generate()
    identities = [AccountRoot.generate(ver).identity(uid, code.public) for ver in (1, 2, 3)]
    device = DeviceKeys.create(uid)
    signed = identities[0].first_list("bruno", device.card(identities[0].idfp, NOW), NOW)
    lists = [verify_device_list(signed, identities[0].record, uid=uid)]
    contact = new_contact(lists[0], Served(uid, identities[0].record, signed), NOW)
    for identity in identities[1:]:
        signed = identity.take_over(lists[-1], device.card(identity.idfp, NOW), NOW)
        lists.append(verify_device_list(signed, identity.record, uid=uid, pinned=lists[-1].pin))
    return Mover(uid, code, identities, lists, contact)


def test_a_chain_of_proofs_is_followed(mover: Mover) -> None:
    assert follows(mover.uid, mover.contact, mover.lists[1], [mover.proof(0, 1)])
    assert follows(mover.uid, mover.contact, mover.lists[2], [mover.proof(0, 1), mover.proof(1, 2)])


@pytest.mark.parametrize(
    "lie",
    [
        "nothing",
        "a hole",
        "turned round",
        "too far",
        "another code",
        "another identity",
        "from elsewhere",
        "altered",
        "noise",
        "somebody else's",
    ],
)
def test_only_a_proof_from_the_known_identity_to_the_served_one_counts(mover: Mover, lie: str) -> None:
    uid, code = mover.uid, mover.code
    good = decode_record(SuccessionProof, mover.proof(0, 1))
    forger = AccountRoot.generate().identity(uid, code.public)
    other = os.urandom(16)
    elsewhere = AccountRoot.generate().identity(other, code.public)
    following = AccountRoot.generate(2).identity(other, code.public)
    proofs = {
        "nothing": [],
        "a hole": [mover.proof(1, 2)],
        "turned round": [mover.proof(1, 0)],
        "too far": [mover.proof(0, 1), mover.proof(1, 2)],
        "another code": [mover.identities[0].succession(mover.identities[1].record, RecoveryCode.generate(), NOW)],
        "another identity": [encode(replace(good, sig_identity=forger.sign(Ctx.IDENTITY_SUCCESSION, good.body)))],
        "from elsewhere": [forger.succession(mover.identities[1].record, code, NOW)],
        "altered": [encode(replace(good, sig_recovery=bytes(64)))],
        "noise": [b"", os.urandom(99)],
        "somebody else's": [elsewhere.succession(following.record, code, NOW)],
    }[lie]
    assert not follows(uid, mover.contact, mover.lists[1], proofs)


@pytest.mark.parametrize(("moved", "trust", "blocked"), [(True, Trust.VERIFIED, False), (False, Trust.CHANGED, True)])
def test_trust_goes_along_with_a_proven_move_only(mover: Mover, *, moved: bool, trust: Trust, blocked: bool) -> None:
    known = with_fields(mover.contact, trust=Trust.VERIFIED)
    served = Served(mover.uid, mover.identities[1].record, Signed(mover.lists[1].body, b""))
    fresh = updated_contact(known, mover.lists[1], served, NOW, moved=moved)
    assert (fresh.trust, fresh.sending_blocked) == (trust, blocked)
