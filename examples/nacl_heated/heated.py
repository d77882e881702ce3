"""Molten NaCl, a slab in vacuum, learned at 1100 K and heated far outside of training.

``python examples/nacl_heated/heated.py`` learns a potential on the fly from a force field
that stands for DFT, and heats it to 3000 K three times: unwatched, watched to stop where
it is too unsure, and corrected by the oracle. It takes some minutes, can be killed and
started again at any moment, and writes ``heated.png``, ``heated.json`` and, for each run,
``report.html``. The same by the command line: learn.toml and produce.toml.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from ase import units

from mesobridge.atomistic.active.walkers import KB, Walker, system_of
from mesobridge.atomistic.named_oracle import NamedOracle
from mesobridge.atomistic.potential import CalculatorPotential
from mesobridge.atomistic.production.state import unpacked
from mesobridge.bridges.active_job import POTENTIAL, round_line, run_learning
from mesobridge.bridges.production_config import load_production
from mesobridge.bridges.production_job import (
    REPORT,
    production_lines,
    run_production,
    start_of,
)
from mesobridge.bridges.report.production import watched
from mesobridge.core.artefact import read_json, replacing, write_json, write_text
from mesobridge.core.errors import StageError
from mesobridge.core.md import stored
from mesobridge.core.script import plain_errors
from mesobridge.core.style import BLACK, BLUE, GREEN, ORANGE, finish, panels

HERE = Path(__file__).resolve().parent
#: Runs, by what is changed in produce.toml; bounds that nothing passes watch nothing.
STOP = ('kind = "correct"', 'kind = "stop"')
KINDS = {
    "unwatched": (STOP, ("force = 0.5", "force = 1e6\nenergy = 1e6")),
    "stopped": (STOP,),
    "corrected": (),
}
COLOURS = {"unwatched": ORANGE, "stopped": BLACK, "corrected": BLUE}
#: A try in seconds: the potential is a poor one.
SHORT = (
    ("steps = 300", "steps = 30"), ("warm_steps = 100", "warm_steps = 5"),
    ('horizon = "0.4 ps"', 'horizon = "0.02 ps"'), ("replicas = 3", "replicas = 1"),
    ("most = 100", "most = 34"), ('length = "3 ps"', 'length = "0.06 ps"'),
    ("segment = 25", "segment = 10"),
)  # fmt: skip


def written(out: Path, name: str, source: str, *changes: tuple[str, str]) -> Path:
    """A configuration with some words changed."""
    text = (HERE / source).read_text()
    for old, new in changes:
        text = text.replace(old, new)
    write_text(out / name, text)
    return out / name


def configured(out: Path, short: bool) -> dict[str, Path]:
    """All configurations, beside the structure and the oracle that they name."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("slab.xyz", "slab.xml"):
        with replacing(out / name) as temporary:
            shutil.copyfile(HERE / name, temporary)
    some = SHORT if short else ()
    paths = {"learned": written(out, "learn.toml", "learn.toml", *some)}
    for name, changes in KINDS.items():
        named = 'name = "corrected"', f'name = "{name}"'
        paths[name] = written(out, f"{name}.toml", "produce.toml", named, *some, *changes)
    return paths


class Truth:
    """What the oracle says of the states that a run kept."""

    def __init__(self, out: Path):
        named = NamedOracle(kind="openmm", path=str(out / "slab.xml"))
        self.oracle = CalculatorPotential(named())
        self.start = start_of(load_production(out / "corrected.toml"), out)
        self.system = system_of([self.start])

    def along(self, folder: Path) -> dict[str, list[float]]:
        """Time (ps), temperature (K), and errors.

        That of the energy is of the oracle's energy and of motion, less the heat of the
        thermostat and less the same at the start, meV per atom; of forces the largest of
        all atoms, eV/A (zero where they are the oracle's).
        """
        v = self.start.get_velocities() * units.fs
        first = self._energy(Walker(self.start.positions, v))[0]
        found: dict = {"time": [], "temperature": [], "energy": [], "force": []}
        for path in sorted((folder / "segments").glob("*.npz")):
            state = unpacked(stored(path))[0]  # type: ignore[arg-type]
            w, n = state.walker, len(self.system.masses)
            energy, forces = self._energy(w)
            off = np.linalg.norm(forces - state.found.forces, axis=1).max()
            found["time"].append(1e-3 * state.time)
            found["temperature"].append(self.system.kinetic(w.v) / (1.5 * KB * n))
            found["energy"].append(1e3 * (energy - first) / n)
            found["force"].append(float(off))
        return found

    def _energy(self, w: Walker) -> tuple[float, np.ndarray]:
        """With that of motion, less the heat; and forces."""
        s = self.system
        true = self.oracle.evaluate(w.x, s.species, s.box, s.pbc, stress=False)
        return true.energy + s.kinetic(w.v) - w.heat, true.forces


def produced(paths: dict[str, Path], out: Path, truth: Truth) -> dict[str, dict]:
    """All runs: what they came to, and how far they are from the truth."""
    found = {}
    for name in KINDS:
        print(f"{name}:", flush=True)
        failed, folder = "", out / name
        try:
            _, ended = run_production(paths[name], out, quiet=True,
                                      potential=out / "learned" / POTENTIAL)  # fmt: skip
            print("\n".join(production_lines(folder, ended)))
        except StageError as exc:  # that it blew up is a result
            failed = exc.what
            print(failed)
        path = truth.along(folder)
        errors = np.abs([0.0, *path["energy"]])
        print(f"truth     energy error {np.sqrt(np.mean(errors**2)):.1f} meV/atom, worst "
              f"{errors.max():.1f}", flush=True)  # fmt: skip
        summary = read_json(folder / "summary.json")
        found[name] = {"failed": failed, "summary": summary, "truth": path}
    return found


def drawn(found: dict[str, dict], out: Path, budget: float, bound: float) -> None:
    """Temperature, energy errors, and how unsure it was."""
    figure, (hot, energy, unsure) = panels(3, width=11.5, height=3.6)
    for name, run in found.items():
        path, how = run["truth"], {"color": COLOURS[name], "label": name}
        if name == "stopped":
            at = 1e-3 * run["summary"]["time"]
            hot.axvline(at, ls="--", **how)
            energy.axvline(at, ls="--", color=BLACK)
            continue
        hot.plot(path["time"], path["temperature"], **how)
        energy.plot(path["time"], path["energy"], color=COLOURS[name])
    energy.axhspan(-budget, budget, color=BLUE, alpha=0.15, lw=0, label="asked")
    seen = watched(out / "unwatched")
    unsure.plot(seen.time, seen.std, color=GREEN, label="standard deviation, largest")
    path = found["unwatched"]["truth"]
    # Of three components, as standard deviations are of one.
    unsure.plot(path["time"], np.array(path["force"]) / 3**0.5, ".", color=ORANGE,
                label="error found, largest")  # fmt: skip
    unsure.axhline(bound, color=BLACK, lw=0.8, ls=":", label="bound")
    for ax in (energy, unsure):  # room for a legend
        low, high = ax.get_ylim()
        ax.set_ylim(top=high + 0.3 * (high - low))
    finish(hot, "Heated from 1100 K", "time (ps)", "temperature (K)")
    finish(energy, "Energy by the oracle", "time (ps)", "error (meV/atom)")
    finish(unsure, "Forces, unwatched", "time (ps)", "component (eV/A)")
    with replacing(out / "heated.png") as temporary:
        figure.savefig(temporary, format="png", dpi=150)


@plain_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="some seconds, for a try")
    parser.add_argument("--out", type=Path, default=Path("runs/nacl_heated"))
    options = parser.parse_args()
    out = options.out
    paths = configured(out, options.short)
    _, last = run_learning(paths["learned"], out)
    print(f"learned:\n{round_line(last)}", flush=True)
    found = produced(paths, out, Truth(out))
    write_json(out / "heated.json", found)
    config = load_production(paths["corrected"])
    drawn(found, out, config.answer.budget, config.trigger.force)
    print(f"{out / 'heated.png'}, {out / 'corrected' / REPORT}")


if __name__ == "__main__":
    main()
