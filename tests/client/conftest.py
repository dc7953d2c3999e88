from __future__ import annotations

from tests.support.blocking import forbid_blocking

__all__ = ["forbid_blocking"]
