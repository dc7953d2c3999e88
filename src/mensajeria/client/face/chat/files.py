"""Files in a chat."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client.api import SentMessage
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.protocol.ids import Mid, Uid


class Files(ChatFace):
    """Sending and fetching them."""

    __slots__ = ()

    async def send_file(self, path: Path, caption: str = "", *, as_image: bool | None = None) -> SentMessage:
        """Encrypt a copy of a file and queue it; return once that is stored. The original may go away then.

        Args:
            path: the file.
            caption: a text that goes with it; may be empty.
            as_image: a picture is turned upright, gets a thumbnail, and loses what it tells about its maker (EXIF,
                place, comments). None: every picture; False: the bytes as they are; True: it must be one.

        Raises:
            InputError: file_unreadable, not_a_file, file_changed, image_invalid, image_too_large, too_large,
                malformed_text, unknown_chat.
            ProfileError: disk_full, store_failed.
            SendBlockedError: the verified contact's identity changed: `accept_identity` first.
            StateError: person_blocked: `unblock` first.
        """
        mid = await self._engine.uploads.send(self.chat_id, Path(path), caption, as_image=as_image)
        return SentMessage(self.chat_id, mid)

    async def download(self, mid: Mid, to: Path, *, author: Uid | None = None) -> Path:
        """Fetch, verify and save a message's file; where it is then. Goes on where an earlier call was interrupted.

        Args:
            mid: the message.
            author: who wrote it; only needed where two members of a group claim one id.
            to: a folder (the file's name is made harmless and replaces nothing), or a path where nothing is yet.

        Raises:
            InputError: unknown_message, no_attachment, target_exists, target_unwritable.
            StateError: request_pending: nothing is fetched before the request is accepted.
            ProfileError: disk_full, store_failed.
            RefusedError: file_gone: the server does not have it any more.
            SecurityError: file_tampered: it is not what the message says; nothing of it was kept.
            NetworkError: what has arrived is kept for the next call.
        """
        return await self._engine.downloads.fetch(self.chat_id, mid, Path(to), author)
