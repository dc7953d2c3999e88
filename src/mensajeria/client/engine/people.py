"""Contacts: from what a server serves to what may be used, and what a change of identity means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from mensajeria.client.api import Trust
from mensajeria.client.errors import SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.devices import (
    DeviceListError,
    ListForkError,
    ListRollbackError,
    MissingListsError,
    PinnedList,
    UnsupportedListError,
    VerifiedList,
    decode_device_list,
    decode_identity,
    device_list_hash,
    verify_device_list,
)
from mensajeria.protocol.ids import Idfp, Uid
from mensajeria.protocol.records import Signed


@dataclass(frozen=True, slots=True)
class Served:
    """A user's keys as the server served them: nothing of it is believed yet."""

    uid: bytes
    identity: bytes
    device_list: Signed


@lru_cache(maxsize=512)
def _list_of(identity: bytes, idfp: bytes, body: bytes) -> VerifiedList:
    devices = decode_device_list(body)
    by_did = {device.did: device for device in devices.devices}
    return VerifiedList(decode_identity(identity), idfp, devices, body, device_list_hash(body), by_did)


def verified_list(contact: Contact) -> VerifiedList:
    """The stored list of a contact: it was verified before it was stored, and the store is authenticated."""
    return _list_of(contact.identity, contact.idfp, contact.list_body)


def list_of(tx: Tx, uid: bytes) -> VerifiedList | None:
    """The newest verified list of a user, None when nothing of them is known."""
    contact = tx.contacts.get(Uid(uid))
    return None if contact is None else verified_list(contact)


def verify_served(served: Served, known: Contact | None, between: Sequence[bytes] = ()) -> VerifiedList:
    """Judge served keys against what is pinned.

    Raises:
        MissingListsError: the bodies between the pinned and the served version are needed.
        SecurityError: list_invalid, list_rolled_back or list_forked.
        UnsupportedListError: written by a newer program.
    """
    pinned = None if known is None else PinnedList(known.list_ver, known.list_hash)
    try:
        return verify_device_list(served.device_list, served.identity, uid=served.uid, pinned=pinned, between=between)
    except (MissingListsError, UnsupportedListError):
        raise
    except ListRollbackError as error:
        raise SecurityError("list_rolled_back", str(error), params=_who(known)) from error
    except ListForkError as error:
        raise SecurityError("list_forked", str(error), params=_who(known)) from error
    except DeviceListError as error:
        raise SecurityError("list_invalid", str(error), params=_who(known)) from error


def _who(known: Contact | None) -> dict[str, str]:
    return {"handle": known.handle if known is not None else "?"}


def new_contact(verified: VerifiedList, served: Served, now_ms: int) -> Contact:
    """A user met for the first time: trust on first use."""
    return Contact(
        uid=Uid(verified.uid),
        handle=verified.handle,
        identity=served.identity,
        idfp=Idfp(verified.idfp),
        list_ver=verified.ver,
        list_hash=verified.hash,
        list_body=verified.body,
        list_sig=served.device_list.sig,
        updated_ms=now_ms,
    )


def updated_contact(
    known: Contact, verified: VerifiedList, served: Served, now_ms: int, *, moved: bool = False
) -> Contact:
    """The contact with its newer list. A changed identity lowers trust, and blocks sending if it had been verified.

    `moved`: the known identity has proven that this one follows it, so it counts for as much.
    """
    fresh = replace(
        new_contact(verified, served, now_ms),
        trust=known.trust,
        announced_ver=known.announced_ver,
        sending_blocked=known.sending_blocked,
        former_idfp=known.former_idfp,
    )
    if verified.idfp == known.idfp or moved:
        return fresh
    blocked = known.sending_blocked or known.trust.is_verified
    return replace(fresh, trust=Trust.CHANGED, sending_blocked=blocked, former_idfp=known.idfp)
