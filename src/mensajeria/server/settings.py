"""The operator's settings: `MENSAJERIA_*` from the environment, each checked, none silently ignored.

pydantic-settings does not refuse an unknown name in the environment, so that a typing error would quietly leave the
default in place. `unknown_names` compares with one registry of all names of the program: server, client and test.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mensajeria.server.db.engine import normalise_url
from mensajeria.server.findings import Finding, Found, OperatorError, cause_of
from mensajeria.server.setting_findings import refusal, refused

PREFIX: Final = "MENSAJERIA_"
CLIENT_NAMES: Final = frozenset(
    {
        "MENSAJERIA_PASSWORD",
        "MENSAJERIA_PASSWORD_FILE",
        "MENSAJERIA_PASSPHRASE",
        "MENSAJERIA_BACKUP_PASSPHRASE",
        "MENSAJERIA_PASSPHRASE_FILE",
        "MENSAJERIA_KEY_FILE",
        "MENSAJERIA_PROFILE",
        "MENSAJERIA_LANG",
        "MENSAJERIA_INSECURE_HTTP",
    }
)
"""Names that the client and the command line read."""
TEST_PREFIX: Final = "MENSAJERIA_TEST_"
SECRET_FIELDS: Final = ("database_url", "metrics_token", "redis_url", "s3_secret_key")
"""Settings that may come from a file named by `<NAME>_FILE` instead."""
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
REGISTRATION: Final = ("open", "approval", "invite", "closed")


class SettingsError(OperatorError):
    """The configuration cannot be used."""


class Settings(BaseSettings):
    """What an operator may set. Every field is `MENSAJERIA_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])  # noqa: S104 - an example
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    data_dir: Path = Field(Path("mensajeria-data"), description="Folder of the SQLite database and the secret files.")
    database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/name or sqlite:///path; unset: SQLite in the data folder."
    )
    redis_url: SecretStr | None = Field(
        None, description="redis://[user:password@]host[:port][/number] of Redis 7 or Valkey, rediss:// with TLS."
    )
    migrate: bool = Field(default=False, description="Migrate a PostgreSQL database at start; SQLite always is.")
    workers: int = Field(1, ge=1, le=256, description="Processes. More than one needs PostgreSQL and Redis.")
    server_name: str = Field("MensajeriaApp", min_length=1, max_length=64, description="The name people see.")
    registration: Literal["open", "approval", "invite", "closed"] | None = Field(
        None, description="Who may register; unset: open when bound to loopback, otherwise invite."
    )
    member_invites: bool = Field(default=False, description="Members may make invites, not only the operator.")
    public_url: str | None = Field(
        None,
        description="The address people use, https://...; `admin doctor` tries it.",
        pattern=r"^https?://[^/@?#\s]+/?$",
    )
    audit_days: int = Field(90, ge=1, le=36_500, description="Days that the audit log is kept.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of web pages that may call this server, separated by commas; native clients send none."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="Addresses or networks of reverse proxies whose X-Forwarded-For is believed, separated by commas.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["text", "json"] = Field("text", description="Lines for people or for programs.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of /metrics, one more for each further worker; unset: no metrics; 0 takes a free one.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics; another than loopback needs a token.")
    metrics_token: SecretStr | None = Field(None, min_length=16, description="Bearer token that /metrics asks for.")
    otlp_endpoint: str | None = Field(
        None,
        description="Send traces to this OpenTelemetry collector, http://host:4318; unset: none.",
        pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
    )
    api_docs: bool = Field(default=False, description="Serve the API's description for people at /docs.")
    retention_days: int | None = Field(
        None, ge=1, le=36_500, description="Erase messages after this many days; unset: keep them."
    )
    file_quota_mb: int = Field(1024, ge=0, description="MiB of files that one account may have on the server.")
    file_max_mb: int = Field(100, ge=1, description="MiB of the largest file.")
    file_days: int = Field(90, ge=0, description="Days that a file is kept; 0 = for ever.")
    s3_bucket: str | None = Field(None, description="Keep files in this bucket; unset: in the data folder.")
    s3_endpoint: str | None = Field(
        None,
        description="URL of an S3-compatible store; unset: Amazon's.",
        pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
    )
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key: str = Field("", description="Access key id of the bucket.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret access key of the bucket.")
    min_free_mb: int = Field(100, ge=0, description="Free space in the data folder, MiB, below which /readyz fails.")

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in value:
                ip_network(network, strict=False)
        except ValueError:
            raise refusal(Finding.SETTING_NO_NETWORK(name="MENSAJERIA_TRUSTED_PROXIES")) from None
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if _ORIGIN.fullmatch(origin) is None:
                raise refusal(Finding.SETTING_NO_ORIGIN(name="MENSAJERIA_ALLOWED_ORIGINS"))
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                normalise_url(value.get_secret_value())
        except ValueError:
            raise refusal(Finding.SETTING_NO_DATABASE(name="MENSAJERIA_DATABASE_URL")) from None
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from mensajeria.server.broker.link import is_address  # noqa: PLC0415 - 6 MB that most servers never use

            if not is_address(value.get_secret_value()):
                raise refusal(Finding.SETTING_NO_REDIS(name="MENSAJERIA_REDIS_URL"))
        return value

    @model_validator(mode="after")
    def _metrics_are_guarded(self) -> Self:
        if self.metrics_port is not None and self.metrics_token is None and not _is_loopback(self.metrics_host):
            raise refusal(Finding.SETTING_NEEDS_TOKEN(name="MENSAJERIA_METRICS_HOST"))
        return self

    @model_validator(mode="after")
    def _many_processes(self) -> Self:
        if self.workers > 1:
            if self.database_url is None or self.effective_database_url.startswith("sqlite"):
                raise refusal(Finding.SETTING_NEEDS_POSTGRES(name="MENSAJERIA_WORKERS"))
            if self.redis_url is None:  # messages would not reach people connected to another one
                raise refusal(Finding.SETTING_NEEDS_REDIS(name="MENSAJERIA_WORKERS"))
        return self

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach the server."""
        return _is_loopback(self.host)

    @property
    def effective_registration(self) -> Literal["open", "approval", "invite", "closed"]:
        """Who may register, with the default resolved."""
        return self.registration or ("open" if self.is_loopback else "invite")

    @property
    def effective_database_url(self) -> str:
        """The database's URL, with the default resolved. Holds a password: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir / 'mensajeria.db'}"

    @property
    def secrets_dir(self) -> Path:
        """Where the key files lie: never in the database, never in a dump of it."""
        return self.data_dir / "secrets"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


SERVER_NAMES: Final = frozenset(
    [PREFIX + name.upper() for name in Settings.model_fields]
    + [f"{PREFIX}{name.upper()}_FILE" for name in SECRET_FIELDS]
)
KNOWN_NAMES: Final = SERVER_NAMES | CLIENT_NAMES


def unknown_names(environment: Iterable[str]) -> list[Found]:
    """A finding for every `MENSAJERIA_*` name that nothing in this program reads."""
    ours = (name for name in environment if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX))
    return [_complaint(name) for name in sorted(set(ours) - KNOWN_NAMES)]


def _complaint(name: str) -> Found:
    near = difflib.get_close_matches(name, sorted(KNOWN_NAMES), n=1, cutoff=0.6)
    return Finding.SETTING_MISSPELT(name=name, near=near[0]) if near else Finding.SETTING_UNKNOWN(name=name)


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment; `overrides` (the command line's options) win, None means not given.

    Raises:
        SettingsError: an unknown name or a value that is not allowed.
    """
    if complaints := unknown_names(os.environ):
        raise SettingsError(*complaints)
    values: dict[str, Any] = {field: _from_file(field) for field in SECRET_FIELDS if os.environ.get(_file_name(field))}
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(*(refused(PREFIX, one) for one in error.errors())) from None


def _file_name(field: str) -> str:
    return f"{PREFIX}{field.upper()}_FILE"


def _from_file(field: str) -> str:
    name = _file_name(field)
    if PREFIX + field.upper() in os.environ:
        raise SettingsError(Finding.SETTING_TWICE(name=PREFIX + field.upper(), file=name))
    try:
        return Path(os.environ[name]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(Finding.SETTING_FILE_UNREADABLE(name=name, cause=cause_of(error))) from None
