"""Errors of potentials as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

HEAD = (
    "quantity", "group", "element", "frames", "RMSE", "about the mean error", "MAE",
    "rms of reference",
)  # fmt: skip


def error_rows(rows: Sequence[dict]) -> tuple[tuple, list[tuple]]:
    """Head and rows of a table of what `error_table` gives."""
    return HEAD, [
        (
            f"{r['quantity'].replace('_', ' ')} ({r['unit']})", r["group"],
            r["element"] or "all", str(r["frames"]), interval(r["rmse"]),
            interval(r.get("rmse_centred")), interval(r["mae"]), f"{r['rms']:.4g}",
        )
        for r in rows
    ]  # fmt: skip


def interval(item: dict | None) -> str:
    """``value [low, high]`` of an estimate, three digits."""
    if item is None:
        return ""
    value = f"{item['value']:.3g}"
    if item["ci95"] is None:
        return value
    return f"{value} [{item['ci95'][0]:.3g}, {item['ci95'][1]:.3g}]"
