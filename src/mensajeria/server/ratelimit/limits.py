"""Every rate limit of the server, once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from mensajeria.protocol import limits


@dataclass(frozen=True, slots=True, eq=False)  # two limits with equal numbers stay two limits
class Bucket:
    """A token bucket: `burst` at once, `per_hour` in the long run.

    `fail_open`: what happens when the store of a shared limiter does not answer. Closed where a limit guards a secret.
    """

    burst: int
    per_hour: float
    fail_open: bool


@unique
class Limit(Enum):
    """The table. The name is what a 429 tells the caller."""

    # The first OPAQUE message is limited because a wrong guess never sends the last one.
    LOGIN_HANDLE_NETWORK = Bucket(10, 30, fail_open=False)
    LOGIN_HANDLE = Bucket(50, 100, fail_open=False)
    LOGIN_KNOWN_DEVICE = Bucket(30, 60, fail_open=False)
    LOGIN_NETWORK = Bucket(100, 600, fail_open=False)
    REGISTER_NETWORK = Bucket(20, 20, fail_open=False)
    INVITE_NETWORK = Bucket(20, 60, fail_open=False)
    # A recovery code cannot be guessed: these bound the work, and how fast names can be tried.
    RECOVERY_NETWORK = Bucket(30, 90, fail_open=False)
    RECOVERY_HANDLE = Bucket(20, 30, fail_open=False)
    CHANGE_ACCOUNT = Bucket(12, 30, fail_open=False)
    INVITE_CREATE_ACCOUNT = Bucket(20, 40, fail_open=False)
    CHECK_HANDLE_NETWORK = Bucket(60, 240, fail_open=False)
    REFRESH_DEVICE = Bucket(30, 120, fail_open=False)
    REFRESH_NETWORK = Bucket(300, 3000, fail_open=True)
    LOOKUP_HANDLE_ACCOUNT = Bucket(60, 300, fail_open=False)
    LOOKUP_KEYS_ACCOUNT = Bucket(1000, 6000, fail_open=True)
    REST_DEVICE = Bucket(300, 36_000, fail_open=True)
    LIST_ACCOUNT = Bucket(limits.MAX_LIST_VERSIONS_PER_DAY, limits.MAX_LIST_VERSIONS_PER_DAY / 24, fail_open=False)
    PREKEY_UPLOAD_DEVICE = Bucket(20, 60, fail_open=True)
    CHAT_CREATE_ACCOUNT = Bucket(60, 120, fail_open=False)
    # Removing a device is an event in every chat of the user: there may be thousands.
    MEMBER_EVENT_ACCOUNT = Bucket(2000, 4000, fail_open=True)
    ERASE_ACCOUNT = Bucket(2000, 5000, fail_open=True)
    REPORT_ACCOUNT = Bucket(10, 20, fail_open=False)
    PROFILE_ACCOUNT = Bucket(15, 60, fail_open=False)
    PROFILE_READ_ACCOUNT = Bucket(500, 3000, fail_open=True)
    UNREADABLE_DEVICE = Bucket(6, 6, fail_open=False)
    FILE_CREATE_ACCOUNT = Bucket(200, 1000, fail_open=True)
    # A step begins before its body is there to be proven, so the token's bearer counts; at most 8 MiB each.
    FILE_STEP_DEVICE = Bucket(600, 30 * 3600, fail_open=True)
    BACKUP_ACCOUNT = Bucket(400, 3000, fail_open=True)
    LOG_DEVICE = Bucket(100, 3600, fail_open=True)
    # Kept in each connection. Over the first its socket is not read for a while; over the second typing is dropped.
    FRAMES_CONNECTION = Bucket(10_000, 5000 * 3600, fail_open=True)
    TYPING_CONNECTION = Bucket(10, 2 * 3600, fail_open=True)
    # Over these two a claimer gets the fallback key, never an error.
    CLAIM_PAIR = Bucket(limits.CLAIMS_PER_HOUR_PER_PAIR, limits.CLAIMS_PER_HOUR_PER_PAIR, fail_open=False)
    CLAIM_TARGET = Bucket(limits.CLAIMS_PER_HOUR_PER_TARGET, limits.CLAIMS_PER_HOUR_PER_TARGET, fail_open=False)

    @property
    def label(self) -> str:
        """The limiter's public name."""
        return self.name.lower()
