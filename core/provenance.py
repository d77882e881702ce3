"""Where a result comes from: the versions of software, in the words of all files."""

from __future__ import annotations

import functools
import importlib.metadata

DISTRIBUTIONS = (
    "mesobridge", "numpy", "scipy", "xarray", "torch", "openmm", "MDAnalysis", "ase",
    "vesin", "fenics-dolfinx",
)  # fmt: skip


@functools.cache
def version_of(distribution: str) -> str:
    """Installed version of a distribution, ``"absent"`` when there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def versions() -> dict[str, str]:
    """Versions of all that results may depend on."""
    return {name: version_of(name) for name in DISTRIBUTIONS}
