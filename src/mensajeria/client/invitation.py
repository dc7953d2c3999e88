"""Invites as people pass them on: a bare token, or a link that also names server, key log and who invites."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from mensajeria.client.account import parse_invite
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.keylog.mirror import LOG_KEY
from mensajeria.client.errors import ClientError, InputError, SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.trust import Inviter, IssuedInvite
from mensajeria.client.transport.rest.client import RestClient, describe
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import Idfp, Uid
from mensajeria.protocol.links import LinkError, NewerLinkError, invite_id, is_link, link_text, parse_link
from mensajeria.protocol.records_trust import InviteLink

GRACE_MS: Final = 30 * 24 * 3600 * 1000
"""How long after its end a link's proof still counts: who has registered may connect late."""


def server_of_invite(invite: str) -> str | None:
    """The address that an invite's link names; None for a bare token. Raises as `Invitation.parse`."""
    link = Invitation.parse(invite).link
    return None if link is None else link.url


@dataclass(frozen=True, slots=True)
class Invitation:
    """What somebody was given to register with. `link` None: a token, or nothing at all."""

    token: bytes
    link: InviteLink | None = None

    @classmethod
    def parse(cls, invite: str | bytes | None) -> Invitation:
        """Raises InputError (invite_invalid), ClientError (newer_version)."""
        if not isinstance(invite, str) or not is_link(invite):
            return cls(parse_invite(invite))
        try:
            link = parse_link(invite)
        except NewerLinkError as error:
            raise ClientError("newer_version") from error
        except LinkError as error:
            raise InputError("invite_invalid") from error
        return cls(link.token, link)

    def check_server(self, server_id: bytes) -> None:
        """Stop at another server than the link's. Raises SecurityError (invite_mismatch)."""
        if self.link is not None and server_id != self.link.server_id:
            raise SecurityError("invite_mismatch", "another server id")

    async def check(self, http: RestClient) -> None:
        """Before anything is told to a server: it must be the one that the link names, with its key log.

        Raises SecurityError (invite_mismatch), NetworkError.
        """
        if self.link is None:
            return
        said = await describe(http)
        self.check_server(said.server_id)
        if said.log_key != self.link.log_key:
            raise SecurityError("invite_mismatch", "another key log")

    def keep(self, tx: Tx) -> None:
        """Pin what the link names, and remember whom to thank."""
        if self.link is not None:
            tx.meta.set(LOG_KEY, self.link.log_key)
            secret = Secret(self.link.secret)
            inviter = Inviter(Uid(self.link.uid), Idfp(self.link.idfp), invite_id(self.token), secret)
            tx.trust.put_inviter(inviter)


async def make_link(context: Context, url: str, log_key: bytes, token: bytes, *, uses: int, expires_ms: int) -> Secret:
    """The link of an invite that was just made; its secret is kept until it cannot be used any more."""
    me, secret = context.me, Secret(os.urandom(32))

    def step(tx: Tx) -> InviteLink:
        tx.trust.put_issued(IssuedInvite(invite_id(token), secret, uses), expires_ms + GRACE_MS)
        return InviteLink(
            url=url,
            server_id=me.server_id,
            log_key=log_key,
            token=token,
            uid=me.uid,
            idfp=me.contact(tx).idfp,
            secret=secret.reveal(),
        )

    return Secret.from_text(link_text(await context.store.run(step)))
