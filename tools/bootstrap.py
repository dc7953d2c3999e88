"""Make the development environment: a virtual environment with exactly what the lock file says.

    python3 tools/bootstrap.py [--venv DIR] [--qt require|warn|skip]

Needs only Python's standard library. Does nothing, quickly, when nothing has changed since the last time. Whatever is
missing on the machine is named in one line. Exit codes: 0 ready, 1 something is missing, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "locks" / "dev.txt"
BIN = "Scripts" if os.name == "nt" else "bin"
SOURCE_ONLY = "forbiddenfruit"
UNREACHABLE = "the locked packages could not be installed: is the package index reachable? (see above)"


class MissingError(Exception):
    """Something this machine lacks; the message is one line that says what, and how to get it."""


def say(text: str) -> None:
    """Print one line to the terminal, apart from the output of the commands."""
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def run(*command: object, quiet: bool = False) -> bool:
    """Run a command and tell whether it succeeded; `quiet` hides what it says."""
    sink = subprocess.DEVNULL if quiet else None
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    return subprocess.call([str(part) for part in command], stdout=sink, stderr=sink, env=environment, cwd=ROOT) == 0


def fingerprint() -> str:
    """Return a hash of everything the environment depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (LOCK, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_venv(venv: Path) -> None:
    """Make the virtual environment, unless one that works is there; raises MissingError without Python's venv."""
    python = venv / BIN / "python"
    if python.exists() and run(python, "-m", "pip", "--version", quiet=True):
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise MissingError(f"Python's venv module is missing: apt-get install python3-venv (or python{version}-venv)")
    say(f"making {venv.name} with Python {version}")
    if not run(sys.executable, "-m", "venv", "--clear", venv):
        raise MissingError(f"`{sys.executable} -m venv {venv}` failed: apt-get install python3-venv, or see above")


def locked_requirement(name: str) -> str:
    """Return the block of the lock file that pins `name`, hashes included."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n +--hash=.*)+", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise MissingError(f"{LOCK.relative_to(ROOT)} does not pin {name}: run `make locks`")
    return found.group() + "\n"


def install_installers(python: Path) -> None:
    """Install, with pip, what installs the rest: uv, several times faster, and the backend of the one sdist."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "installers.txt"
        requirements.write_text(locked_requirement("uv") + locked_requirement("setuptools"), encoding="utf-8")
        if not run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", requirements):
            raise MissingError(UNREACHABLE)


def install_locked(python: Path) -> None:
    """Install what the lock pins, checked by hash. Nothing is compiled: all are wheels, or SOURCE_ONLY and pure Python.

    That one is built without isolation, so that its build backend comes from the lock as well.
    """
    say("installing the locked packages")
    install_installers(python)
    options = ("--require-hashes", "--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--no-build-isolation")
    if run(python, "-m", "uv", "pip", "install", "-q", "--python", python, *options, "-r", LOCK):
        return
    say("uv could not do it; trying pip")
    if not run(python, "-m", "pip", "install", "-q", *options, "-r", LOCK):
        raise MissingError(UNREACHABLE)


def install_project(python: Path) -> None:
    """Install the project itself in place, with the locked build backend."""
    if not run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT):
        raise MissingError("the project itself could not be installed (see above)")


def check_qt(python: Path, stamp: Path, *, required: bool) -> None:
    """Start Qt without a screen once; raises MissingError, or only says so, when a system library is missing."""
    if stamp.exists():
        return
    result = subprocess.run(
        [python, ROOT / "tools" / "check_qt.py"], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT
    )
    if result.returncode == 0:
        stamp.touch()
    elif required:
        raise MissingError(result.stdout.strip())
    else:
        say(result.stdout.strip())


def bootstrap(venv: Path, qt: str) -> None:
    """Bring the environment up to date."""
    stamp, wanted = venv / ".mensajeria-bootstrap", fingerprint()
    python, qt_stamp = venv / BIN / "python", venv / ".mensajeria-qt"
    if not (python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        make_venv(venv)
        install_locked(python)
        install_project(python)
        qt_stamp.unlink(missing_ok=True)
        stamp.write_text(wanted, encoding="utf-8")
    if qt != "skip":
        check_qt(python, qt_stamp, required=qt == "require")


def main() -> int:
    """Read the arguments, do the work, turn what is missing into one line and exit code 1."""
    parser = argparse.ArgumentParser(description="Make the development environment.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--qt", choices=("require", "warn", "skip"), default="warn", help="if Qt cannot start")
    arguments = parser.parse_args()
    try:
        bootstrap(arguments.venv.absolute(), arguments.qt)
    except MissingError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
