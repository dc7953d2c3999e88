"""Whatever name somebody sends, what is written to the disk is one harmless component."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mensajeria.client.core.filenames import is_risky, numbered, safe_name, sent_name

RTL = "\u202e"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("foto.jpg", "foto.jpg"),
        ("Año nuevo 2026.JPG", "Año nuevo 2026.JPG"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("..", "archivo"),
        ("", "archivo"),
        ("/", "_"),
        ("C:\\Windows\\x.dll", "C__Windows_x.dll"),
        (f"factura{RTL}fdp.exe", "facturafdp.exe"),
        ("a\x00b\x1b[31m.txt", "ab[31m.txt"),
        ("uno\ndos\t tres.txt", "uno dos tres.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("trailing. . .", "trailing"),
        (".bashrc", "bashrc"),
        ("dientes\u200b.pdf", "dientes.pdf"),
        ("e\u0301l.txt", "él.txt"),
        ("a" * 300 + ".pdf", "a" * 196 + ".pdf"),
    ],
)
def test_a_name_becomes_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=400))
@example("." * 300)
@example("con." + "x" * 300)
@example("\U0001f600" * 100 + ".jpg")
def test_any_name_becomes_one_component_that_every_system_takes(name: str) -> None:
    safe = safe_name(name)
    assert safe not in {"", ".", ".."}
    assert not set(safe) & set('/\\:*?"<>|\x00')
    assert len(safe.encode()) <= 202
    assert not safe.startswith((".", " "))
    assert not safe.endswith((".", " "))
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in safe)
    assert safe_name(safe) == safe


@given(st.text(max_size=400))
def test_a_name_that_is_sent_is_what_the_other_side_makes_of_it(name: str) -> None:
    assert safe_name(sent_name(name)) == sent_name(name)


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("setup.exe", "application/octet-stream"),
        (f"factura{RTL}fdp.exe", "application/pdf"),
        ("foto.jpg.scr", "image/jpeg"),
        ("x.EXE ", "image/png"),
        ("script.sh", "text/plain"),
        ("pagina.html", "text/html"),
        ("foto.jpg", "application/x-msdownload"),
        ("documento.docm", "application/octet-stream"),
    ],
)
def test_what_may_run_something_is_flagged(name: str, media: str) -> None:
    assert is_risky(name, media)


@pytest.mark.parametrize("name", ["foto.jpg", "informe.pdf", "exe", "notas.txt", "música.mp3", "datos.csv"])
def test_what_is_only_looked_at_is_not_flagged(name: str) -> None:
    assert not is_risky(name, "application/octet-stream")


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert [numbered("foto.jpg", 1), numbered("foto.jpg", 2), numbered("foto", 3)] == [
        "foto.jpg",
        "foto (2).jpg",
        "foto (3)",
    ]
