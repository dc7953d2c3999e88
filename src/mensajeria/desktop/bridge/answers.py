"""Requests about groups, people and the account, done with the client. On the client's thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from mensajeria.client import ClientError, qr_modules
from mensajeria.client.api import ChatKind, GroupRole, HistoryChoice, Verification
from mensajeria.desktop.bridge import told
from mensajeria.desktop.bridge.mapping import person
from mensajeria.desktop.bridge.updates import Answered, Erased, Finished
from mensajeria.desktop.viewmodels import asking
from mensajeria.desktop.viewmodels.finding import FOUND_MAX
from mensajeria.desktop.viewmodels.types import ErrorNotice
from mensajeria.protocol.ids import Mid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mensajeria.client import Chat, Client
    from mensajeria.client.api import Report, UserProfile
    from mensajeria.desktop.bridge.batch import Batcher
    from mensajeria.kit.secrets import Secret


class Answerer:
    """Does one request after the other asks; every one ends with exactly one `Finished`.

    `reload` puts the rows of all chats: a new group must be in the list before it is opened.
    """

    def __init__(self, client: Client, batcher: Batcher, reload: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._batcher = batcher
        self._reload = reload
        self._report: Report | None = None
        """What was shown last, and nothing else can be sent."""

    async def answer(self, request: asking.Request) -> None:
        """Do it, and tell how it ended."""
        try:
            await self._do(request)
        except ClientError as error:
            self._batcher.put(Finished(request, ErrorNotice(str(error.code), error.params)))
        else:
            self._batcher.put(Finished(request))

    def tell(self, answer: asking.Answer) -> None:
        """Something to show."""
        self._batcher.put(Answered(answer))

    async def _do(self, request: asking.Request) -> None:
        if isinstance(request, asking.ChatRequest):
            await self._group(request)
        elif isinstance(request, asking.PersonRequest):
            await self._person(request)
        else:
            await self._account(request)

    # ---- groups ------------------------------------------------------------------------------------------------------

    async def _group(self, request: asking.ChatRequest) -> None:  # noqa: C901, PLR0912 - one line for each kind
        match request:
            case asking.FindPerson(handle):
                await self._find(handle)
            case asking.CreateGroup(name, handles):
                await self._made(await self._client.create_group(name, handles))
            case asking.RecreateGroup(chat_id):
                await self._made(await self._client.recreate_group(bytes.fromhex(chat_id)))
            case asking.LookAtChat(chat_id):
                await self._look_at(chat_id)
            case asking.SearchChat(chat_id, text):
                await self._search(chat_id, text)
            case asking.AddMembers(chat_id, handles, history):
                await self._chat(chat_id).add(handles, history=HistoryChoice(history))
            case asking.RemoveMember(chat_id, handle):
                await self._chat(chat_id).remove(handle)
            case asking.ChangeRole(chat_id, handle, role):
                await self._chat(chat_id).set_role(handle, GroupRole(role))
            case asking.RenameGroup(chat_id, name, description):
                await self._chat(chat_id).rename(name, description)
            case asking.SetGroupPicture(chat_id, path):
                await self._chat(chat_id).set_picture(path)
            case asking.LeaveGroup(chat_id):
                await self._chat(chat_id).leave()
            case asking.Mute(chat_id, for_s):
                chat = self._chat(chat_id)
                await (chat.unmute() if for_s == 0 else chat.mute(for_s))
            case _:
                assert_never(request)

    def _chat(self, chat_id: str) -> Chat:
        return self._client.chat(bytes.fromhex(chat_id))

    async def _find(self, handle: str) -> None:
        try:
            found = await self._client.find_person(handle)
        except ClientError as error:
            if error.code != "unknown_user":
                raise
            self.tell(asking.Found(handle, None))
        else:
            self.tell(asking.Found(handle, person(found)))

    async def _made(self, chat: Chat) -> None:
        await self._reload()
        self.tell(asking.GroupMade(chat.chat_id.hex()))

    async def _look_at(self, chat_id: str) -> None:
        chat = self._chat(chat_id)
        view = await chat.view()
        members, timeline = await chat.members(), await chat.security_timeline()
        blocked = frozenset(one.uid for one in await self._client.blocked())
        info = None
        if view.kind is ChatKind.DIRECT and view.peer is not None:
            known = told.person_info(await self._client.security.of(view.peer.handle))
            info = replace(known, blocked=view.blocked)
        self.tell(told.chat_info(view, members, timeline, info, self._client.me, blocked))

    async def _search(self, chat_id: str, text: str) -> None:
        found = await self._client.search(text, chat_id=bytes.fromhex(chat_id), limit=FOUND_MAX + 1)
        places = sorted((message.order for message in found), reverse=True)
        self.tell(asking.ChatFound(chat_id, text, tuple(places[:FOUND_MAX]), whole=len(places) <= FOUND_MAX))

    # ---- people ------------------------------------------------------------------------------------------------------

    async def _person(self, request: asking.PersonRequest) -> None:  # noqa: C901 - one line for each kind
        security = self._client.security
        match request:
            case asking.LookAtPerson(handle):
                await self._look_at_person(handle)
            case asking.StartComparing(handle):
                self._compare(await security.start(handle))
            case asking.ConfirmEmoji(handle):
                self._compare(await security.confirm(handle))
            case asking.CancelComparing(handle, mismatch):
                self._compare(await security.cancel(handle, mismatch=mismatch))
            case asking.CheckCode(handle, text):
                await security.check(handle, text)
                await self._look_at_person(handle)
            case asking.WithdrawTrust(handle):
                await security.withdraw(handle)
                await self._look_at_person(handle)
            case asking.SetBlocked(handle, on):
                await (self._client.block(handle) if on else self._client.unblock(handle))
                self.tell(asking.BlockMoved(handle))
            case asking.LoadBlocked():
                self.tell(asking.Blocked(tuple(person(one) for one in await self._client.blocked())))
            case asking.DraftReport():
                self._report = await self._draft(request)
                self.tell(asking.ReportDrafted(request.handle, self._report.text))
            case asking.SendReport(handle, text):
                drafted = self._report
                assert drafted is not None, "a report is drafted before it is sent"
                assert (drafted.person.handle, drafted.text) == (handle, text), "what is sent is what was shown"
                self.tell(asking.ReportSent(await self._client.send_report(drafted)))
            case _:
                assert_never(request)

    def _compare(self, verification: Verification) -> None:
        self.tell(told.comparison(verification))

    async def _look_at_person(self, handle: str) -> None:
        security = self._client.security
        known = await security.of(handle)
        self.tell(told.person_info(known, qr_modules(await security.code())))
        if (running := await security.state(handle)) is not None:
            self._compare(running)

    async def _draft(self, request: asking.DraftReport) -> Report:
        chat_id = bytes.fromhex(request.chat_id) if request.chat_id else None
        mids = [Mid(bytes.fromhex(mid)) for mid in request.mids]
        return await self._client.draft_report(request.handle, request.words, chat_id=chat_id, messages=mids)

    # ---- the account -------------------------------------------------------------------------------------------------

    async def _account(  # noqa: C901, PLR0912, PLR0915 - one line for each kind
        self, request: asking.AccountRequest
    ) -> None:
        client = self._client
        match request:
            case asking.LoadDevices():
                await self._devices()
            case asking.RenameDevice(did, name):
                await client.rename_device(bytes.fromhex(did), name)
                await self._devices()
            case asking.RemoveDevice(did, password, code):
                await client.revoke_device(bytes.fromhex(did), password, recovery_code=code)
                await self._devices()
            case asking.ConfirmDevice(did):
                await client.confirm_device(bytes.fromhex(did))
                await self._devices()
            case asking.MakeLink():
                made_link = await client.link_code()
                self.tell(asking.LinkMade(made_link.text, _modules(made_link.text), made_link.expires_ms))
            case asking.ChangePassword(old, new, code):
                await client.change_password(old, new, recovery_code=code)
            case asking.RenewIdentity(old, new, code):
                await client.renew_identity(old, new, code)
            case asking.LogOut(everywhere, erase):
                await client.log_out(everywhere=everywhere, erase=erase)
                if erase:
                    self._batcher.put(Erased())
            case asking.LoadStorage():
                size = await asyncio.to_thread(size_of, client.folder)
                self.tell(asking.StorageIs(str(client.folder.absolute()), size))
            case asking.LoadBackup():
                self.tell(told.backup_info(await client.backup_status()))
            case asking.MakeBackup(path, passphrase):
                made = await client.create_backup(path, passphrase=passphrase)
                self.tell(asking.BackupMade(path.name, made.messages))
            case asking.LoadInvites():
                await self._invites()
            case asking.MakeInvite(uses, days):
                self.tell(asking.InviteMade((await client.create_invite(uses=uses, days=days)).link))
                await self._invites()
            case asking.RevokeInvite(number):
                await client.revoke_invite(number)
                await self._invites()
            case asking.LoadProfile():
                self._profile(await client.profile())
            case asking.SetProfile():
                await self._set_profile(request)
            case asking.LoadPrivacy():
                self.tell(told.privacy(await client.privacy()))
                self.tell(asking.NewChatsTimerIs(await client.timer_for_new_chats()))
            case asking.SetNewChatsTimer(seconds):
                await client.set_timer_for_new_chats(seconds)
                self.tell(asking.NewChatsTimerIs(seconds))
            case asking.SetPrivacy(name, on):
                self.tell(told.privacy(await client.set_privacy(**{name: on})))
            case asking.LoadHealth():
                self.tell(told.health_info(await client.health()))
            case _:
                assert_never(request)

    async def _set_profile(self, request: asking.SetProfile) -> None:
        picture = b"" if request.no_picture else request.picture
        self._profile(await self._client.set_profile(name=request.name, status=request.status, picture=picture))

    def _profile(self, profile: UserProfile) -> None:
        self.tell(asking.ProfileIs(profile.name, profile.status, bool(profile.picture)))

    async def _devices(self) -> None:
        self.tell(told.devices(await self._client.devices()))

    async def _invites(self) -> None:
        self.tell(told.invites(await self._client.invites()))


def _modules(text: Secret) -> tuple[tuple[bool, ...], ...]:
    return qr_modules(text.reveal_text())


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder; what goes away meanwhile counts nothing, and no link is followed."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 - thousands of files
    return total
