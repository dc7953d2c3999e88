"""From settings to a running server: folder, schema, secrets and facts. A kill at any moment does no harm."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.kit.lockfile import hold
from mensajeria.kit.secrets import Secret
from mensajeria.server.accounts.change_socket import AccountChanges
from mensajeria.server.accounts.decoys import Decoys
from mensajeria.server.accounts.deletion import AccountDeletion
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.identities import Identities
from mensajeria.server.accounts.invites import DAY_MS, create_invite
from mensajeria.server.accounts.login import LoginService
from mensajeria.server.accounts.opaque import PasswordVerifier, make_decoy
from mensajeria.server.accounts.password import PasswordChange
from mensajeria.server.accounts.recovery import Recovery
from mensajeria.server.accounts.refresh import RefreshService
from mensajeria.server.accounts.registration import Registration
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.accounts.signals import SignalWatch
from mensajeria.server.accounts.tokens import AccessTokens, ChannelKeySealer
from mensajeria.server.admin.audit import AuditSweep
from mensajeria.server.chats.retention import Retention
from mensajeria.server.db.apart import migrate_apart
from mensajeria.server.db.engine import Database, make_private, normalise_url
from mensajeria.server.db.revision import current_revision, head_revision, require_head
from mensajeria.server.devices.removal import DeviceRemoval
from mensajeria.server.facts import Facts, StateError, create_facts, read_facts
from mensajeria.server.files.service import Files
from mensajeria.server.files.storage import FolderStorage, Storage
from mensajeria.server.files.storage_s3 import S3Storage
from mensajeria.server.findings import Finding
from mensajeria.server.keyfiles import KeyFiles, create_key_files, load_key_files
from mensajeria.server.push import Relay
from mensajeria.server.ratelimit.limiter import BucketStore, Limiter, MemoryBuckets
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from mensajeria.server.transparency.tree import KeyLog

FIRST_INVITE_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database at the newest schema, with what belongs to it. `first_invite` only if this call made the server."""

    db: Database
    keys: KeyFiles
    facts: Facts
    first_invite: Secret | None


async def prepare(settings: Settings, clock: Clock) -> Prepared:
    """Open what is there, or make a new server in an empty folder and an empty database.

    Raises:
        SchemaError: PostgreSQL is not at the newest revision and may not be migrated.
        StateError: database and secret files do not belong together.
        OSError, sqlalchemy.exc.SQLAlchemyError: the folder or the database cannot be used.
    """
    db = await asyncio.to_thread(_open, settings)
    try:
        await require_head(db)
        facts = await db.query(read_facts)
        keys = await asyncio.to_thread(load_key_files, settings.secrets_dir)
        if facts is None:
            if keys is None:
                keys = await asyncio.to_thread(create_key_files, settings.secrets_dir)
            return await _create(settings, clock, db, keys)
        return Prepared(db, _matching(settings, facts, keys), facts, None)
    except BaseException:
        await db.close()
        raise


def _open(settings: Settings) -> Database:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.effective_database_url
    if normalise_url(url).get_backend_name() == "sqlite":
        make_private(normalise_url(url))
    first = Database(url)  # its connections belong to the loop of the question
    if (first.is_sqlite or settings.migrate) and asyncio.run(_revision(first)) != head_revision():
        migrate_apart(url)
    return Database(url)


async def _revision(db: Database) -> str | None:
    try:
        return await db.query(current_revision)
    finally:
        await db.close()


def _matching(settings: Settings, facts: Facts, keys: KeyFiles | None) -> KeyFiles:
    if keys is None:
        raise StateError(Finding.SECRETS_LOST(path=settings.secrets_dir))
    if keys.fingerprint != facts.keys:
        raise StateError(Finding.SECRETS_FOREIGN(path=settings.secrets_dir))
    return keys


async def _create(settings: Settings, clock: Clock, db: Database, keys: KeyFiles) -> Prepared:
    """The secrets are there already: a kill in between leaves them without facts, for the next start to take over."""
    decoy = await asyncio.to_thread(make_decoy, keys.opaque_setup)
    now_ms = clock.now_ms()

    def store(connection: Connection) -> tuple[Facts, Secret | None]:
        facts = create_facts(connection, decoy, keys.fingerprint)
        if settings.effective_registration != "invite":
            return facts, None
        _, invite = create_invite(connection, uses=1, expires_ms=now_ms + FIRST_INVITE_DAYS * DAY_MS, now_ms=now_ms)
        return facts, invite

    try:
        facts, invite = await db.write(store)
    except IntegrityError:  # another process started at the same moment and was first
        existing = await db.query(read_facts)
        if existing is None:
            raise
        return Prepared(db, _matching(settings, existing, keys), existing, None)
    return Prepared(db, keys, facts, invite)


async def start_server(settings: Settings, clock: Clock | None = None) -> Server:
    """Everything but the real-time part; raises as `prepare`."""
    clock = clock or SystemClock()
    lock = await asyncio.to_thread(only_server, settings)
    try:
        server = compose(settings, clock, await prepare(settings, clock))
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    server.lock = lock
    return server


def only_server(settings: Settings) -> IO[bytes] | None:
    """Hold the file of SQLite's database for one server: others would not hear of what this one writes.

    None with PostgreSQL, and where the disk knows no locks.

    Raises:
        StateError: another server holds it.
    """
    url = normalise_url(settings.effective_database_url)
    if url.get_backend_name() != "sqlite":
        return None
    file = Path(url.database or "")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return hold(file.with_name(f"{file.name}.lock"))
    except BlockingIOError:
        raise StateError(Finding.DATABASE_IN_USE(path=file)) from None
    except OSError as error:
        if error.errno not in {errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS}:
            raise
        return None


def bucket_store(settings: Settings, clock: Clock, facts: Facts) -> BucketStore:
    """Where the rate limits are counted: in Redis when there is one, so that all processes count together."""
    if settings.redis_url is None:
        return MemoryBuckets(clock)
    from mensajeria.server.ratelimit.redis import RedisBuckets  # noqa: PLC0415 - 6 MB that most servers never use

    return RedisBuckets(settings.redis_url.get_secret_value(), facts.redis_prefix)


def compose(settings: Settings, clock: Clock, prepared: Prepared) -> Server:
    """Wire the services."""
    db, facts, hub = prepared.db, prepared.facts, Relay()
    limiter = Limiter(bucket_store(settings, clock, facts))
    opaque = PasswordVerifier(prepared.keys.opaque_setup)
    keys = prepared.keys
    tokens = AccessTokens(keys.token, facts.server_id, clock, keys.former_token)
    sealer = ChannelKeySealer(keys.channel, None if keys.former_channel is None else keys.former_channel.key)
    authenticator = Authenticator(db, tokens, sealer, clock)
    ends = EndedLogins(authenticator, hub)

    async def reload_keys() -> None:
        found = await asyncio.to_thread(load_key_files, settings.secrets_dir)
        if found is not None:
            tokens.use(found.token, found.former_token)
            sealer.use(found.channel, None if found.former_channel is None else found.former_channel.key)

    return Server(
        settings=settings,
        clock=clock,
        db=db,
        keys=prepared.keys,
        facts=facts,
        limiter=limiter,
        hub=hub,
        opaque=opaque,
        tokens=tokens,
        sealer=sealer,
        authenticator=authenticator,
        registration=Registration(settings, clock, db, facts, limiter, opaque),
        login=LoginService(
            clock=clock,
            db=db,
            facts=facts,
            limiter=limiter,
            opaque=opaque,
            tokens=tokens,
            sealer=sealer,
            authenticator=authenticator,
            hub=hub,
        ),
        refresh=RefreshService(clock=clock, db=db, tokens=tokens, sealer=sealer, authenticator=authenticator, hub=hub),
        changes=AccountChanges(
            PasswordChange(clock=clock, db=db, facts=facts, limiter=limiter, opaque=opaque, ends=ends),
            Recovery(
                clock=clock,
                db=db,
                facts=facts,
                limiter=limiter,
                opaque=opaque,
                decoys=Decoys(keys.opaque_setup),
                ends=ends,
            ),
            DeviceRemoval(clock=clock, db=db, facts=facts, limiter=limiter, ends=ends, hub=hub),
            AccountDeletion(clock=clock, db=db, facts=facts, ends=ends, hub=hub),
            Identities(clock=clock, db=db, facts=facts, limiter=limiter, opaque=opaque, ends=ends, hub=hub),
        ),
        signals=SignalWatch(clock=clock, db=db, ends=ends, hub=hub, reload_keys=reload_keys),
        audit=AuditSweep(db, clock, settings.audit_days),
        ends=ends,
        key_log=KeyLog(db, clock, prepared.keys.log, facts.restore_epoch),
        files=Files(
            db,
            clock,
            file_storage(settings),
            quota=settings.file_quota_mb << 20,
            max_size=settings.file_max_mb << 20,
            days=settings.file_days,
        ),
        retention=Retention(db, clock, settings.retention_days),
        first_invite=prepared.first_invite,
    )


def file_storage(settings: Settings) -> Storage:
    """Where files are kept; raises as `bucket_storage`."""
    if settings.s3_bucket is None:
        return FolderStorage(settings.data_dir / "files")
    return bucket_storage(settings)


def bucket_storage(settings: Settings) -> S3Storage:
    """The bucket that is set.

    Raises:
        StateError: the extra `s3` is not installed.
    """
    secret = settings.s3_secret_key
    try:
        return S3Storage(
            bucket=settings.s3_bucket or "",
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            access_key=settings.s3_access_key,
            secret_key=Secret(b"" if secret is None else secret.get_secret_value().encode()),
        )
    except ImportError as error:
        raise StateError(Finding.BUCKET_NOT_INSTALLED()) from error
