"""Pictures before they are sent: turned upright, without EXIF, GPS and comments, with a thumbnail and a blurhash.

Blocks for as long as a picture takes: not for the loop's thread. Decoding is the dangerous part, so only common formats
are tried, and the size that a file declares is looked at before anything of it is decoded.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from mensajeria.client.errors import InputError
from mensajeria.kit import blurhash
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol import limits

if TYPE_CHECKING:
    from PIL import Image, ImageOps
else:  # loaded with the first picture
    Image = LazyModule("PIL.Image")
    ImageOps = LazyModule("PIL.ImageOps")

MAX_PIXELS: Final = 64_000_000
"""Of all frames together: about 200 MB decoded."""
MAX_FRAMES: Final = 500
FORMATS: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
THUMB_SIDE: Final = 320
PORTRAIT_SIDE: Final = 256
"""Of a person's picture; a group's is half as wide."""
GROUP_SIDE: Final = 128
PORTRAIT_MAX_SIDE: Final = 512
"""Of somebody else's: a later version may make larger ones."""
_HASH_SIDE: Final = 32
_QUALITIES: Final = (75, 55, 35, 20)
_PORTRAIT_QUALITIES: Final = (85, 75, 55, 35, 20)
_RIGHT_SIDE_UP: Final = 1
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True, slots=True)
class Picture:
    """What a message tells of a picture beside its bytes."""

    media: str
    width: int
    height: int
    blurhash: str
    thumb: bytes = field(repr=False)


def is_picture(path: Path) -> bool:
    """Whether the file begins like a picture that `prepare` knows. Its name does not count. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(16)
    jpeg, png, gif = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
    return head.startswith((jpeg, png, *gif)) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def prepare(path: Path, target: BinaryIO) -> Picture:
    """Write the picture without what it tells about its maker to `target`.

    Raises:
        InputError: image_too_large (it would not fit into memory), image_invalid.
        OSError: the file cannot be read, or the target not written.
    """
    with warnings.catch_warnings(), path.open("rb") as source:
        warnings.simplefilter("ignore")  # Pillow's own opinion about sizes: ours is stricter
        image = _opened(source)
        with image:
            _check_size(image)
            try:
                return _prepared(image, target)
            except (ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, MemoryError) as error:
                raise InputError("image_invalid", type(error).__name__) from error
            except OSError as error:
                if error.errno is not None:  # the disk's; Pillow's own have none
                    raise
                raise InputError("image_invalid", str(error)[:100]) from error


def portrait(path: Path, side: int = PORTRAIT_SIDE, max_bytes: int = limits.PROFILE_PICTURE_BYTES) -> bytes:
    """The middle square of a picture as a small JPEG, made from its pixels alone: nothing else of the file is left.

    Raises:
        InputError: image_too_large, image_invalid, file_unreadable.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as source:
            warnings.simplefilter("ignore")
            with _opened(source) as image:
                _check_size(image)
                return _square(image, side, max_bytes)
    except (ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, MemoryError) as error:
        raise InputError("image_invalid", type(error).__name__) from error
    except OSError as error:
        code = "image_invalid" if error.errno is None else "file_unreadable"
        raise InputError(code, str(error)[:100], params={"name": path.name}) from error


def is_portrait(data: bytes) -> bool:
    """Whether this begins as the small JPEG that `portrait` makes. Only the head is read: nothing is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                return image.format == "JPEG" and 0 < max(image.size) <= PORTRAIT_MAX_SIDE
    except (ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OSError, Image.DecompressionBombError):
        return False


def _square(image: Image.Image, side: int, max_bytes: int) -> bytes:
    """In the first of the qualities that fits. Raises InputError (image_too_large) when none does."""
    image.draft("RGB", (2 * side, 2 * side))
    upright = ImageOps.exif_transpose(image)
    edge = min(upright.size)
    left, top = (upright.width - edge) // 2, (upright.height - edge) // 2
    cut = upright.crop((left, top, left + edge, top + edge))
    small = _opaque(cut, side)
    for quality in _PORTRAIT_QUALITIES:
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= max_bytes:
            return out.getvalue()
    raise InputError("image_too_large")


def _opened(source: BinaryIO) -> Image.Image:
    try:
        return Image.open(source, formats=tuple(FORMATS))
    except Image.DecompressionBombError as error:
        raise InputError("image_too_large") from error
    except (ValueError, SyntaxError, EOFError, TypeError, OSError) as error:
        raise InputError("image_invalid", type(error).__name__) from error


def _check_size(image: Image.Image) -> None:
    """By what the header says. Counting frames reads only their heads."""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > limits.IMAGE_MAX_SIDE:
        raise InputError("image_too_large")
    try:
        frames = int(getattr(image, "n_frames", 1))
    except (ValueError, SyntaxError, EOFError, OSError) as error:
        raise InputError("image_invalid", type(error).__name__) from error
    if frames > MAX_FRAMES or frames * width * height > MAX_PIXELS:
        raise InputError("image_too_large")


def _prepared(image: Image.Image, target: BinaryIO) -> Picture:
    kind = str(image.format)
    if getattr(image, "n_frames", 1) > 1:
        _save_frames(image, kind, target)
        image.seek(0)
        upright = image
    else:
        upright = _save_still(image, kind, target)
    width, height = upright.size
    small = _opaque(upright, THUMB_SIDE)
    return Picture(FORMATS[kind], width, height, _blurhash(small), _thumbnail(small))


def _save_still(image: Image.Image, kind: str, target: BinaryIO) -> Image.Image:
    """Encode again: what is not named here does not come along. A JPEG that need not be turned keeps its quality."""
    upright = image
    if image.getexif().get(_ORIENTATION, _RIGHT_SIDE_UP) != _RIGHT_SIDE_UP:
        upright = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if kind == "JPEG":
        kept = upright is image
        options = {"quality": "keep"} if kept else {"quality": 92}
        upright.save(target, kind, exif=b"", comment=b"", xmp=b"", icc_profile=profile, **options)
    elif kind == "WEBP":
        upright.save(target, kind, quality=90, exif=b"", xmp=b"", icc_profile=profile)
    else:
        _bare(upright).save(target, kind, icc_profile=profile, **({"comment": b""} if kind == "GIF" else {}))
    return upright


def _bare(image: Image.Image) -> Image.Image:
    """The same pixels and transparency, without texts and times."""
    bare = image.copy()
    bare.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return bare


def _save_frames(image: Image.Image, kind: str, target: BinaryIO) -> None:
    """An animation, frame by frame, with its times and without anything else."""
    if kind == "JPEG":  # several pictures in one file (MPO): the first is what everybody sees
        image.seek(0)
        _save_still(image, kind, target)
        return
    timing = {name: image.info[name] for name in ("loop", "duration") if name in image.info}
    extra = {"comment": b""} if kind == "GIF" else {"exif": b""}
    if kind == "WEBP":
        extra["xmp"] = b""
    image.save(target, kind, save_all=True, **timing, **extra)


def _opaque(image: Image.Image, side: int) -> Image.Image:
    """A small RGB copy on white, with nothing but its pixels: a comment would come along into what is made of it."""
    small = image.copy()
    small.thumbnail((side, side))
    if small.mode in {"RGBA", "LA", "P", "PA"} or "transparency" in small.info:
        layered = small.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        small = Image.alpha_composite(ground, layered)
    small = small.convert("RGB")
    small.info = {}
    return small


def _blurhash(small: Image.Image) -> str:
    tiny = small.resize((min(small.width, _HASH_SIDE), min(small.height, _HASH_SIDE)))
    return blurhash.encode(tiny.tobytes(), tiny.width, tiny.height)


def _thumbnail(small: Image.Image) -> bytes:
    """As good as fits; none when nothing fits."""
    for quality in _QUALITIES:
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= limits.FILE_THUMB_MAX_BYTES:
            return out.getvalue()
    return b""
