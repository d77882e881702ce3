"""Force matching of 510 SPC/E waters beside VOTCA's csg_fmatch, and of a molecule.

The frames are in ``../shared/data``; ``csg_fmatch`` is in the package votca of Debian and
Ubuntu. Both are timed as commands of their own, in turns.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import alanine
import numpy as np
import torch
from figures import figure, in_turns

from mesobridge.coarse import ArrayFrames, Pairs, Spline, TrajectoryFrames, fit, match
from mesobridge.coarse.solving import penalty, solve
from mesobridge.coarse.terms import Bonded, Torsions

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
WATER = DATA / "spce510"
NAMES = {"tpr": "spce510.tpr", "gro": "spce510.gro", "trr": "spce510_300K_0.1ps.trr",
         "map": "spce510_votca_map.xml", "options": "spce510_votca_fm.xml"}  # fmt: skip
BEADS, FRAMES = 510, 300
MASSES = np.array([15.9994, 1.008, 1.008])
#: Knots 0.015 nm apart: VOTCA's forces are cubic splines, ours quadratic ones.
BASIS = Spline(0.24, 0.9, 44)
#: From where on pairs are not rare, nm: forces are compared from here.
COMMON = 0.26


def water(folder: Path, copies: int) -> list[TrajectoryFrames]:
    """The trajectory, so many times over."""
    files = str(folder / NAMES["gro"]), str(folder / NAMES["trr"])
    return [TrajectoryFrames(files, centres, forces)] * copies


def centres(x: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Centres of mass of molecules made whole, in rectangular boxes."""
    x = x.reshape(len(x), BEADS, 3, 3)
    arms, edges = x[:, :, 1:] - x[:, :, :1], box[:, None, None].diagonal(0, -2, -1)
    arms -= edges * np.rint(arms / edges)
    return x[:, :, 0] + np.einsum("fbak,a->fbk", arms, MASSES[1:] / MASSES.sum())


def forces(f: np.ndarray) -> np.ndarray:
    """Forces on molecules."""
    return f.reshape(len(f), BEADS, 3, 3).sum(2)


def command(folder: Path, copies: int) -> None:
    """Match and fit, as a command; tells CPU seconds and the table of forces."""
    torch.set_num_threads(1)
    imported = time.process_time()
    terms = [Pairs(("CG",) * BEADS, BASIS)]
    equations = match(terms, water(folder, copies), block=10)
    matched = fit(equations, terms, 100, 0)
    spent = time.process_time() - imported
    told = {
        "imports": imported, "pass": spent, "peak": peak(),
        "coefficients": matched.coefficients[0].tolist(),
    }  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


def peak() -> float:
    """Peak memory, MiB; what `wait4` tells holds that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def timed(arguments: list[str], folder: Path) -> tuple[float, str]:
    """User seconds, and what a command says."""
    told = folder / "told"
    with open(told, "wb") as out, open(os.devnull, "wb") as nowhere:
        here = os.getcwd()
        os.chdir(folder)
        child = os.posix_spawnp(
            arguments[0], arguments, {**os.environ, "OMP_NUM_THREADS": "1"},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                          (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)],
        )  # fmt: skip
        os.chdir(here)
        _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{arguments[0]} ended with status {status}")
    return used.ru_utime, told.read_text()


def beside_votca(folder: Path, copies: int, rounds: int) -> list[dict]:
    """Whole commands in turns, and the forces they find."""
    table = np.loadtxt(WATER / "spce510_votca_fmatch_CG-CG.force", usecols=(0, 1, 2))
    ours = [sys.executable, str(Path(__file__).resolve()), str(folder), str(copies)]
    votca = ["csg_fmatch", "--top", NAMES["tpr"], "--trj", NAMES["trr"],
             "--cg", NAMES["map"], "--options", NAMES["options"]]  # fmt: skip
    here = shutil.which(votca[0]) is not None
    both = [(timed(ours, folder), timed(votca, folder) if here else None)
            for _ in range(rounds)]  # fmt: skip
    own = [(used, json.loads(told)) for (used, told), _ in both]
    frames = FRAMES * copies
    only = np.array([told["pass"] for _, told in own])
    imports = np.median([told["imports"] for _, told in own])
    found = [
        figure("bead-frames per CPU-second, read to bands", BEADS * frames / min(only),
               "1/s", ">=", 200e3, f"fastest of {rounds}; imports take {imports:.2f} s"),
        *agreement(table, np.array(own[0][1]["coefficients"])),
        memory_figure(folder, own[0][1]["peak"], copies),
    ]  # fmt: skip
    if here:
        other = np.array([used for _, (used, _) in both])
        whole = np.median(other * copies / [used for used, _ in own])
        note = f"csg_fmatch: {np.median(other):.1f} s for {FRAMES} frames"
        found += [
            figure(f"whole command, {frames} frames / csg_fmatch, frames per CPU-second",
                   whole, "1", ">=", 10, note),
            figure("the same without our imports", np.median(other * copies / only), "1",
                   ">=", 10, note),
        ]  # fmt: skip
    return found


def agreement(table: np.ndarray, coefficients: np.ndarray) -> list[dict]:
    """Difference to VOTCA's own table over its block error, root mean squares."""
    r, force, error = table[(table[:, 0] >= COMMON - 1e-9) & (table[:, 0] < BASIS.stop)].T
    off = -BASIS.slope(torch.from_numpy(r)).numpy() @ coefficients - force
    size = [np.sqrt(np.mean(v**2)) for v in (off, error)]
    return [
        figure("forces' difference to VOTCA / its block error", size[0] / size[1], "1",
               "<=", 1, f"{size[0]:.2f} and {size[1]:.2f} kJ/mol/nm from {COMMON} nm on")
    ]  # fmt: skip


def memory_figure(folder: Path, once: float, copies: int) -> dict:
    """Peak memory of three times the frames."""
    script = str(Path(__file__).resolve())
    told = timed([sys.executable, script, str(folder), str(3 * copies)], folder)[1]
    ratio = json.loads(told)["peak"] / once
    return figure("peak memory of three times the frames", ratio, "1", "<=", 1.05,
                  f"{once:.0f} MiB with imports")  # fmt: skip


def exactness(folder: Path) -> list[dict]:
    """Dense least squares, and blocks that are joined."""
    terms, (source,) = [Pairs(("CG",) * BEADS, BASIS)], water(folder, 1)
    equations = match(terms, [source], block=10)
    once = match(terms, [source], block=150)
    joined = max(
        float(np.abs(a.sum(0) / b.sum(0).max() - b.sum(0) / b.sum(0).max()).max())
        for a, b in ((equations.gram, once.gram), (equations.moment, once.moment))
    )
    x, f, box = (np.concatenate(part) for part in zip(*source.chunks(0, 40), strict=True))
    design = terms[0].forces(torch.from_numpy(x), torch.from_numpy(box)).flatten(0, 2)
    wanted = design.numpy() @ np.linalg.lstsq(design.numpy(), f.ravel(), rcond=None)[0]
    few = match(terms, [ArrayFrames(x, f, box)], block=20)
    found = design.numpy() @ solve(few, penalty(few, terms), 0, np.ones((1, 2)))[0]
    off = np.abs(found - wanted).max() / np.abs(wanted).max()
    return [
        figure("forces' difference to dense least squares", off, "1", "<=", 1e-8),
        figure("joined blocks' difference to two blocks", joined, "1", "<=", 1e-10),
    ]


def workers(folder: Path, copies: int, rounds: int) -> list[dict]:
    """Wall time of two processes beside one."""
    terms, frames = [Pairs(("CG",) * BEADS, BASIS)], water(folder, copies)
    jobs = [lambda n=n: match(terms, frames, block=10, processes=n) for n in (1, 2)]
    one, two = np.median(in_turns(jobs, rounds, time.perf_counter), axis=0)
    note = f"{one:.2f} s and {two:.2f} s, load {os.getloadavg()[0]:.1f}"
    return [figure("two processes / one, speed-up", one / two, "1", ">=", 1.8, note)]


def molecule(rounds: int) -> list[dict]:
    """Five beads and 157 functions: frames per CPU-second."""
    frames = ArrayFrames(*alanine.frames())
    chain, reach = range(5), ((0.11, 0.18), (1.3, 2.8))
    terms = [
        Bonded(f"{kind} {k}", kind, (tuple(chain[k : k + n]),), Spline(*reach[n - 2], 8))
        for kind, n in (("distance", 2), ("angle", 3)) for k in range(6 - n)
    ]  # fmt: skip
    terms += [Torsions("map", ((alanine.PHI, alanine.PSI),), 4)]
    times = in_turns([lambda: match(terms, [frames], block=500)], rounds)
    functions = sum(term.size for term in terms)
    rate = len(frames) / times.min()
    return [figure(f"frames per CPU-second, 5 beads and {functions} functions", rate,
                   "1/s", ">=", 15e3, f"fastest of {rounds}")]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of force matching, where the data are."""
    torch.set_num_threads(1)
    if not WATER.is_dir():
        return []
    rounds = 1 if quick else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in NAMES.values():  # readers write their offsets beside
            (folder / file).symlink_to((WATER / file).resolve())
        return [
            *beside_votca(folder, 1 if quick else 4, rounds),
            *exactness(folder),
            *workers(folder, 2 if quick else 8, rounds),
            *molecule(3 * rounds),
        ]


if __name__ == "__main__":
    command(Path(sys.argv[1]), int(sys.argv[2]))
