"""The client's half of what changes an account: approvals, a new password, recovery, removing a device."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.crypto.password import password_proof
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.approval import (
    Action,
    Change,
    approval_mac,
    deletion_digest,
    password_digest,
    recovery_body,
    removal_digest,
)
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.records import Signed
from mensajeria.protocol.signing import Ctx
from tests.server.enrol import PASSWORD, Person, Talk

NEW_PASSWORD = Secret(b"7e" * 32)


@dataclass
class Proof:
    """A login up to `LoginOk`, with what only the password's owner has."""

    talk: Talk
    person: Person
    ok: auth.LoginOk
    ck: Secret
    transcript: bytes
    export_key: Secret

    def approve(self, action: Action, digest: bytes, *, code: RecoveryCode | None = None) -> auth.Approval:
        """An approval by the person's device."""
        change = Change(action, self.talk.info.server_id, self.person.uid, self.transcript, digest)
        return auth.Approval(
            self.person.device.did,
            self.person.device.login(self.talk.info.server_id, self.transcript),
            approval_mac(self.ck, change),
            b"" if code is None else code.sign(Ctx.RECOVERY_LOGIN, change.body),
        )

    def removal(self, did: bytes, *, now_ms: int, code: RecoveryCode | None = None) -> auth.DeviceRemove:
        """The message that removes a device."""
        newest = verify_device_list(self.ok.device_list, self.ok.identity, uid=self.person.uid)
        following = self.person.identity.remove_device(newest, did, now_ms)
        return self.removing(following, code=code)

    def removing(self, following: Signed, *, code: RecoveryCode | None = None) -> auth.DeviceRemove:
        """The message that stores this list."""
        approval = self.approve(Action.DEVICE_REMOVE, removal_digest(following), code=code)
        return auth.DeviceRemove(following, approval)

    def deletion(self, *, code: RecoveryCode | None = None) -> auth.AccountDelete:
        """The message that deletes the account."""
        return auth.AccountDelete(self.approve(Action.ACCOUNT_DELETE, deletion_digest(), code=code))

    async def new_password(
        self, password: Secret = NEW_PASSWORD, *, code: RecoveryCode | None = None
    ) -> auth.PasswordChangeFinish:
        """Start a change; the message that finishes it."""
        started = password_proof(SUITE_PASSWORD).start_registration(password)
        challenge = await self.talk.say(auth.PasswordChangeStart(SUITE_PASSWORD, started.request))
        proof = started.finish(challenge.response)
        uid = self.person.uid
        root = AccountRoot.unwrap_password(self.ok.wrap_password, uid=uid, export_key=self.export_key)
        wrap = root.wrap_password(uid, proof.export_key)
        digest = password_digest(challenge.ticket, proof.upload, wrap)
        approval = self.approve(Action.PASSWORD_CHANGE, digest, code=code)
        return auth.PasswordChangeFinish(challenge.ticket, proof.upload, wrap, approval)


async def proven(talk: Talk, person: Person, password: Secret = PASSWORD) -> Proof:
    """Prove the password."""
    started = password_proof(SUITE_PASSWORD).start_login(password)
    challenge = await talk.say(auth.LoginStart(SUITE_PASSWORD, person.handle, started.ke1))
    proof = started.finish(challenge.ke2)
    ok = await talk.say(auth.LoginFinish(proof.ke3))
    return Proof(talk, person, ok, proof.channel_key, proof.transcript, proof.export_key)


async def recovering(
    talk: Talk, handle: str, code: RecoveryCode, *, signer: RecoveryCode | None = None
) -> auth.RecoveryFinish:
    """Start a recovery; the message that finishes it, signed by `signer` (another code, for attacks)."""
    started = password_proof(SUITE_PASSWORD).start_registration(NEW_PASSWORD)
    challenge = await talk.say(auth.RecoveryStart(SUITE_PASSWORD, handle, started.request))
    proof = started.finish(challenge.response)
    root = AccountRoot.unwrap_recovery(challenge.wrap_recovery, uid=challenge.uid, code=code)
    wraps = root.wrap_password(challenge.uid, proof.export_key), root.wrap_recovery(challenge.uid, code)
    body = recovery_body(
        server_id=talk.info.server_id,
        uid=challenge.uid,
        nonce=challenge.nonce,
        upload=proof.upload,
        wrap_password=wraps[0],
        wrap_recovery=wraps[1],
    )
    signature = (signer or code).sign(Ctx.RECOVERY_LOGIN, body)
    return auth.RecoveryFinish(challenge.ticket, proof.upload, *wraps, signature)
