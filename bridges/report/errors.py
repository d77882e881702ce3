"""Errors of potentials as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.page import Page

HEAD = (
    "quantity", "group", "element", "frames", "RMSE", "about the mean error", "MAE",
    "rms of reference",
)  # fmt: skip
#: Groups up to which all rows are shown.
GROUPS = 6


def error_tables(page: Page, rows: Sequence[dict]) -> None:
    """What `error_table` gives; where groups are many, theirs open on a click."""
    groups = {r["group"] for r in rows} - {"all"}
    if len(groups) <= GROUPS:
        page.table(HEAD, error_rows(rows))
        return
    page.table(HEAD, error_rows([r for r in rows if r["group"] == "all"]))
    for quantity in dict.fromkeys(r["quantity"] for r in rows):
        own = [r for r in rows if r["quantity"] == quantity and r["group"] != "all"]
        whole = {r["group"]: r["rmse"]["value"] for r in own if r["element"] is None}
        own.sort(key=lambda r: (-whole[r["group"]], r["element"] or ""))
        title = f"{quantity.replace('_', ' ')}, {len(groups)} groups, the worst first"
        page.folded_table(title, HEAD, error_rows(own))


def error_rows(rows: Sequence[dict]) -> list[tuple]:
    """Cells of a table under `HEAD`."""
    return [
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
    value = plain(item["value"])
    if item["ci95"] is None:
        return value
    low, high = map(plain, item["ci95"])
    return f"{value} [{low}, {high}]"


def plain(x: float) -> str:
    """Three digits, or whole numbers up to a million."""
    return f"{x:.0f}" if 1000 <= abs(x) < 1e6 else f"{x:.3g}"
