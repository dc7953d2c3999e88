from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from mensajeria.kit.secrets import Secret

CANARY = b"correct horse battery staple"


def test_revealing_is_the_only_way_out() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert Secret.from_text("contraseña").reveal_text() == "contraseña"
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert not [text for text in shown if "horse" in text]


def test_a_log_record_and_a_traceback_do_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    logging.getLogger("test").warning("key %s %r", secret, {"key": secret})
    with pytest.raises(ValueError, match="Secret") as caught:
        raise ValueError(secret)
    assert "horse" not in caplog.text + "".join(traceback.format_exception(caught.value))


def test_it_cannot_be_pickled_copied_or_encoded() -> None:
    secret = Secret(CANARY)
    escapes: list[Callable[[Any], object]] = [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        bytes,
        list,
        len,
        hash,
    ]
    for escape in escapes:
        with pytest.raises(TypeError):
            escape(secret)


def test_it_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        assert Secret(b"")


def test_equality_is_by_value_and_only_between_secrets() -> None:
    assert Secret(b"a") == Secret(bytearray(b"a"))
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != Secret(b"ab")
    assert Secret(b"a") != b"a"


def test_later_changes_to_the_source_do_not_reach_it() -> None:
    source = bytearray(b"key")
    secret = Secret(source)
    source[:] = bytes(3)
    assert secret.reveal() == b"key"


def test_it_takes_bytes_only() -> None:
    with pytest.raises(TypeError, match="made of bytes, not str"):
        Secret("text")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        Secret(b"a").extra = 1  # type: ignore[attr-defined]
