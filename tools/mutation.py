"""Mutation testing: change each check of the verifying code a little, and see that a quick test fails.

    make mutation [AREAS="membership keys"]    or    python tools/mutation.py [AREA ...]

mutmut (locks/mutation.txt) changes copies of the files of an area, below build/mutation/AREA, and runs the tests that
touch the changed function. What survives is printed as a diff, except where it is known: docs/mutation.md names those
with the reason why no check is weaker for them. Exit codes: 0 nothing unknown survives, 1 something does, 2 wrong usage
or the run itself failed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutation"
LIBRARIES = BUILD / "lib"
SOURCE = "src/mensajeria"
RECORD = ROOT / "docs" / "mutation.md"
KILLED_BY_A_TEST = {1, 3, -24, 24, 36, 152, 255}
"""Exit codes of mutmut's workers: failing tests, an endless loop, too much time."""
SURVIVED, WITHOUT_TESTS = 0, 33


@dataclass(frozen=True)
class Area:
    """Files that are judged by the same tests."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "membership": Area(
        ("protocol/membership.py", "protocol/membership_rules.py", "protocol/membership_state.py"),
        ("tests/protocol/test_membership.py", "tests/protocol/test_membership_bounds.py"),
    ),
    "keys": Area(
        ("protocol/devices.py", "protocol/prekeys.py", "protocol/signing.py", "protocol/succession.py"),
        (
            "tests/protocol/test_devices.py",
            "tests/protocol/test_bounds.py",
            "tests/protocol/test_key_owners.py",
            "tests/crypto/test_account.py",
            "tests/crypto/test_account_bounds.py",
        ),
    ),
    "tree": Area(
        ("kit/merkle.py", "protocol/transparency.py", "protocol/approval.py"),
        (
            "tests/kit/test_merkle.py",
            "tests/kit/test_merkle_whole.py",
            "tests/protocol/test_bounds.py",
            "tests/protocol/test_approval.py",
            "tests/protocol/test_records.py",
        ),
    ),
    "formats": Area(
        ("protocol/decoding.py", "protocol/encoding.py", "protocol/links.py"),
        ("tests/protocol/test_records.py", "tests/protocol/test_bounds.py", "tests/protocol/test_suites.py"),
    ),
    "channel": Area(
        ("protocol/codec.py", "protocol/connection.py"),
        ("tests/protocol/test_connection.py", "tests/protocol/test_bounds.py"),
    ),
    "sessions": Area(
        ("crypto/inbound.py", "crypto/sender.py"),
        ("tests/crypto/test_inbound.py", "tests/crypto/test_message.py", "tests/crypto/test_rotation.py"),
    ),
    "messages": Area(
        ("crypto/message.py", "crypto/padding.py", "crypto/aead.py", "crypto/body.py"),
        (
            "tests/crypto/test_message.py",
            "tests/crypto/test_message_bounds.py",
            "tests/crypto/test_body.py",
            "tests/crypto/test_seals.py",
            "tests/crypto/test_account.py",
        ),
    ),
    "envelopes": Area(
        ("crypto/todevice.py", "crypto/olm.py", "crypto/hpke.py"),
        ("tests/crypto/test_todevice.py", "tests/crypto/test_todevice_bounds.py", "tests/crypto/test_reprs.py"),
    ),
    "account": Area(
        ("crypto/identity.py", "crypto/root.py", "crypto/recovery.py", "crypto/device.py", "crypto/linking.py"),
        (
            "tests/crypto/test_account.py",
            "tests/crypto/test_account_bounds.py",
            "tests/crypto/test_identity.py",
            "tests/crypto/test_device_bounds.py",
            "tests/crypto/test_linking.py",
            "tests/crypto/test_rotation.py",
            "tests/crypto/test_copied_state.py",
            "tests/crypto/test_pickles.py",
            "tests/crypto/test_reprs.py",
            "tests/protocol/test_devices.py",
        ),
    ),
    "sealed": Area(
        ("crypto/files.py", "crypto/backup.py", "crypto/group_profile.py"),
        (
            "tests/crypto/test_files.py",
            "tests/crypto/test_backup.py",
            "tests/crypto/test_sealed_bounds.py",
            "tests/second/test_messages.py",
        ),
    ),
    "exported": Area(("crypto/backup_file.py",), ("tests/crypto/test_backup_file.py",)),
    "comparing": Area(
        ("crypto/sas.py", "crypto/safety.py", "client/core/sas.py"),
        (
            "tests/client/core/test_sas.py",
            "tests/client/core/test_sas_bounds.py",
            "tests/crypto/test_safety.py",
        ),
    ),
    "log": Area(
        ("client/core/keylog.py", "client/core/audit.py", "client/core/chatlog.py"),
        (
            "tests/client/core/test_keylog.py",
            "tests/client/core/test_frontier.py",
            "tests/client/core/test_audit.py",
            "tests/client/core/test_chatlog.py",
        ),
    ),
    "gaps": Area(
        ("client/engine/log_gaps.py",),
        ("tests/client/engine/test_log_gaps.py", "tests/client/engine/test_groups.py"),
    ),
    "people": Area(
        ("client/engine/people.py",),
        ("tests/client/engine/test_people.py", "tests/client/engine/test_identity_moves.py"),
    ),
    "healing": Area(
        ("client/engine/healing.py", "client/engine/giving.py", "client/engine/withheld.py"),
        (
            "tests/client/engine/test_healing.py",
            "tests/client/engine/test_healing_refused.py",
            "tests/client/engine/test_healing_bounds.py",
            "tests/client/engine/test_joining.py",
            "tests/client/engine/test_chosen_history.py",
            "tests/client/engine/test_giving_bounds.py",
            "tests/client/engine/test_withheld.py",
            "tests/client/engine/test_resending.py",
            "tests/client/engine/test_resending_long.py",
            "tests/client/engine/test_groups.py",
            "tests/client/engine/test_withheld_later.py",
            "tests/client/engine/test_group_names.py",
        ),
    ),
    "profiles": Area(
        (
            "crypto/user_profile.py",
            "protocol/records_profiles.py",
            "client/engine/profile_letters.py",
            "client/engine/user_profiles.py",
            "client/engine/group_profiles.py",
        ),
        (
            "tests/vectors/test_profile_vectors.py",
            "tests/client/engine/test_user_profiles.py",
            "tests/client/engine/test_user_profiles_trust.py",
            "tests/client/engine/test_user_profiles_bounds.py",
            "tests/client/engine/test_group_profiles.py",
            "tests/client/engine/test_groups.py",
            "tests/client/engine/test_withheld_later.py",
            "tests/client/engine/test_group_names.py",
        ),
    ),
    "moves": Area(
        ("client/engine/identity_moves.py", "client/engine/former_people.py", "client/engine/former_life.py"),
        (
            "tests/client/engine/test_identity_moves.py",
            "tests/client/engine/test_own_moves.py",
            "tests/client/engine/test_former_members.py",
            "tests/client/engine/test_former_people.py",
            "tests/client/engine/test_former_life.py",
        ),
    ),
    "logins": Area(("client/account_checks.py",), ("tests/client/test_account_checks.py",)),
    "resending": Area(("client/engine/resending.py",), ("tests/client/engine/test_resending.py",)),
}


@dataclass(frozen=True)
class Mutant:
    """One change that was tried."""

    module: str
    name: str
    number: int
    exit_code: int
    diff: str
    only_text: bool

    @property
    def survived(self) -> bool:
        """Whether no test noticed."""
        return self.exit_code in {SURVIVED, WITHOUT_TESTS}


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def prepare(name: str, area: Area) -> Path:
    """Copy the project to where its files are changed, with mutmut's settings."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("src", "tests", "docs", "tools", "locks", "pyproject.toml", "CHANGELOG.md"):
        origin = ROOT / part
        if origin.is_dir():
            shutil.copytree(origin, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(origin, folder / part)
    configure(folder, area)
    return folder


def configure(folder: Path, area: Area) -> None:
    """Write mutmut's settings behind those of the project."""
    settings = {
        "source_paths": ["src/"],
        "only_mutate": [f"{SOURCE}/{file}" for file in area.files],
        "pytest_add_cli_args_test_selection": area.tests,
        "pytest_add_cli_args": [
            "-q",
            "-m",
            "not slow",
            "--hypothesis-profile=mutation",
            "-p",
            "no:randomly",
            "-p",
            "no:xdist",
            "-p",
            "no:cacheprovider",
        ],
        "also_copy": ["docs"],
        "use_git_change_detection": False,
    }
    lines = ["", "[tool.mutmut]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items()), ""]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(project + "\n".join(lines), encoding="utf-8")


def reset(folder: Path, area: Area) -> None:
    """Have what survived tried again, and every function that was changed since, with the tests of now."""
    for part in ("src", "tests"):
        shutil.rmtree(folder / part)
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    configure(folder, area)
    for file in area.files:
        (folder / SOURCE / file).touch()  # for mutmut, which compares each function with what it was
        path = folder / "mutants" / SOURCE / f"{file}.meta"
        if not path.exists():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        codes = found["exit_code_by_key"]
        found["exit_code_by_key"] = {key: code if code in KILLED_BY_A_TEST else None for key, code in codes.items()}
        path.write_text(json.dumps(found), encoding="utf-8")


def install() -> None:
    """Put mutmut, with what it needs, where only these runs find it."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--require-hashes", "--no-deps"]
    subprocess.run([*command, "--target", str(LIBRARIES), "-r", str(ROOT / "locks" / "mutation.txt")], check=True)


def run(folder: Path) -> int:
    """Run mutmut; what it says goes to a file."""
    environment = {**os.environ, "PYTHONPATH": str(LIBRARIES), "NO_COLOR": "1"}
    with (folder / "mutmut.log").open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "mutmut", "run"]
        return subprocess.call(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def functions(tree: ast.AST) -> dict[str, ast.AST]:
    """Every function of a file of mutants by its name, which names its number too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in ast.walk(tree) if isinstance(node, kinds)}


class _WithoutTexts(ast.NodeTransformer):
    """What is raised, without its sentence: nobody decides anything by it."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                _drop_text(call)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if ast.unparse(node.func) == "super().__init__":
            _drop_text(node)
        return node


CODED = {"SecurityError", "LogViolationError", "VoidEventError", "_RefusedError"}
"""Exceptions whose one argument is a code, by which others decide."""


def _drop_text(call: ast.Call) -> None:
    if call.args and _is_text(call.args[-1], coded=ast.unparse(call.func) in CODED):
        call.args[-1] = ast.Constant("a sentence")


def _is_text(value: ast.expr, *, coded: bool) -> bool:
    if isinstance(value, ast.Constant):
        return not coded or (isinstance(value.value, str) and " " in value.value)
    return isinstance(value, ast.JoinedStr) or ast.unparse(value) in {
        "str(error)",
        "str(None)",
        "did.hex()",
        "str(index)",
        "listed.did.hex()",
        "cause.value",
    }


def plain(function: ast.AST, name: str) -> str:
    """Return a function's source under the name it has in the project."""
    copied = copy.deepcopy(function)
    assert isinstance(copied, ast.FunctionDef | ast.AsyncFunctionDef)
    copied.name = name
    return ast.unparse(copied)


def mutants_of(folder: Path, file: str) -> Iterator[Mutant]:
    """Read what mutmut found for one file."""
    path = folder / "mutants" / SOURCE / file
    codes = json.loads(path.with_name(path.name + ".meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    known = functions(ast.parse(path.read_text(encoding="utf-8")))
    for key, code in codes.items():
        function, number = key.rsplit(".", 1)[1].rsplit("__mutmut_", 1)
        name = re.sub("^x_?", "", function).replace("ǁ", ".").lstrip(".")
        before, after = known[f"{function}__mutmut_orig"], known[f"{function}__mutmut_{number}"]
        texts = [plain(one, name.rsplit(".", maxsplit=1)[-1]) for one in (before, after)]
        diff = difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), lineterm="", n=1)
        shown = "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))
        same = [ast.dump(_WithoutTexts().visit(ast.parse(text))) for text in texts]
        yield Mutant(file, name, int(number), -1 if code is None else code, shown, same[0] == same[1])


def changed_lines(diff: str) -> str:
    """What distinguishes a mutant in the list of the known ones."""
    changed = (line for line in diff.splitlines() if line[:1] in {"-", "+"})
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in changed)


def known_survivors() -> set[tuple[str, str]]:
    """Read (function, changed lines) from the document's blocks: their first line names file and function."""
    if not RECORD.exists():
        return set()
    blocks = re.findall(r"```diff\n# (\S+)\n(.*?)```", RECORD.read_text(encoding="utf-8"), re.DOTALL)
    return {(where, one.strip()) for where, block in blocks for one in block.split("\n\n")}


def judge(name: str, area: Area, *, keep: bool, again: bool) -> int:
    """Try the mutants of an area; returns how many survive that nobody knows."""
    folder = BUILD / name if keep or again else prepare(name, area)
    if again:
        reset(folder, area)
    for torn in [path for path in folder.rglob("*.meta") if not path.stat().st_size]:
        torn.unlink()  # the last run was ended while it wrote this
    if run(folder) != 0:
        say((folder / "mutmut.log").read_text(encoding="utf-8")[-2000:])
        raise SystemExit(2)
    return report(folder, area)


def report(folder: Path, area: Area) -> int:
    """Print the table's rows of an area and each survivor that is not known."""
    known, unknown = known_survivors(), []
    for file in area.files:
        tried = list(mutants_of(folder, file))
        survived = [one for one in tried if one.survived]
        killed = sum(one.exit_code in KILLED_BY_A_TEST for one in tried)
        other = len(tried) - killed - len(survived)
        texts = sum(one.only_text for one in survived)
        say(
            f"| `{file}` | {len(tried)} | {killed} | {texts} | {len(survived) - texts} |"
            + (f" {other}?" if other else "")
        )
        unknown += [
            one
            for one in survived
            if not one.only_text and (f"{one.module}:{one.name}", changed_lines(one.diff).strip()) not in known
        ]
    for one in unknown:
        say(f"\n# {one.module}:{one.name} ({one.number}{', no test' if one.exit_code == WITHOUT_TESTS else ''})")
        say(one.diff)
    return len(unknown)


def main() -> int:
    """Judge the areas that were named, or all."""
    parser = argparse.ArgumentParser(description="mutation tests of the code that verifies")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--only", nargs="*", metavar="FILE", default=(), help="of these areas only these files")
    parser.add_argument("--install", action="store_true", help="install what locks/mutation.txt names first")
    parser.add_argument("--keep", action="store_true", help="go on with the last run of an area that was interrupted")
    parser.add_argument("--again", action="store_true", help="of the last run, only what survived or has changed")
    parser.add_argument("--report", action="store_true", help="only print what the last run has found")
    arguments = parser.parse_args()
    if wrong := set(arguments.areas) - set(AREAS):
        parser.error(f"no such area: {', '.join(sorted(wrong))}")
    if arguments.install:
        install()
    unknown = 0
    for name in arguments.areas or AREAS:
        say(f"\n## {name}")
        files = tuple(file for file in AREAS[name].files if not arguments.only or file in arguments.only)
        area = Area(files, AREAS[name].tests)
        if arguments.report:
            unknown += report(BUILD / name, area)
        else:
            unknown += judge(name, area, keep=arguments.keep, again=arguments.again)
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
