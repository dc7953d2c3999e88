"""Say in one line which system libraries Qt lacks, and how to install them; exit code 1 then, 0 when Qt starts.

Run by the Python of the virtual environment. Looks with `ldd` at Qt's own libraries, so that all that is missing is
named at once; then starts an application without a screen, which is the proof.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# For each library its package on Debian and Ubuntu, and on Fedora.
PACKAGES = {
    "libEGL.so.1": ("libegl1", "libglvnd-egl"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libGLX.so.0": ("libglx0", "libglvnd-glx"),
    "libOpenGL.so.0": ("libopengl0", "libglvnd-opengl"),
    "libX11.so.6": ("libx11-6", "libX11"),
    "libX11-xcb.so.1": ("libx11-xcb1", "libX11-xcb"),
    "libdbus-1.so.3": ("libdbus-1-3", "dbus-libs"),
    "libfontconfig.so.1": ("libfontconfig1", "fontconfig"),
    "libfreetype.so.6": ("libfreetype6", "freetype"),
    "libglib-2.0.so.0": ("libglib2.0-0", "glib2"),
    "libgthread-2.0.so.0": ("libglib2.0-0", "glib2"),
    "libxcb.so.1": ("libxcb1", "libxcb"),
    "libxcb-cursor.so.0": ("libxcb-cursor0", "xcb-util-cursor"),
    "libxcb-icccm.so.4": ("libxcb-icccm4", "xcb-util-wm"),
    "libxcb-image.so.0": ("libxcb-image0", "xcb-util-image"),
    "libxcb-keysyms.so.1": ("libxcb-keysyms1", "xcb-util-keysyms"),
    "libxcb-randr.so.0": ("libxcb-randr0", "libxcb"),
    "libxcb-render.so.0": ("libxcb-render0", "libxcb"),
    "libxcb-render-util.so.0": ("libxcb-render-util0", "xcb-util-renderutil"),
    "libxcb-shape.so.0": ("libxcb-shape0", "libxcb"),
    "libxcb-shm.so.0": ("libxcb-shm0", "libxcb"),
    "libxcb-sync.so.1": ("libxcb-sync1", "libxcb"),
    "libxcb-util.so.1": ("libxcb-util1", "xcb-util"),
    "libxcb-xfixes.so.0": ("libxcb-xfixes0", "libxcb"),
    "libxcb-xkb.so.1": ("libxcb-xkb1", "libxcb"),
    "libxkbcommon.so.0": ("libxkbcommon0", "libxkbcommon"),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0", "libxkbcommon-x11"),
}
LIBRARIES = ("lib/libQt6Core.so.6", "lib/libQt6Gui.so.6", "lib/libQt6Widgets.so.6", "lib/libQt6Network.so.6")
PLUGINS = ("plugins/platforms/libqoffscreen.so",)
PLUGINS_FOR_X11 = ("plugins/platforms/libqxcb.so",)
START = "from PyQt6.QtWidgets import QApplication; QApplication(['check'])"


def qt_folder() -> Path | None:
    """Return the folder of Qt's libraries inside the PyQt6 wheel, without importing Qt."""
    spec = importlib.util.find_spec("PyQt6")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) / "Qt6" if locations else None


def not_found(folder: Path) -> set[str]:
    """Return the system libraries that the loader does not find, all of them; empty where there is no `ldd`."""
    if shutil.which("ldd") is None:
        return set()
    names = LIBRARIES + PLUGINS + (PLUGINS_FOR_X11 if os.environ.get("DISPLAY") else ())
    files = [str(folder / name) for name in names if (folder / name).exists()]
    if not files:
        return set()
    output = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout  # noqa: S607
    return set(re.findall(r"^\s+(\S+) => not found", output, re.MULTILINE))


def start_error() -> str:
    """Start an application without a screen, in a process of its own; return what it complained about, or nothing."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    result = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=False, env=environment)
    if result.returncode == 0:
        return ""
    return result.stderr.strip().rpartition("\n")[2] or f"exit code {result.returncode}"


def advice(libraries: set[str]) -> str:
    """Return one line: what is missing, and the command that installs it."""
    known = [PACKAGES[name] for name in sorted(libraries) if name in PACKAGES]
    debian, fedora = (" ".join(sorted({pair[i] for pair in known})) for i in (0, 1))
    line = f"Qt needs system libraries that are missing: {', '.join(sorted(libraries))}."
    return f"{line} Debian/Ubuntu: apt-get install {debian} | Fedora: dnf install {fedora}" if known else line


def main() -> int:
    """Print nothing and return 0 when Qt starts."""
    folder = qt_folder()
    if folder is None:
        print("PyQt6 is not installed")
        return 1
    missing = not_found(folder)
    error = start_error()
    if not missing and not error:
        return 0
    missing |= set(re.findall(r"(lib\S+\.so[.\d]*): cannot open shared object file", error))
    print(advice(missing) if missing else f"Qt does not start: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
