"""How fast profiles are beside reading the file, and beside other codes.

The trajectory is that of facts: 3000 atoms of water with noise, which decode as real ones
do. MAICoS is installed into a venv of its own, ``.dev/maicos``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
from figures import figure, in_turns
from MDAnalysis.analysis.lineardensity import LinearDensity

from mesobridge.atomistic.profiles import (
    Resolution,
    Species,
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.estimates import Electrics
from mesobridge.core.units import NM, PS

HERE = Path(__file__).resolve().parent
ATOMS, CELL = 3000, 31.0  # Angstrom
CELLS = 200
VIEW = View(300.0, electrics=Electrics("periodic"))
SPECIES = {"O": "name OW", "H1": "name HW1", "H2": "name HW2", "all O": "name OW"}


def written(folder: Path, frames: int) -> tuple[Path, Path]:
    """Topology with charges and trajectory, if they are not there."""
    top, xtc = folder / "water.gro", folder / f"water{frames}.xtc"
    u = universe(top, None)
    rng = np.random.default_rng(0)
    x = np.repeat(rng.uniform(0, CELL, (ATOMS // 3, 3)), 3, axis=0)
    x += rng.normal(0, 0.5, x.shape)
    noise = rng.normal(0, 0.3, (64, *x.shape))
    with mda.Writer(str(xtc), ATOMS) as writer:
        for k in range(frames):
            u.atoms.positions = x + noise[k % 64] + noise[(7 * k // 64) % 64]
            u.dimensions = [CELL] * 3 + [90.0] * 3
            u.trajectory.ts.time = float(k)
            writer.write(u.atoms)
    u.atoms.write(str(top))
    return top, xtc


def universe(top: Path, xtc: Path | None):
    """Water with names, masses and charges."""
    u = mda.Universe.empty(
        ATOMS, n_residues=ATOMS // 3, atom_resindex=np.repeat(np.arange(ATOMS // 3), 3),
        trajectory=True,
    )  # fmt: skip
    u.add_TopologyAttr("names", ["OW", "HW1", "HW2"] * (ATOMS // 3))
    u.add_TopologyAttr("resnames", ["SOL"] * (ATOMS // 3))
    u.add_TopologyAttr("masses", [16.0, 1.0, 1.0] * (ATOMS // 3))
    u.add_TopologyAttr("charges", [-0.8476, 0.4238, 0.4238] * (ATOMS // 3))
    if xtc is not None:
        u.load_new(str(xtc))
    return u


def read(u) -> None:
    """Every frame, and nothing else."""
    for _ in u.trajectory:
        pass


def densities(u, processes: int = 1):
    """All species and the charge."""
    how = Resolution(CELL / CELLS * 0.1 * NM, 0.0, len(u.trajectory) // 16 * PS, 50)
    view = View(300.0, electrics=VIEW.electrics, processes=processes)
    return density_profiles(u, SPECIES, how, view)


def beside_others(folder: Path, frames: int, rounds: int) -> list[dict]:
    """Ratios to reading, LinearDensity and MAICoS."""
    top, xtc = written(folder, frames)
    u = universe(top, xtc)
    binsize = CELL / CELLS
    jobs = [
        lambda: read(u),
        lambda: densities(u),
        lambda: LinearDensity(u.atoms, binsize=binsize).run(),
    ]
    for job in jobs[:2]:
        job()
    times = in_turns(jobs, rounds, time.perf_counter)
    raw, ours, linear = np.median(times, axis=0)
    note = (
        f"{ATOMS} atoms x {frames} frames, {CELLS} cells, 4 species, mass and charge, 50 "
        f"replicates: {frames / ours:.0f} frames/s, reading {frames / raw:.0f}"
    )
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    found = [
        figure("one pass / raw decode", ratio, "1", ">=", 0.75, note),
        figure("speed / LinearDensity", float(linear / ours), "1", ">=", 8,
               f"{frames / linear:.0f} frames/s; it takes three axes"),
    ]  # fmt: skip
    peer = maicos(top, xtc, binsize)
    if peer is not None:
        # Its interpreter may read faster or slower: both are told by reading.
        relative = (peer[1] / peer[0]) * ratio
        found.append(
            figure("speed / MAICoS DensityPlanar", float(relative), "1", ">=", 20,
                   f"{frames / peer[1]:.0f} frames/s, reading {frames / peer[0]:.0f}")
        )  # fmt: skip
    return found


def maicos(top: Path, xtc: Path, width: float) -> list[float] | None:
    """Seconds of reading and of DensityPlanar, or None where it cannot be installed."""
    place = HERE.parent / ".dev" / "maicos"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        done = subprocess.run(  # noqa: S603
            [str(python), "-m", "pip", "install", "-q", "maicos==0.12"], check=False
        )
        if done.returncode:
            return None
    told = subprocess.run(  # noqa: S603
        [str(python), str(HERE / "peers" / "density_maicos.py"), str(top), str(xtc),
         str(width)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    return json.loads(told.stdout.splitlines()[-1])


def two_processes(folder: Path, frames: int) -> list[dict]:
    """Speed-up of two processes on a long trajectory."""
    top, xtc = written(folder, frames)
    u = universe(top, xtc)
    read(u)
    times = in_turns(
        [lambda: densities(u), lambda: densities(u, 2)], 3, time.perf_counter
    )
    faster = float(np.median(times[:, 0] / times[:, 1]))
    note = f"{frames} frames, {np.median(times[:, 0]):.1f} s alone"
    return [figure("two processes, speed-up", faster, "1", ">=", 1.6, note)]


def memory(folder: Path, frames: int) -> list[dict]:
    """Growth of the peak memory from a tenth of a trajectory to all of it."""
    peaks = []
    for part in (frames // 10, frames):
        top, xtc = folder / "water.gro", folder / f"water{frames}.xtc"
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import profiles_speed as p; "
            "p.followed(p.universe(*map(p.Path, sys.argv[2:4])), int(sys.argv[4]))"
        )
        args = [sys.executable, "-c", code, str(HERE), str(top), str(xtc), str(part)]
        told = subprocess.run(args, check=True, capture_output=True, text=True)  # noqa: S603
        peaks.append(float(told.stdout.splitlines()[-1]))
    growth = peaks[1] / peaks[0] - 1
    more = peaks[1] + (peaks[1] - peaks[0]) / 0.9 * (1e6 / frames - 1)
    note = (
        f"{peaks[0]:.0f} MiB at {frames // 10}, {peaks[1]:.0f} MiB at {frames} frames, "
        f"333 molecules followed; 1e6 frames by this line: {more:.0f} MiB"
    )
    return [figure("growth of peak memory, tenfold frames", growth, "1", "<=", 0.1, note)]


def followed(u, frames: int) -> None:
    """Profiles with diffusion; writes the peak memory of this process in MiB."""
    how = Resolution(0.1 * NM, 4 * PS, 20 * PS, 50)
    view = View(300.0, electrics=VIEW.electrics, stop=frames)
    interface_profiles(u, {"water": Species("resindex 0:332", "residues")}, how, view)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{peak}\n")


def figures(*, quick: bool) -> list[dict]:
    """All figures of speed."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = beside_others(folder, 200 if quick else 1000, 2 if quick else 5)
        long = 1000 if quick else 20_000
        found += two_processes(folder, long)
        return found + memory(folder, long)
