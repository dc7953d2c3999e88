"""`admin doctor`: looks at what usually goes wrong on a server."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select, text

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.admin.audit import DAY_MS, Act
from mensajeria.server.admin.outside import bucket, public_address, redis
from mensajeria.server.admin.records import Check, State, Subject
from mensajeria.server.db.engine import CONNECTIONS, Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.revision import SchemaError, require_head
from mensajeria.server.db.schema_access import audit
from mensajeria.server.facts import Facts, StateError, read_facts
from mensajeria.server.findings import Finding, cause_of
from mensajeria.server.keyfiles import load_key_files
from mensajeria.server.settings import Settings

BACKUP_DAYS: Final = 8
"""A weekly one is never late."""
CLOCK_MS: Final = 5000
YEAR_2024_MS: Final = 1_704_067_200_000


def doctor(settings: Settings, clock: Clock | None = None) -> list[Check]:
    """Every check, in a fixed order. Changes nothing; a check that cannot be made is a warning."""
    return asyncio.run(_doctor(settings, clock or SystemClock()))


async def _doctor(settings: Settings, clock: Clock) -> list[Check]:
    checks = [await asyncio.to_thread(_data_folder, settings), await asyncio.to_thread(_disk, settings)]
    db = await asyncio.to_thread(Database, settings.effective_database_url)
    try:
        reachable = await _database(db, settings.workers)
        checks.append(reachable)
        facts = None
        if reachable.state is not State.FAILED:
            facts, identity = await _identity(db)
            checks += [await _migrations(db), identity, await _clock(db, clock), await _last_backup(db, clock)]
    finally:
        await db.close()
    checks.append(await asyncio.to_thread(_secrets, settings, facts))
    if settings.redis_url is not None:
        checks.append(await redis(settings.redis_url.get_secret_value()))
    if settings.s3_bucket is not None:
        checks.append(await bucket(settings))
    checks.append(await public_address(settings, facts))
    return checks


def _data_folder(settings: Settings) -> Check:
    folder, subject = settings.data_dir, Subject.DATA_FOLDER
    if not folder.is_dir():
        return Check(subject, State.FAILED, Finding.DATA_FOLDER_MISSING(path=folder))
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        return Check(subject, State.WARNING, Finding.DATA_FOLDER_OPEN(path=folder))
    if not os.access(folder, os.W_OK):
        return Check(subject, State.FAILED, Finding.DATA_FOLDER_READ_ONLY(path=folder))
    return Check(subject, State.OK, Finding.DATA_FOLDER_GOOD(path=folder))


def _disk(settings: Settings) -> Check:
    where = settings.data_dir if settings.data_dir.is_dir() else Path()
    usage = shutil.disk_usage(where)
    free, total, least = usage.free >> 20, usage.total >> 20, settings.min_free_mb
    if free < least:
        return Check(Subject.DISK, State.FAILED, Finding.DISK_FULL(free_mb=free, total_mb=total, least_mb=least))
    if usage.free * 10 < usage.total:
        return Check(Subject.DISK, State.WARNING, Finding.DISK_LOW(free_mb=free, total_mb=total))
    return Check(Subject.DISK, State.OK, Finding.DISK_GOOD(free_mb=free, total_mb=total))


async def _database(db: Database, workers: int) -> Check:
    if db.is_sqlite and not await asyncio.to_thread(Path(db.url.database or "").exists):
        return Check(Subject.DATABASE, State.FAILED, Finding.DATABASE_MISSING())
    try:
        await db.ping()
    except DATABASE_ERRORS as error:
        return Check(Subject.DATABASE, State.FAILED, Finding.DATABASE_SILENT(cause=cause_of(error)))
    allowed, needed = None if db.is_sqlite else await db.query(_connections), workers * CONNECTIONS
    if allowed is not None and allowed < needed:
        found = Finding.DATABASE_NARROW(connections=allowed, needed=needed)
        return Check(Subject.DATABASE, State.WARNING, found)
    return Check(Subject.DATABASE, State.OK, Finding.DATABASE_GOOD(kind=db.url.get_backend_name()))


def _connections(connection: Connection) -> int:
    """How many PostgreSQL gives to whoever is not its superuser."""
    left = text(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    return int(connection.execute(left).scalar_one())


async def _migrations(db: Database) -> Check:
    try:
        await require_head(db)
    except SchemaError as error:
        return Check(Subject.MIGRATIONS, State.FAILED, error.findings[0])
    except DATABASE_ERRORS as error:
        return Check(Subject.MIGRATIONS, State.FAILED, Finding.DATABASE_FAILED(cause=cause_of(error)))
    return Check(Subject.MIGRATIONS, State.OK, Finding.SCHEMA_GOOD())


async def _identity(db: Database) -> tuple[Facts | None, Check]:
    """What makes the database one server's, and which."""
    subject = Subject.IDENTITY
    try:
        facts = await db.query(read_facts)
    except StateError as error:
        return None, Check(subject, State.FAILED, error.findings[0])
    except DATABASE_ERRORS as error:
        return None, Check(subject, State.FAILED, Finding.DATABASE_FAILED(cause=cause_of(error)))
    if facts is None:
        return None, Check(subject, State.WARNING, Finding.IDENTITY_MISSING())
    found = Finding.IDENTITY_GOOD(server_id=facts.server_id.hex(), restore_epoch=facts.restore_epoch)
    return facts, Check(subject, State.OK, found)


async def _clock(db: Database, clock: Clock) -> Check:
    """Against PostgreSQL's, which may be another machine's; alone, only that it is not obviously wrong."""
    if clock.now_ms() < YEAR_2024_MS:
        return Check(Subject.CLOCK, State.FAILED, Finding.CLOCK_BEHIND())
    if db.is_sqlite:
        return Check(Subject.CLOCK, State.OK, Finding.CLOCK_ALONE())
    try:
        theirs = await db.query(_database_ms)
    except DATABASE_ERRORS as error:
        return Check(Subject.CLOCK, State.WARNING, Finding.CLOCK_SILENT(cause=cause_of(error)))
    off = abs(theirs - clock.now_ms())
    if off > CLOCK_MS:
        return Check(Subject.CLOCK, State.FAILED, Finding.CLOCK_APART(seconds=round(off / 1000)))
    return Check(Subject.CLOCK, State.OK, Finding.CLOCK_GOOD(ms=off))


def _database_ms(connection: Connection) -> int:
    return int(connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one())


async def _last_backup(db: Database, clock: Clock) -> Check:
    """Of `admin backup create`: who backs up by other means may live with the warning."""
    newest = select(func.max(audit.c.ts)).where(audit.c.action == Act.BACKUP_MADE.value)
    try:
        made_ms: int | None = await db.query(lambda connection: connection.execute(newest).scalar_one())
    except DATABASE_ERRORS:  # a schema that `_migrations` complains of
        made_ms = None
    if made_ms is None:
        return Check(Subject.LAST_BACKUP, State.WARNING, Finding.BACKUP_NONE())
    days = (clock.now_ms() - made_ms) // DAY_MS
    if days < BACKUP_DAYS:
        return Check(Subject.LAST_BACKUP, State.OK, Finding.BACKUP_GOOD(count=days))
    return Check(Subject.LAST_BACKUP, State.WARNING, Finding.BACKUP_OLD(count=days))


def _secrets(settings: Settings, facts: Facts | None) -> Check:
    folder, subject = settings.secrets_dir, Subject.SECRETS
    try:
        keys = load_key_files(folder)
    except StateError as error:
        return Check(subject, State.FAILED, error.findings[0])
    if keys is None:
        return Check(subject, State.FAILED, Finding.SECRETS_MISSING(path=folder))
    if facts is not None and facts.keys != keys.fingerprint:
        return Check(subject, State.FAILED, Finding.SECRETS_FOREIGN(path=folder))
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Check(subject, State.WARNING, Finding.SECRETS_OPEN(path=folder))
    return Check(subject, State.OK, Finding.SECRETS_GOOD())
