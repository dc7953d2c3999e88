"""Who this client is, and what every part of it shares."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.engine.people import verified_list
from mensajeria.client.errors import ProfileError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import Did, ServerId, Uid
from mensajeria.protocol.records import DeviceAddress, SenderAddress

SETTINGS_KEY = "settings_key"
"""Name of SSK_n among the store's own keys; BACKUP_KEY of BK_n."""
BACKUP_KEY = "backup_key"


def earlier_settings_key(version: int) -> str:
    """Name of an SSK from before a revocation: what was written under it can still be deleted for all."""
    return f"{SETTINGS_KEY}:{version}"


@dataclass(frozen=True, slots=True)
class Me:
    """This device of this user on this server."""

    server_id: ServerId
    uid: Uid
    did: Did
    handle: str
    clock: Clock

    def contact(self, tx: Tx) -> Contact:
        """The own row among the contacts. Raises ProfileError."""
        contact = tx.contacts.get(self.uid)
        if contact is None:
            raise ProfileError("profile_damaged", "the own identity is missing")
        return contact

    def verified(self, tx: Tx) -> VerifiedList:
        """The own newest list."""
        return verified_list(self.contact(tx))

    def device(self, tx: Tx) -> DeviceKeys:
        """This device's keys as they stand in this transaction. Raises ProfileError."""
        state = tx.own.device()
        if state is None:
            raise ProfileError("profile_damaged", "the device keys are missing")
        return DeviceKeys.load(state)

    def settings_key(self, tx: Tx) -> Secret:
        """SSK_n of the newest backup version. Raises ProfileError."""
        key = tx.own.get(SETTINGS_KEY)
        if key is None:
            raise ProfileError("profile_damaged", "the settings key is missing")
        return key

    def settings_keys(self, tx: Tx) -> tuple[Secret, ...]:
        """SSK_n and the earlier ones that are kept here, newest first. Raises ProfileError."""
        version = self.verified(tx).list.backup_ver
        earlier = (tx.own.get(earlier_settings_key(n)) for n in range(version - 1, 0, -1))
        return (self.settings_key(tx), *(key for key in earlier if key is not None))

    def address(self, tx: Tx) -> DeviceAddress:
        """Where envelopes to this device go."""
        return DeviceAddress(uid=self.uid, did=self.did, idfp=self.contact(tx).idfp)

    def sender(self, tx: Tx) -> SenderAddress:
        """What this device's envelopes say of their origin."""
        contact = self.contact(tx)
        return SenderAddress(uid=self.uid, did=self.did, idfp=contact.idfp, dl_ver=contact.list_ver)
