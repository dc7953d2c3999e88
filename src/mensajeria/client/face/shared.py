"""What the account's devices share: settings, privacy, timers, and the profile that contacts see."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mensajeria.client.api import PrivacySettings, UserProfile
from mensajeria.client.engine import new_chats
from mensajeria.client.engine.shared_settings import Settings
from mensajeria.client.face.base import Face
from mensajeria.client.store.profiles import ProfileWish
from mensajeria.client.transfer.pictures import portrait


class Shared(Face):
    """What is the same on every device of the account."""

    @property
    def settings(self) -> Settings:
        """Small values that every device of the account has; sealed, also in the backup."""
        return Settings(self._context)

    async def privacy(self) -> PrivacySettings:
        """What the account's devices let others notice: read receipts, typing, presence."""
        return await self._engine.privacy.settings()

    async def set_privacy(
        self, *, read_receipts: bool | None = None, typing: bool | None = None, presence: bool | None = None
    ) -> PrivacySettings:
        """Change what is not None, for all devices of the account; what is in force then."""
        return await self._engine.privacy.change(read_receipts=read_receipts, typing=typing, presence=presence)

    async def timer_for_new_chats(self) -> int:
        """After how many seconds what is written disappears in chats that this account begins; 0 = never."""
        return await self._context.store.read(new_chats.timer_for_new)

    async def set_timer_for_new_chats(self, seconds: int) -> None:
        """Change it, on all devices of the account; chats that are there keep theirs.

        A group has it from its beginning; a direct chat with the first message, which a message of the timer precedes.
        Raises InputError (timer_invalid).
        """
        await self._context.commit(lambda tx, out: new_chats.set_timer_for_new(self._context, tx, out, seconds))

    # --- the own profile ---

    async def profile(self) -> UserProfile:
        """What the account tells its contacts about itself, as last wanted here: it may not be published yet."""
        return await self._engine.profiles.own()

    async def set_profile(
        self, *, name: str | None = None, status: str | None = None, picture: Path | bytes | None = None
    ) -> UserProfile:
        """Change what is not None; empty takes it away. What the profile says then; works offline, published later.

        `picture`: a file, of which the middle square is kept, without anything but its pixels; or the bytes of such a
        small JPEG. Contacts are told once it is published.

        Raises InputError (profile_name_invalid, profile_status_invalid, image_invalid, image_too_large,
        file_unreadable).
        """
        if isinstance(picture, Path):
            picture = await asyncio.to_thread(portrait, picture)
        return await self._engine.profiles.change(ProfileWish(name=name, status=status, picture=picture))

    async def fetch_profiles(self) -> None:
        """Fetch what contacts have announced of themselves; happens by itself while connected.

        Raises NetworkError, RefusedError.
        """
        await self._engine.profiles.fetch()

    async def profile_published(self) -> None:
        """Wait until the profile is published as it was last wanted, and contacts are told of it.

        Raises StateError when nothing will come of it.
        """
        await self._running.caught_up()
        await self._engine.profiles.published()
