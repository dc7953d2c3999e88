"""What this client knows beside the key log, held against the mirror: contacts' lists, the own name, the head's age."""

from __future__ import annotations

from mensajeria.client.core import keylog as core
from mensajeria.client.core.keylog import Newest
from mensajeria.client.engine.keylog.telling import tell_daily, tell_once
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.own_lists import may_be_behind
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.records import TreeHead
from mensajeria.protocol.transparency import handle_label, handle_value, uid_label, uid_value


class Checks:
    """Runs in the store's thread. Warns of everything once for each leaf and list."""

    def __init__(self, me: Me) -> None:
        self._me = me

    def check_all(self, tx: Tx, out: Outcome, head: TreeHead, started: int) -> set[Uid]:
        """Everything known beside the log; whose lists are newer there. `started`: before the head was had."""
        now = self._me.clock.now_ms()
        if core.is_stale(head, now):
            tell_daily(tx, out, "kt_stale_told", core.STALE, now)
        if head.size > core.MIRROR_MAX:
            return set()
        behind = {contact.uid for contact in tx.contacts.all() if self._check_contact(tx, out, contact, started)}
        self._check_name(tx, out, now)
        return behind

    def check_refreshed(self, tx: Tx, out: Outcome, uids: set[Uid]) -> None:
        """Their lists were just fetched: what is still older than in the log is hidden from us."""
        for contact in filter(None, map(tx.contacts.get, uids)):
            logged = tx.key_log.newest(uid_label(contact.uid))
            if logged is not None and logged.ver > contact.list_ver:
                self._alarm(tx, out, "key_log_list_hidden", contact, logged)

    def _check_contact(self, tx: Tx, out: Outcome, contact: Contact, started: int) -> bool:
        """Whether the log has a newer list than the one here."""
        logged = tx.key_log.newest(uid_label(contact.uid))
        if logged is not None and logged.ver > contact.list_ver:
            return True
        if logged is None or logged.ver < contact.list_ver:
            if contact.updated_ms <= started and not may_be_behind(tx, contact):  # else it may be newer than the head
                self._alarm(tx, out, "key_log_unlogged", contact, logged)
        elif logged.value_hash != uid_value(contact.identity, contact.list_body):
            self._alarm(tx, out, "key_log_keys", contact, logged)
        return False

    def _check_name(self, tx: Tx, out: Outcome, now: int) -> None:
        """The own name is the own account's, in everybody's log."""
        me = self._me
        logged = tx.key_log.newest(handle_label(me.server_id, me.handle))
        if logged is None or logged.value_hash != handle_value(me.uid):
            name = f"kt_name:{0 if logged is None else logged.index}"
            tell_once(tx, out, name, "key_log_own_name", now, handle=me.handle)

    def _alarm(self, tx: Tx, out: Outcome, code: str, contact: Contact, logged: Newest | None) -> None:
        """Once for each leaf and list."""
        at = -1 if logged is None else logged.index
        name = f"kt_alarm:{contact.uid.hex()}:{at}:{contact.list_hash.hex()[:16]}:{code}"
        told = f"{code}_own" if contact.uid == self._me.uid else code
        tell_once(tx, out, name, told, self._me.clock.now_ms(), handle=contact.handle)
