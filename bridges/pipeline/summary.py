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


def headline(summary: dict) -> list[str]:
    """The numbers a person asks for first, one line each; fewer when stages were left."""
    lines = []
    potential, bulk = summary.get("potential"), summary.get("bulk", {})
    if potential and "force_rmse_eV_A" in potential:
        share = potential["force_rmse_eV_A"] / potential["force_std_eV_A"]
        lines.append(f"potential force RMSE {100 * share:.1f} % of the forces' std")
    for name in ("Na", "Cl"):
        if f"D_{name}" in bulk:
            text = _interval(bulk[f"D_{name}"], 1e-9)
            lines.append(f"D bulk    {name} {text} 1e-9 m2/s")
    interface = summary.get("interface", {})
    if "closure_max_rel" in interface:
        worst, inside = interface["closure_max_rel"], interface["closure_inside"]
        lines.append(
            f"closure   max |c_PNP - c_MD| / c_bulk {worst:.3f}, "
            f"{100 * inside:.0f} % of cells within the 95 % band"
        )
    for name, item in interface.get("resistance_ohm_m2", {}).items():
        lines.append(f"R         {name} {_interval(item, 1e-12)} 1e-12 ohm m2")
    lines += [f"caution   {text}" for text in interface.get("cautions", ())]
    lines.append(f"wall      {summary['wall_s']:.0f} s")
    return lines


def _interval(item: dict, unit: float) -> str:
    low, high = item["ci95"]
    return f"{item['value'] / unit:.2f} [{low / unit:.2f}, {high / unit:.2f}]"
