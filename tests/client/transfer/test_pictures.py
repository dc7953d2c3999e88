"""Pictures leave without what they tell about their maker, and a bomb is refused before it is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from mensajeria.client.errors import InputError
from mensajeria.client.transfer.pictures import FORMATS, is_picture, is_portrait, portrait, prepare
from mensajeria.protocol import limits

PNG = b"\x89PNG\r\n\x1a\n"
CANARY = b"CANARIO-7431"
ORIENTATION, MAKER, GPS = 0x0112, 0x010F, 0x8825


def told(orientation: int = 1) -> Image.Exif:
    """EXIF with a maker and a place."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = orientation, CANARY.decode()
    place = exif.get_ifd(GPS)
    place[1], place[2] = "N", (40.0, 25.0, 7.5)
    return exif


def colours(width: int = 120, height: int = 80) -> Image.Image:
    red, green = Image.linear_gradient("L").resize((width, height)), Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (red, green, Image.new("L", (width, height), 90)))


def talkative(path: Path, kind: str, orientation: int = 1) -> Path:
    """A picture that tells a lot in every way that its format has."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", CANARY.decode())
    texts.add_itxt("XML:com.adobe.xmp", f"<x>{CANARY.decode()}</x>")
    xmp = b"<x:xmpmeta>" + CANARY + b"</x:xmpmeta>"
    kinds: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": told(orientation), "comment": CANARY, "xmp": xmp},
        "PNG": {"exif": told(orientation), "pnginfo": texts},
        "WEBP": {"exif": told(orientation), "xmp": xmp},
        "GIF": {"comment": CANARY},
    }
    colours().save(path, kind, **kinds[kind])
    assert CANARY in path.read_bytes()
    return path


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_nothing_about_the_maker_leaves(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    picture = prepare(talkative(tmp_path / "a", kind), out)
    assert CANARY not in out.getvalue()
    assert CANARY not in picture.thumb
    with Image.open(io.BytesIO(out.getvalue())) as sent:
        assert sent.format == kind
        assert dict(sent.getexif()) == {}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_upright_when_its_exif_goes(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    picture = prepare(talkative(tmp_path / "a", kind, orientation=6), out)
    assert (picture.width, picture.height) == (80, 120)
    with Image.open(io.BytesIO(out.getvalue())) as sent:
        assert sent.size == (80, 120)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_stays_one(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), (i * 40, 0, 0)) for i in range(5)]
    path, out = tmp_path / "a", io.BytesIO()
    extra = {"comment": CANARY} if kind == "GIF" else {"exif": told()}
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=70, loop=0, **extra)
    prepare(path, out)
    assert CANARY not in out.getvalue()
    with Image.open(io.BytesIO(out.getvalue())) as sent:
        assert getattr(sent, "n_frames", 1) == 5


@pytest.mark.slow
def test_a_thumbnail_is_a_small_jpeg_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.effect_noise((900, 700), 120).convert("RGB").save(path)
    picture = prepare(path, io.BytesIO())
    assert 0 < len(picture.thumb) <= limits.FILE_THUMB_MAX_BYTES
    with Image.open(io.BytesIO(picture.thumb)) as thumb:
        assert (thumb.format, max(thumb.size)) == ("JPEG", 320)
    assert picture.blurhash


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixels_has_a_thumbnail(mode: str, tmp_path: Path) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    colours(40, 30).convert("L" if mode == "I;16" else mode).convert(mode).save(tmp_path / "a", kind)
    assert prepare(tmp_path / "a", io.BytesIO()).thumb


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims a size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (8001, 8000), (70_000, 1), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_what_its_header_says(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "bomba.png"
    path.write_bytes(png_of(width, height))
    with pytest.raises(InputError, match="image_too_large"):
        prepare(path, io.BytesIO())


@pytest.mark.parametrize(
    "content",
    [PNG, png_of(10, 10), png_of(10, 10, b"junk"), b"\xff\xd8\xff\xe0junk", b"GIF89a\x01", b"RIFF....WEBP"],
    ids=["head only", "no data", "bad data", "jpeg", "gif", "webp"],
)
def test_a_broken_picture_is_refused_in_words(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rota"
    path.write_bytes(content)
    assert is_picture(path)
    with pytest.raises(InputError, match="image_invalid"):
        prepare(path, io.BytesIO())


def test_a_format_that_is_not_on_the_list_is_not_decoded(tmp_path: Path) -> None:
    colours().save(tmp_path / "a.tiff", "TIFF")
    assert not is_picture(tmp_path / "a.tiff")
    with pytest.raises(InputError, match="image_invalid"):
        prepare(tmp_path / "a.tiff", io.BytesIO())


# --- pictures of people ---


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_portrait_is_the_middle_square_and_nothing_else(kind: str, tmp_path: Path) -> None:
    data = portrait(talkative(tmp_path / "a", kind))
    assert CANARY not in data
    with Image.open(io.BytesIO(data)) as made:
        assert (made.format, made.size, dict(made.getexif())) == ("JPEG", (80, 80), {})
    assert is_portrait(data)


def test_a_portrait_stands_upright(tmp_path: Path) -> None:
    half = Image.new("RGB", (80, 80), "white")
    half.paste("black", (0, 0, 80, 40))
    half.save(tmp_path / "a.jpg", exif=told(orientation=3), quality=95)
    with Image.open(io.BytesIO(portrait(tmp_path / "a.jpg"))) as made:
        grey = made.convert("L")
        top, bottom = grey.getpixel((40, 4)), grey.getpixel((40, 75))
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert (top > 200, bottom < 60) == (True, True)


@pytest.mark.slow
def test_a_portrait_fits_whatever_the_picture(tmp_path: Path) -> None:
    noise = Image.effect_noise((1200, 900), 120).convert("RGB")
    noise.save(tmp_path / "a.png")
    assert len(portrait(tmp_path / "a.png")) <= limits.PROFILE_PICTURE_BYTES
    small = portrait(tmp_path / "a.png", 128, 8 << 10)
    assert len(small) <= 8 << 10
    with Image.open(io.BytesIO(small)) as made:
        assert made.size == (128, 128)


def test_a_portrait_of_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + CANARY)
    with pytest.raises(InputError, match="image_invalid"):
        portrait(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="file_unreadable"):
        portrait(tmp_path / "missing.jpg")


def test_only_a_small_jpeg_is_a_portrait() -> None:
    def encoded(kind: str, side: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (side, side)).save(out, kind)
        return out.getvalue()

    assert is_portrait(encoded("JPEG", 512))
    for data in (encoded("JPEG", 513), encoded("PNG", 64), encoded("JPEG", 64)[:20], b"", CANARY):
        assert not is_portrait(data)
