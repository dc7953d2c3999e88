"""The tables: medians over the rounds, ratios to the bare limit and to ejabberd, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.lib.stats import table

Row = Mapping[str, Any]
Medians = dict[tuple[str, str, str], dict[str, Any]]
"""By work, disk and peer."""
_TRAFFIC: Final = (
    "messages_s",
    "x_bare",
    "x_ejabberd",
    "p50_ms",
    "p99_ms",
    "cpu_us",
    "server_cpu_us",
    "postgres_cpu_us",
)
_AROUND: Final = ("fsync_p50_ms", "fsync_p99_ms", "stolen_pct")
"""Of a loop that does nothing else in the same seconds (`benchmarks.lib.disk`); what the machine's host took away."""
COLUMNS: Final = {
    "W1": (*_TRAFFIC, "load_cpu_us", *_AROUND, "lost"),
    "W2": ("messages_s", "p50_ms", "p50_x_bare", "p95_ms", "p99_ms", "cpu_us", *_AROUND, "lost"),
    "10k": ("messages_s", "p50_ms", "p95_ms", "p99_ms", "cpu_us", "load_cpu_us", *_AROUND, "lost"),
    "W3": ("delivered_s", *_TRAFFIC[1:5], "cpu_us_per_delivery", "load_cpu_us", *_AROUND, "lost"),
    "W4": ("sessions", "kb_per_session", "server_pss_mb", "connect_cpu_us", "connect_s", "stolen_pct"),
}
_RATE: Final = {"W1": "messages_s", "W3": "delivered_s"}


def line(row: Row) -> str:
    """One measurement in a line, while the others run."""
    name = f"{row['work']} {row['peer']} round {row.get('round', 1)} ({row['disk']})"
    if "error" in row:
        return f"{name}: {row['error']}"
    columns = [column for column in COLUMNS[row["work"]] if isinstance(row.get(column), float)]
    return f"{name}: " + ", ".join(f"{column} {row[column]:,.2f}" for column in columns)


def report(rows: Sequence[Row]) -> str:
    """All tables."""
    found = medians(rows)
    parts = []
    for work, disk in dict.fromkeys((work, disk) for work, disk, _ in found):
        lines = [{"peer": peer, **found[key]} for key in found if key[:2] == (work, disk) and (peer := key[2])]
        note = ", the disk taken out: databases in memory" if disk == "memory" else ""
        parts.append(f"{work}{note} (medians of {max(one['rounds'] for one in lines)})")
        columns = [name for name in COLUMNS[work] if name not in _AROUND or any(name in one for one in lines)]
        parts.append(table(lines, ("peer", *columns)) + "\n")
    parts += [f"failed: {row['peer']} {row['work']}: {row['error']}" for row in rows if "error" in row]
    about = {row["peer"]: f"{row['peer']} {row.get('version', '')}: {row['durability']}" for row in rows}
    calibration = [value for row in rows for value in row["calibration_ms"]]
    parts += [
        "bars",
        table([*bars(found)], ("bar", "disk", "value", "wanted", "met")) + "\n",
        *about.values(),
        f"a fixed piece of Python took {min(calibration):.1f} to {max(calibration):.1f} ms",
    ]
    return "\n".join(parts)


def medians(rows: Iterable[Row]) -> Medians:
    """The median of every figure, with the ratios."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if "error" not in row:
            groups.setdefault((row["work"], row["disk"], row["peer"]), []).append(row)
    found = {key: _median(group) for key, group in groups.items()}
    for (work, disk, peer), figures in found.items():
        bare = found.get((work, disk, "bare-sqlite" if peer.endswith("sqlite") else "bare"))
        ejabberd = found.get((work, disk, "ejabberd"))
        rate = _RATE.get(work)
        if rate and bare:
            figures["x_bare"] = figures[rate] / bare[rate]
        if rate and ejabberd:
            figures["x_ejabberd"] = figures[rate] / ejabberd[rate]
        if work == "W2" and bare:
            figures["p50_x_bare"] = figures["p50_ms"] / bare["p50_ms"]
    return found


def _median(rows: Sequence[Row]) -> dict[str, Any]:
    figures: dict[str, Any] = {"rounds": len(rows)}
    for name, value in rows[0].items():
        if isinstance(value, int | float) and name != "round":
            figures[name] = statistics.median(row[name] for row in rows if name in row)
    return figures


_AT_LEAST: Final = "at least"
_AT_MOST: Final = "at most"
BARS: Final = (
    ("W1", "ours", "x_bare", _AT_LEAST, 0.5),
    ("W1", "ours", "x_ejabberd", _AT_LEAST, 8.0),
    ("W1", "ours", "cpu_us", _AT_MOST, 40.0),
    ("W1", "ours", "p99_ms", _AT_MOST, 25.0),
    ("W1", "ours-sqlite", "x_bare", _AT_LEAST, 0.5),
    ("W2", "ours", "p50_x_bare", _AT_MOST, 1.6),
    ("W2", "ours", "p99_ms", _AT_MOST, 2.5),
    ("W2", "ours-two", "p99_ms", _AT_MOST, 5.0),
    ("10k", "ours", "p99_ms", _AT_MOST, 5.0),
    ("W3", "ours", "x_bare", _AT_LEAST, 0.5),
    ("W3", "ours", "x_ejabberd", _AT_LEAST, 4.0),
    ("W3", "ours", "cpu_us_per_delivery", _AT_MOST, 5.0),
    ("W4", "ours", "kb_per_session", _AT_MOST, 14.0),
    ("W4", "ours", "connect_cpu_us", _AT_MOST, 400.0),
    ("W4 of 10,000", "ours", "server_pss_mb", _AT_MOST, 200.0),
)


def bars(found: Medians) -> list[dict[str, object]]:
    """Each bar beside its figure, as far as it was measured."""
    lines: list[dict[str, object]] = []
    for name, peer, figure, sense, wanted in BARS:
        for (work, disk, which), figures in found.items():
            if work != name.split()[0] or which != peer or figure not in figures:
                continue
            if "10,000" in name and figures["sessions"] < 10_000:
                continue
            met: Callable[[float], bool] = wanted.__le__ if sense == _AT_LEAST else wanted.__ge__
            value = float(figures[figure])
            lines.append(
                {
                    "bar": f"{name} {peer}: {figure}",
                    "disk": disk,
                    "value": value,
                    "wanted": f"{sense} {wanted:g}",
                    "met": "yes" if met(value) else "NO",
                }
            )
    return lines
