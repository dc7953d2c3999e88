"""Names of files that somebody else chose: made harmless before they are shown or written to a disk.

A name may try to leave its folder (`../x`), to look like another type (right-to-left overrides, spaces at the end, a
second extension), to be a device (`CON`), or to be too long. What comes out is one path component that every system
takes, and is shown as it is written.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from mensajeria.protocol import limits

FALLBACK: Final = "archivo"
_MAX_BYTES: Final = 200
"""Leaves room for ` (2)` and for a temporary suffix within the 255 bytes that systems take."""
_MAX_EXTENSION: Final = 16
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (direction overrides, joiners), surrogates, private and unassigned ones, line separators."""
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in "0123456789¹²³"}
)
_RISKY: Final = frozenset(
    re.findall(
        r"\S+",
        "apk app appimage application appref-ms bash bat cmd com command cpl csh deb desktop dll dmg docm dotm elf "
        "exe fish gadget hta htm html inf ins iso jar jnlp js jse ksh lnk mht mhtml msc msh msi msix msp mst pif pkg "
        "potm ppam pptm ps1 ps2 psc1 psm1 py pyc pyw pyz rb reg rpm run scf scpt scr sct settingcontent-ms sh shb "
        "shtml slk so svg swf terminal url vb vbe vbs vbscript ws wsc wsf wsh xbap xhtml xlam xll xlsm xltm zsh",
    )
)
"""Types that a system runs, or shows with scripts in them, when they are opened."""
_RISKY_MEDIA: Final = frozenset(
    {
        "application/hta",
        "application/java-archive",
        "application/javascript",
        "application/vnd.android.package-archive",
        "application/vnd.microsoft.portable-executable",
        "application/x-dosexec",
        "application/x-elf",
        "application/x-executable",
        "application/x-msdownload",
        "application/x-sh",
        "application/x-shellscript",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/html",
        "text/javascript",
        "text/x-python",
        "text/x-shellscript",
    }
)


def safe_name(name: str) -> str:
    """The name as one harmless path component, at most 200 bytes, never empty; `safe_name` of it is itself."""
    clean = "".join(_harmless(char) for char in unicodedata.normalize("NFC", name))
    clean = " ".join(clean.split()).strip(". ")
    if clean.partition(".")[0].strip().lower() in _RESERVED:
        clean = f"_{clean}"
    stem, dot, extension = clean.rpartition(".")
    if not dot or len(extension.encode()) > _MAX_EXTENSION:
        stem, extension = clean, ""
    stem = _cut(stem, _MAX_BYTES - len(extension.encode()) - 1).strip(". ")
    if not stem:
        return f"{FALLBACK}.{extension}" if extension else FALLBACK
    return f"{stem}.{extension}" if extension else stem


def is_risky(name: str, media: str) -> bool:
    """Whether opening the file may run something: the person is asked first. Judges the name as it would be saved."""
    extension = safe_name(name).rpartition(".")[2].lower() if "." in safe_name(name) else ""
    return extension in _RISKY or media in _RISKY_MEDIA


def sent_name(name: str) -> str:
    """The name under which an own file is sent: what a recipient would make of it, within the protocol's limit."""
    return _cut(safe_name(name), limits.FILE_NAME_MAX_BYTES)


def numbered(name: str, number: int) -> str:
    """`foto.jpg` → `foto (2).jpg`; 1 is the name itself."""
    if number == 1:
        return name
    stem, dot, extension = name.rpartition(".")
    return f"{stem} ({number}).{extension}" if dot and stem else f"{name} ({number})"


def _harmless(char: str) -> str:
    if char in _FORBIDDEN:
        return "_"
    if unicodedata.category(char) in _INVISIBLE:
        return " " if char in "\t\n\r" else ""
    return char


def _cut(text: str, size: int) -> str:
    """The beginning, at most `size` bytes, no half character."""
    return text.encode()[: max(size, 0)].decode(errors="ignore")
