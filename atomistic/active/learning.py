"""Active learning on the fly: run, stop where it is unsure, label, learn, go on.

Everything is kept in a folder, round by round, and labels in a store of their own: a loop
that was killed at any moment goes on where it stopped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from ...core.artefact import read_json, replacing, write_json
from ...core.errors import StageError
from ...core.md import store, stored
from ...core.progress import Show
from ...core.units import ANGSTROM, EV
from ..labels import Failed, Label, Labeller, labelled_frames
from ..potential import Potential, load_potential, save_potential
from ..potential.data import load_frames
from ..potential.train import STATE, TrainingResult, stored_note, train
from ..uncertainty import calibrate, coverage, with_uncertainty
from ..uncertainty.responses import features_of
from .exploration import Event, Exploration, explore
from .kept import claim, digest, packed, read_round, unpacked
from .selection import farthest
from .settings import ActiveSettings, Round
from .trigger import AWAY
from .walkers import Mover, started, system_of

Tell = Callable[[str, float, float, str], None]

#: Of labels, every so many are held out to calibrate on.
HELD_OUT = 4
#: Atoms of an unsure frame are flagged down to this part of the largest deviation.
FLAGGED = 0.5
#: Times the standard deviations usual in frames held out, at which walkers stop.
LOOSE = 2.0
#: Rounds in a row in which every walker fires at once, after which bounds are wrong.
STUCK = 4
POTENTIAL, WALK, ROUND = "potential.safetensors", "walk.npz", "round.json"
#: CPU seconds of a training and its calibration, whichever processes they were in.
SPENT = "spent.json"


def learn(
    starts: Sequence[Atoms],
    labeller: Labeller,
    settings: ActiveSettings,
    folder: Path,
    *,
    tell: Tell | None = None,
    heard: Callable[[Round], None] | None = None,
    show: Show = None,
) -> Potential:
    """Learn a potential of a system where its own dynamics goes.

    Parameters
    ----------
    starts
        One configuration of the system or several: same atoms, cell and charge.
    labeller
        Of the oracle.
    settings
        How.
    folder
        Of this learning; one that was stopped goes on with the same arguments, and one
        that ended at the most labels or rounds goes on with more.
    tell
        Called with ("training" or "walk", done, of how much, text).
    heard
        Called with every round that ends, also with those that ended before.
    show
        Progress of labels; see `core.progress.Show`.

    Returns
    -------
    Potential
        Calibrated; its file is ``potential.safetensors`` of the folder.

    Raises
    ------
    InputError
        When starts are not of one system, or the folder is of others or other settings.
    StageError
        When too many labels fail, or bounds are passed at once, round after round.
    """
    loop = _Loop(starts, labeller, settings, folder, tell, show)
    while not loop.ended:
        last = loop.round()
        if heard is not None:
            heard(last)
    return loop.finish()


@dataclass(frozen=True)
class _Learned:
    """What a round has learned: a training, and its potential, calibrated."""

    result: TrainingResult
    potential: Potential

    @property
    def force_rmse(self) -> float:
        """On frames held out, eV/A."""
        return float(self.result.curve[-1]["force_rmse"])


class _Loop:
    """Frames, walkers and potential, from round to round."""

    def __init__(self, starts, labeller: Labeller, s: ActiveSettings, folder, tell, show):
        self.show = show
        self.system = system_of(starts)
        self.starts, self.labeller, self.s, self.tell = list(starts), labeller, s, tell
        self.folder = Path(folder)
        claim(self.folder / "learning.json", "learning of other settings", {
            "settings": asdict(s), "oracle": labeller.settings,
            "species": list(self.system.species), "start": self._begun_with(),
        }, free=("most_labels", "most_rounds"))  # fmt: skip
        self.frames = self._first()
        self.walkers = {
            r: started(self.system, s.motion, starts[r % len(starts)].positions, r)
            for r in range(s.replicas)
        }
        self.training: list[xr.Dataset] = []
        self.held_out: list[xr.Dataset] = []
        self.last: _Learned | None = None
        self.rounds: list[Round] = []
        self.labels = self.failed = 0

    def _begun_with(self) -> str:
        """Rounds that are kept are those of these structures."""
        s, x = self.system, np.array([a.positions for a in self.starts])
        return digest(x, s.box, np.array(s.pbc), np.array(s.charge))

    def _first(self) -> list[np.ndarray]:
        """Starts with random displacements."""
        rng = np.random.default_rng([self.s.motion.seed, 7])
        found = []
        for k in range(self.s.first):
            size = self.s.displacement[k % len(self.s.displacement)]
            x = self.starts[k % len(self.starts)].positions
            found.append(x + rng.normal(0, size, x.shape))
        return found

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do, or no more may be done."""
        s, n = self.s, len(self.rounds)
        done = bool(n) and self.rounds[-1].done
        return done or n >= s.most_rounds or (n > 0 and self.labels >= s.most_labels)

    def round(self) -> Round:
        """Label, learn, calibrate, walk; or what a round that ended before came to."""
        here = self.folder / f"round-{len(self.rounds):03d}"
        here.mkdir(exist_ok=True)
        surprise = self._label(here)
        self.last = learned = self._learn(here)
        kept = stored(here / WALK)
        if kept is None:
            begun = time.process_time()
            found, chosen = self._walk(learned)
            ended = Round(
                len(self.rounds), self.labels, self.failed, learned.force_rmse, surprise,
                tuple(e.verdict.reason for e in found.events if e.stopped), found.passed,
                found.highest.force, found.highest.energy, not found.events,
                read_json(here / SPENT)["cpu_s"] + time.process_time() - begun,
            )  # fmt: skip
            write_json(here / ROUND, asdict(ended))
            kept = packed(found.walkers, chosen)
            store(here / WALK, kept)
        self.walkers, self.frames = unpacked(kept)
        self.rounds.append(read_round(here / ROUND))
        return self.rounds[-1]

    def _label(self, here: Path) -> tuple[float, float] | None:
        """Label the frames that were chosen; what the potential before says of them."""
        atoms = [self.system.atoms(x) for x in self._affordable(here)]
        # What failed may succeed after a restart, as long as nothing was learned without.
        again = not (here / POTENTIAL).is_file()
        found = self.labeller.label(atoms, self.show, again=again)
        good = [k for k, label in enumerate(found) if isinstance(label, Label)]
        failed = [label for label in found if isinstance(label, Failed)]
        self.failed += len(failed)
        if len(good) < 0.5 * len(found):
            raise StageError(
                f"{len(failed)} of {len(found)} labels failed", got=failed[-1].reason,
                mend="mend the oracle and run again: they are tried once more; "
                f"structures and reasons are in {self.labeller.store.folder}",
            )  # fmt: skip
        name, new = self.labeller.oracle.name, []
        for k in good:
            new += labelled_frames([atoms[k]], [found[k]], name)
            self.labels += 1
            held = self.labels % HELD_OUT == 0
            (self.held_out if held else self.training).append(new[-1])
        if self.last is None:
            return None
        seen = coverage(self.last.potential, new)
        inside = float(seen.found[list(seen.levels).index(0.95)])
        return inside, float(np.sqrt(np.mean(seen.error**2) / 3))

    def _affordable(self, here: Path) -> list[np.ndarray]:
        """Frames to label, no more than may be; as many as then, if it ended before."""
        most = self.s.most_labels - self.labels
        if (here / ROUND).is_file():
            before = read_round(here / ROUND)
            most = before.labels + before.failed - self.labels - self.failed
        return self.frames[:most]

    def _learn(self, here: Path) -> _Learned:
        """Train, from the weights of the round before, and calibrate."""
        begun, s, before = time.process_time(), self.s.training, None
        if self.last is not None:
            s = replace(s, steps=self.s.warm_steps, learning_rate=self.s.warm_rate)
            before = self.last.result
        # Of processes that were killed in it.
        spent = stored_note(here / STATE)["cpu"] if (here / STATE).is_file() else 0.0
        result = train(
            self.training, self.held_out, s, here, self._telling("training"), before
        )
        path = here / POTENTIAL
        if not (path.is_file() and (here / SPENT).is_file()):
            validity = {"frames": len(self.training), "oracle": self.labeller.oracle.name}
            bare = here / "bare.safetensors"
            save_potential(bare, result, validity)
            u = calibrate(load_potential(bare), self.training, self.held_out,
                          heads=self.s.heads)  # fmt: skip
            save_potential(path, result, validity, u)
            bare.unlink()
            spent += time.process_time() - begun
            write_json(here / SPENT, {"cpu_s": spent})
        return _Learned(result, load_potential(path))

    def _walk(self, learned: _Learned) -> tuple[Exploration, list[np.ndarray]]:
        """Walk until triggers fire, and choose what is labelled next."""
        mover = Mover(self.system, learned.potential, self.s.motion)
        limit = self._limit(learned.potential)
        found = explore(mover, self.walkers, self.s.trigger, self.s.horizon,
                        self.s.every, limit, self._telling("walk"))  # fmt: skip
        passed = [*(r.passed for r in self.rounds), found.passed]
        if len(passed) >= STUCK and not any(passed[-STUCK:]):
            reasons = {e.verdict.reason for e in found.events if e.stopped}
            shorter = "a shorter time step, " if AWAY in reasons else ""
            raise StageError(
                f"the trigger fired at once in {STUCK} rounds, for every replica",
                got=", ".join(sorted(reasons)),
                wanted="time within the bounds",
                mend=f"{shorter}wider bounds, or longer trainings: errors on frames "
                f"held out are {learned.force_rmse:.3f} eV/A, the bound is "
                f"{self.s.trigger.force:g}",
            )
        return found, self._chosen(learned.potential, found.events)

    def _limit(self, potential: Potential) -> float:
        """Times the bounds where walkers stop: far less sure than in frames held out."""
        most = [
            found.max() for ds in self.held_out
            for found in with_uncertainty(ds, potential)["force_std"].values
        ]  # fmt: skip
        usual = float(np.quantile(most, 0.9)) * ANGSTROM / EV
        return max(1.0, LOOSE * usual / self.s.trigger.force)

    def _chosen(self, potential: Potential, events: list[Event]) -> list[np.ndarray]:
        """Frames whose unsure atoms are new; those that ran away come first."""
        s = self.system
        away = [e.frame for e in events if e.unsure is None]
        seen = [(e.frame, e.unsure) for e in events if e.unsure is not None]
        flagged = [unsure >= FLAGGED * unsure.max() for _, unsure in seen]
        features = [potential.features(x, s.species, s.box, s.pbc) for x, _ in seen]
        cutoff = potential.model.cutoff
        training = load_frames(self.training, potential.species, cutoff)
        known = [part.numpy() for part in features_of(potential.model, training)]
        most = self.s.labels_per_round
        order = farthest(
            potential.calibrated(), features, potential.numbers(s.species), flagged,
            (known[0], known[1]), max(0, most - len(away)),
        )  # fmt: skip
        return (away + [seen[k][0] for k in order])[:most]

    def _telling(self, what: str):
        return None if self.tell is None else partial(self.tell, what)

    def finish(self) -> Potential:
        """The last potential, in the folder itself."""
        last = self.folder / f"round-{len(self.rounds) - 1:03d}" / POTENTIAL
        with replacing(self.folder / POTENTIAL) as temporary:
            shutil.copyfile(last, temporary)
        return load_potential(self.folder / POTENTIAL)
