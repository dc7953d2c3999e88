"""Percentiles and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """The `share` percentile (0..1) of unsorted seconds, in ms; nan for none."""
    if not seconds:
        return float("nan")
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows as aligned text; a missing value is left empty."""
    texts = [columns, *[[_text(row.get(column)) for column in columns] for row in rows]]
    widths = [max(len(line[index]) for line in texts) for index in range(len(columns))]
    lines = []
    for first, *rest in texts:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
