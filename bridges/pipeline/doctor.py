"""What an installation can do: libraries, DOLFINx, cores, memory."""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass

from ...core.provenance import version_of
from .limits import available_memory

#: Import name -> (distribution, what it is for).
LIBRARIES = {
    "numpy": ("numpy", "arrays"),
    "xarray": ("xarray", "hand-overs"),
    "h5netcdf": ("h5netcdf", "files"),
    "openmm": ("openmm", "molecular dynamics"),
    "torch": ("torch", "learned potentials"),
    "vesin": ("vesin", "neighbour lists"),
    "ase": ("ase", "oracles"),
    "MDAnalysis": ("MDAnalysis", "trajectories"),
    "dolfinx": ("fenics-dolfinx", "transport solver"),
}
DOLFINX_MEND = (
    "not there: `make setup` (Debian: apt-get install python3-dolfinx-real), "
    "conda-forge/pixi (pixi.toml), or the dolfinx Docker image"
)


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    name: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Import every library once and look at the machine."""
    findings = [Finding("python", True, platform.python_version())]
    findings += [_library(*item) for item in LIBRARIES.items()]
    gib = available_memory() / 2**30
    text = f"{os.cpu_count()} cores, {gib:.1f} GiB memory free"
    findings.append(Finding("machine", gib > 2, text))
    return findings


def _library(module: str, about: tuple[str, str]) -> Finding:
    distribution, purpose = about
    try:
        loaded = importlib.import_module(module)
    except Exception as exc:  # a broken library can raise anything while it loads
        why = DOLFINX_MEND if module == "dolfinx" else f"{type(exc).__name__}: {exc}"
        return Finding(module, False, f"for {purpose}; {why}")
    version = getattr(loaded, "__version__", None) or version_of(distribution)
    return Finding(module, True, f"{version} ({purpose})")
