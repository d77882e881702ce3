"""``summary.json``: what every stage found, in one file."""

from __future__ import annotations

from .runner import Outcome


def merge(into: dict, other: dict) -> None:
    """Put `other` into `into`, dictionaries key by key."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def merge_results(into: dict, results: dict) -> None:
    """Add what a stage returned under ``"summary"`` and ``"measured"``."""
    for key in ("summary", "measured"):
        merge(into, results.get(key, {}))


def summarise(outcome: Outcome) -> dict:
    """Summary of a run: stages, times, memory, and the stages' own numbers."""
    summary: dict = {
        "stages": {
            name: {"wall_s": meta["wall_s"], "cached": name not in outcome.ran}
            for name, meta in outcome.metas.items()
        },
        "wall_s": outcome.wall_s,
        "peak_rss_mib": outcome.peak_rss_mib,
    }
    for meta in outcome.metas.values():
        merge_results(summary, meta["results"])
    return summary
