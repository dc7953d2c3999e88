"""Comparing emoji, as a state machine: what arrives goes in, what is to be done comes out. Nothing here is stored.

starter: asked → sent its key → comparing → confirmed → done
accepter: committed → comparing → confirmed → done
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mensajeria.crypto.sas import Agreement, Party, SasError, SasKeys, commitment, is_committed
from mensajeria.protocol.records_trust import ACCEPT, CANCEL, KEY, MAC, REQUEST, Verify

LIFE_MS: Final = 10 * 60_000
"""From the request to the end, for both people together."""
TIMEOUT: Final = "timeout"
MISMATCH: Final = "mismatch"
BY_PERSON: Final = "by_person"
OUT_OF_ORDER: Final = "out_of_order"
BAD_KEY: Final = "bad_key"
BAD_COMMIT: Final = "bad_commit"
BAD_MAC: Final = "bad_mac"
OTHER_DEVICE: Final = "other_device"
IDENTITY: Final = "identity"
REASONS: Final = frozenset(
    {TIMEOUT, MISMATCH, BY_PERSON, OUT_OF_ORDER, BAD_KEY, BAD_COMMIT, BAD_MAC, OTHER_DEVICE, IDENTITY}
)
ATTACKS: Final = frozenset({MISMATCH, BAD_KEY, BAD_COMMIT, BAD_MAC})
"""Ends that nobody's slip explains."""


class Step(Enum):
    """Where this side stands."""

    ASKED = auto()
    KEY_SENT = auto()
    COMMITTED = auto()
    COMPARING = auto()
    CONFIRMED = auto()
    DONE = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Send:
    """A step for the other side's device; `did` None: for every device of the person."""

    did: bytes | None
    message: Verify
    but: bytes | None = None
    """Of all devices, not this one."""


@dataclass(frozen=True, slots=True)
class Show:
    """The person is to compare these."""

    emoji: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """Both have confirmed: this identity is that person's."""

    uid: bytes
    idfp: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over without a result. `by_me`: this side ended it."""

    reason: str
    by_me: bool


Effect = Send | Show | Verified | Ended


class Comparison:
    """One comparison with one person. `begin` or `accept` makes it."""

    def __init__(self, server_id: bytes, vid: bytes, me: Party, uid: bytes, idfp: bytes, now_ms: int) -> None:
        self._server_id = server_id
        self.vid = vid
        self._me = me
        self.uid = uid
        self.idfp = idfp
        self.deadline_ms = now_ms + LIFE_MS
        self._keys = SasKeys()
        self._other: Party | None = None
        self._commit = b""
        self._agreement: Agreement | None = None
        self._they_confirmed = False
        self.step = Step.ASKED

    @classmethod
    def begin(
        cls, server_id: bytes, vid: bytes, me: Party, uid: bytes, idfp: bytes, now_ms: int
    ) -> tuple[Comparison, list[Effect]]:
        """Ask a person, on all their devices."""
        made = cls(server_id, vid, me, uid, idfp, now_ms)
        return made, [Send(None, Verify(vid=vid, step=REQUEST))]

    @classmethod
    def accept(
        cls, server_id: bytes, vid: bytes, me: Party, other: Party, now_ms: int
    ) -> tuple[Comparison, list[Effect]]:
        """Answer the request that `other` has sent."""
        made = cls(server_id, vid, me, other.uid, other.idfp, now_ms)
        made._other = other
        made.step = Step.COMMITTED
        return made, [made._send(ACCEPT, commitment(vid, other, me, made._keys.public))]

    @property
    def is_over(self) -> bool:
        """Nothing will follow."""
        return self.step in {Step.DONE, Step.ENDED}

    @property
    def emoji(self) -> tuple[int, ...]:
        """What is to be compared; empty before that."""
        return () if self._agreement is None else self._agreement.emoji

    def received(self, sender: Party, message: Verify, now_ms: int) -> list[Effect]:
        """A step from a device of the person. From elsewhere, or after the end, it has no effect."""
        if self.is_over or message.vid != self.vid or sender.uid != self.uid:
            return []
        if self._other is not None and sender != self._other:
            return []
        if now_ms >= self.deadline_ms:
            return self.end(TIMEOUT)
        if sender.idfp != self.idfp:
            return self.end(IDENTITY)
        if message.step == CANCEL:
            return self._cancelled(message)
        return self._proceed(sender, message)

    def _proceed(self, sender: Party, message: Verify) -> list[Effect]:
        match self.step, message.step:
            case (Step.ASKED, "accept"):
                return self._accepted(sender, message.data)
            case (Step.COMMITTED, "key"):
                return self._agree(message.data, starter_key=message.data, accepter_key=self._keys.public)
            case (Step.KEY_SENT, "key"):
                return self._revealed(message.data)
            case (Step.COMPARING | Step.CONFIRMED, "mac"):
                return self._their_mac(message.data)
            case _:
                return self.end(OUT_OF_ORDER)

    def confirm(self, now_ms: int) -> list[Effect]:
        """The person says that both see the same. Without effect unless there is something to compare."""
        if now_ms >= self.deadline_ms and not self.is_over:
            return self.end(TIMEOUT)
        if self.step is not Step.COMPARING or self._agreement is None:
            return []
        self.step = Step.CONFIRMED
        return [self._send(MAC, self._agreement.mac(self._me)), *self._both()]

    def end(self, reason: str) -> list[Effect]:
        """This side ends it, and says so."""
        if self.is_over:
            return []
        self.step = Step.ENDED
        did = None if self._other is None else self._other.did
        return [Send(did, Verify(vid=self.vid, step=CANCEL, data=reason.encode("ascii"))), Ended(reason, by_me=True)]

    def look(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        return self.end(TIMEOUT) if now_ms >= self.deadline_ms else []

    # --- steps ---

    def _accepted(self, sender: Party, commit: bytes) -> list[Effect]:
        self._other, self._commit, self.step = sender, commit, Step.KEY_SENT
        elsewhere = Verify(vid=self.vid, step=CANCEL, data=OTHER_DEVICE.encode("ascii"))
        return [self._send(KEY, self._keys.public), Send(None, elsewhere, but=sender.did)]

    def _revealed(self, key: bytes) -> list[Effect]:
        assert self._other is not None
        if not is_committed(self._commit, self.vid, self._me, self._other, key):
            return self.end(BAD_COMMIT)
        return self._agree(key, starter_key=self._keys.public, accepter_key=key)

    def _agree(self, other_key: bytes, *, starter_key: bytes, accepter_key: bytes) -> list[Effect]:
        assert self._other is not None
        is_accepter = self.step is Step.COMMITTED
        starter, accepter = (self._other, self._me) if is_accepter else (self._me, self._other)
        try:
            sas = self._keys.agree(other_key)
        except SasError:
            return self.end(BAD_KEY)
        self._agreement = Agreement.of(
            sas,
            server_id=self._server_id,
            vid=self.vid,
            starter=starter,
            accepter=accepter,
            starter_key=starter_key,
            accepter_key=accepter_key,
        )
        self.step = Step.COMPARING
        reveal = [self._send(KEY, self._keys.public)] if is_accepter else []
        return [*reveal, Show(self._agreement.emoji)]

    def _their_mac(self, mac: bytes) -> list[Effect]:
        assert self._agreement is not None
        assert self._other is not None
        if self._they_confirmed:
            return self.end(OUT_OF_ORDER)
        if not self._agreement.has_confirmed(self._other, mac):
            return self.end(BAD_MAC)
        self._they_confirmed = True
        return self._both()

    def _both(self) -> list[Effect]:
        if self.step is not Step.CONFIRMED or not self._they_confirmed:
            return []
        self.step = Step.DONE
        return [Verified(self.uid, self.idfp)]

    def _cancelled(self, message: Verify) -> list[Effect]:
        self.step = Step.ENDED
        reason = message.data.decode("ascii")
        return [Ended(reason if reason in REASONS else BY_PERSON, by_me=False)]

    def _send(self, step: str, data: bytes) -> Send:
        assert self._other is not None
        return Send(self._other.did, Verify(vid=self.vid, step=step, data=data))
