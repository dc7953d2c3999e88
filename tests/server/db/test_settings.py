"""Settings: nothing is silently ignored, and no message tells a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from mensajeria.server.settings import KNOWN_NAMES, Settings, SettingsError, load_settings, unknown_names

SECRET = "postgresql://u:s3cret@db/m"
ROOT = Path(__file__).parents[3]


def test_defaults_serve_this_machine_only() -> None:
    settings = load_settings()

    assert settings.host == "127.0.0.1"
    assert settings.effective_registration == "open"
    assert settings.effective_database_url.startswith("sqlite")


@pytest.mark.parametrize(
    ("host", "effective"), [("localhost", "open"), ("::1", "open"), ("0.0.0.0", "invite"), ("chat.example", "invite")]
)
def test_registration_unset_follows_the_address(host: str, effective: str) -> None:
    assert load_settings(host=host).effective_registration == effective
    assert load_settings(host=host, registration="closed").effective_registration == "closed"


def test_environment_is_read_and_options_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_PORT", "9000")
    monkeypatch.setenv("MENSAJERIA_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("MENSAJERIA_REGISTRATION", "")

    assert load_settings().port == 9000
    assert load_settings(port=1, host=None).port == 1
    assert load_settings().allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("MENSAJERIA_PROT", "MENSAJERIA_PORT"),
        ("MENSAJERIA_DATABASEURL", "MENSAJERIA_DATABASE_URL"),
        ("MENSAJERIA_PASWORD", "MENSAJERIA_PASSWORD"),
        ("MENSAJERIA_XYZZY_PLUGH", None),
    ],
)
def test_unknown_name_is_refused_with_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, name: str, suggestion: str | None
) -> None:
    monkeypatch.setenv(name, "s3cret")

    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert (f"near={suggestion}" in str(caught.value)) == (suggestion is not None)


def test_names_of_client_and_tests_are_known() -> None:
    assert unknown_names(["MENSAJERIA_PASSWORD", "MENSAJERIA_PASSPHRASE", "MENSAJERIA_TEST_REDIS_URL", "PATH"]) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("PORT", "70000", "too_large"),
        ("PORT", "-1", "too_small"),
        ("PORT", "x", "no_number"),
        ("MIGRATE", "perhaps", "no_switch"),
        ("SERVER_NAME", "x" * 65, "too_long"),
        ("METRICS_TOKEN", "s3cret", "too_short"),
        ("ALLOWED_ORIGINS", "https://h/s3cret", "no_origin"),
        ("REGISTRATION", "sometimes", "no_choice"),
        ("DATABASE_URL", "mysql://u:s3cret@h/d", "no_database"),
        ("DATABASE_URL", "s3cret", "no_database"),
        ("DATABASE_URL", "postgresql://u:s3cret", "no_database"),
        ("REDIS_URL", "http://:s3cret@h", "no_redis"),
        ("REDIS_URL", "redis://:s3cret/@h", "no_redis"),
        ("REDIS_URL", "redis://:pw@h:s3cret", "no_redis"),
        ("REDIS_URL", "redis://h?socket_timeout=s3cret", "no_redis"),
        ("REDIS_URL", "redis://h?s3cret=1", "no_redis"),
        ("PUBLIC_URL", "https://u:s3cret@h", "no_url"),
        ("S3_ENDPOINT", "https://u:s3cret@h", "no_url"),
        ("OTLP_ENDPOINT", "https://u:s3cret@h", "no_url"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "no_network"),
        ("WORKERS", "2", "needs_postgres"),
        ("LOG_LEVEL", "loud", "no_choice"),
    ],
)
def test_wrong_value_is_named_but_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, code: str
) -> None:
    monkeypatch.setenv(f"MENSAJERIA_{name}", value)

    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
    [found] = caught.value.findings
    assert (found.code, found.params["name"]) == (f"setting_{code}", f"MENSAJERIA_{name}")


def test_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(SECRET + "\n")
    monkeypatch.setenv("MENSAJERIA_DATABASE_URL_FILE", str(file))

    settings = load_settings()

    assert settings.effective_database_url == SECRET
    assert "s3cret" not in repr(settings)
    monkeypatch.setenv("MENSAJERIA_DATABASE_URL", SECRET)
    with pytest.raises(SettingsError, match="setting_twice"):
        load_settings()
    monkeypatch.delenv("MENSAJERIA_DATABASE_URL")
    file.unlink()
    with pytest.raises(SettingsError, match="setting_file_unreadable"):
        load_settings()


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://:p@h:1/2", "rediss://u:p@h?ssl_ca_certs=/ca.pem", "unix:///run/v?db=1"]
)
def test_redis_is_named_by_what_its_client_reads(url: str) -> None:
    assert load_settings(redis_url=url).redis_url is not None


def test_a_file_that_is_named_by_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_METRICS_TOKEN_FILE", "")

    assert load_settings().metrics_token is None


def test_example_file_and_documentation_name_every_setting() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    manual = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    for field in Settings.model_fields:
        assert f"MENSAJERIA_{field.upper()}" in example
        assert f"`MENSAJERIA_{field.upper()}`" in manual
    named = {line.lstrip("# ").partition("=")[0] for line in example.splitlines() if "=" in line}
    assert {name for name in named if name.startswith("MENSAJERIA_")} <= KNOWN_NAMES
