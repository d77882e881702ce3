"""Where profiles come from: files and their hashes, settings, masses, thermostat."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...core.artefact import sha256
from ...core.provenance import versions

#: Names of the estimators of diffusion.
ESTIMATOR = (
    "D_perp: Fokker-Planck maximum likelihood, spline ln D, plateau over lags; "
    "D_par: mean-square displacement of survivors in windows"
)
#: Masses (Da) between which a hydrogen is a heavy one; no heavier atom is called H.
HEAVY, HEAVIEST = 1.5, 5.0
#: Deuterium, and helium, whose name may begin with H too.
NATURAL = (2.01410178, 4.002602)


def settings_text(**settings: object) -> str:
    """Settings as JSON: data classes become objects, whatever else is unknown text."""
    return json.dumps(settings, default=_plain, sort_keys=True)


def _plain(value: Any) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def origin_of(universe: Any) -> dict[str, str]:
    """Files of a universe, versions, and the time.

    Parameters
    ----------
    universe
        Of MDAnalysis; in memory or of a chain of files.

    Returns
    -------
    dict
        ``trajectory``, ``trajectory_sha256``, ``topology``, ``topology_sha256`` (as many
        hashes as names, parted by ", "; without those that are no files),
        ``versions`` (JSON) and ``created`` (UTC, ISO 8601).
    """
    found = {
        "versions": json.dumps(versions(), sort_keys=True),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    reader = universe.trajectory
    chained = getattr(reader, "filenames", None)
    for what, names in (
        ("trajectory", reader.filename if chained is None else chained),
        ("topology", universe.filename),
    ):
        paths = list(_files(names))
        found[what] = ", ".join(path.name for path in paths) or "in memory"
        if paths:
            found[f"{what}_sha256"] = ", ".join(map(_hash, paths))
    return found


def _files(names: Any) -> Iterator[Path]:
    """Those of one name, or several, that are files."""
    several = isinstance(names, (list, tuple, np.ndarray))
    for name in names if several else [names]:
        if isinstance(name, (str, Path)) and Path(name).is_file():
            yield Path(name)


def _hash(path: Path) -> str:
    about = path.stat()
    return _hash_of(str(path.resolve()), about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_of(path: str, size: int, changed: int) -> str:
    """Hash of a file as it is now: 0.7 s per GB, once for many profiles of it."""
    return sha256(path)


def heavy_hydrogens(universe: Any) -> bool | None:
    """Whether hydrogens carry mass of their neighbours (HMR); None when not known.

    Hydrogens are told by their element, else by their type or name; deuterium is none
    that was made heavy. Not known: masses that MDAnalysis guessed, atoms without names.
    """
    masses, guessed = np.asarray(universe.atoms.masses, dtype=float), _guessed(universe)
    light = (masses > 0) & (masses < HEAVIEST) if guessed else _heavy(masses)
    if not light.any():
        return False
    element, *others = (
        np.char.upper(getattr(universe.atoms[light], kind).astype(str))
        if hasattr(universe.atoms, kind)
        else np.full(light.sum(), "")
        for kind in ("elements", "types", "names")
    )
    names = [np.char.lstrip(text, "0123456789") for text in others]
    if not any((text != "").any() for text in (element, *names)):
        return None
    hydrogen = element == "H"
    for text in names:
        hydrogen |= (element == "") & np.char.startswith(text, "H")
    return None if guessed and hydrogen.any() else bool(hydrogen.any())


def any_heavy(hydrogens: np.ndarray) -> bool:
    """Whether any mass (Da) of hydrogens, shape (n,), is that of a heavy one."""
    return bool(_heavy(hydrogens).any())


def _heavy(masses: np.ndarray) -> np.ndarray:
    """Masses that no atom has, shape (n,)."""
    natural = (np.abs(masses[:, None] - NATURAL) < 1e-3).any(axis=1)
    return (masses > HEAVY) & (masses < HEAVIEST) & ~natural


def _guessed(universe: Any) -> bool:
    """Whether MDAnalysis made the masses from names."""
    told = getattr(getattr(universe, "_topology", None), "attrs", ())
    return any([a.is_guessed for a in told if a.attrname == "masses"][-1:])
