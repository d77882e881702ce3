"""Where a result comes from: the versions of software, in the words of all files."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from pathlib import Path

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


@functools.cache
def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()
