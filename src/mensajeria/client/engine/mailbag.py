"""What sealing a slice of letters reads and writes, in few statements: a group's key goes to hundreds of devices.

A statement of the encrypted store costs as much as a pairwise encryption, so rows are read before the first letter
and written after the last one. Nothing of it outlives the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import OutgoingEnvelope, Share
from mensajeria.crypto.olm import OlmPeer
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import Did, SessionId, Uid
from mensajeria.protocol.records import ListedDevice


class Mailbag:
    """One slice's people, pairwise states and cached prekeys; and what has become of them."""

    def __init__(self, tx: Tx, uids: Sequence[Uid], dids: Sequence[Did]) -> None:
        self._tx = tx
        self._lists = {contact.uid: verified_list(contact) for contact in tx.contacts.some(uids)}
        self._rows = {row.did: row.state for row in tx.olm.some(dids)}
        self._prekeys = tx.meta.some([pq_name(did) for did in dids])
        self._peers: dict[Did, tuple[Uid, OlmPeer]] = {}
        self._envelopes: list[OutgoingEnvelope] = []
        self._shares: list[tuple[SessionId, Share]] = []

    def list_of(self, uid: Uid) -> VerifiedList | None:
        """The newest verified list."""
        return self._lists.get(uid)

    def prekey(self, did: Did) -> bytes | None:
        """The hybrid prekey that was kept when it was verified, as it was signed."""
        return self._prekeys.get(pq_name(did))

    def peer(self, listed: ListedDevice) -> OlmPeer:
        """The pairwise state with a device; anew when the device is listed under another key now."""
        did = Did(listed.did)
        if did in self._peers:
            known: OlmPeer | None = self._peers[did][1]
        else:
            known = OlmPeer.load(self._rows[did]) if did in self._rows else None
        if known is not None and known.curve25519 == listed.curve25519:
            return known
        return OlmPeer.new(listed.did, listed.curve25519)

    def put(self, peer: OlmPeer, envelope: OutgoingEnvelope) -> None:
        """An envelope, and the state that it leaves behind."""
        self._peers[envelope.did] = (envelope.uid, peer)
        self._envelopes.append(envelope)

    def note(self, session_id: SessionId | None, share: Share) -> None:
        """What became of a session's key for one device."""
        if session_id is not None:
            self._shares.append((session_id, share))

    def close(self) -> None:
        """Write everything down."""
        self._tx.olm.put_all([(did, uid, peer.dump()) for did, (uid, peer) in self._peers.items()])
        self._tx.envelopes.queue_all(self._envelopes)
        self._tx.outbound.put_shares(self._shares)


def pq_name(did: Did) -> str:
    """Meta value: the newest hybrid prekey of a device, signed."""
    return f"pq:{did.hex()}"
