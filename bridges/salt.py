"""From ions in an implicit solvent to the activity of their salt."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..coarse.implicit_salt import (
    SAVE,
    SEGMENT,
    osmotic_coefficient,
    run_salt,
    salt_samples,
)
from ..coarse.model import CGModel, temperature_of
from ..core.artefact import told
from ..core.errors import InputError
from ..core.process import reader
from ..core.progress import Show, shown
from .activity import activity_from_osmotic

#: Left out at the start of a run, over what is kept.
SETTLE = 0.1
#: Seconds between looks at what has been done.
LOOK = 1.0


@dataclass(frozen=True)
class SaltActivity:
    """What runs of a salt gave.

    Attributes
    ----------
    concentration
        Of the salt, m-3, shape (n,).
    osmotic
        Osmotic coefficients, shape (R + 1, n).
    activity
        ``activity/1``, up to the highest concentration.
    """

    concentration: np.ndarray
    osmotic: np.ndarray
    activity: xr.Dataset


def salt_activity(
    model: CGModel,
    concentrations: Sequence[float],
    folder: Path | str,
    *,
    salt: str,
    n_pairs: int = 64,
    length: float = 2e-9,
    processes: int = 1,
    seed: int = 0,
    show: Show = None,
) -> SaltActivity:
    """Run a salt at several concentrations and integrate its osmotic coefficient.

    Parameters
    ----------
    model
        Ions in an implicit solvent (`coarse.ion_pmf.implicit_ions`).
    concentrations
        Of the salt, m-3, rising.
    folder
        For finished segments of the runs: a killed call goes on from there.
    salt
        Its formula.
    n_pairs, length
        See `coarse.implicit_salt.run_salt`.
    processes
        Runs at the same time, one thread each.
    seed
        Of starts, noise and bootstrap.
    show
        See `core.progress.Show`.

    Raises
    ------
    InputError
        When there is no process, the model has no two replicates, or `folder` cannot be
        written; see `run_salt`, `osmotic_coefficient`, `activity_from_osmotic`.
    """
    temperature_of(model)
    if processes < 1:
        raise InputError("processes", wanted="one or more", got=str(processes))
    if len(model.coefficients) < 3:
        raise InputError("replicates of the ions' potentials", wanted="two or more",
                         got=str(len(model.coefficients) - 1),
                         mend="implicit_ions(..., replicates=50)")  # fmt: skip
    c = np.asarray(concentrations, dtype=float)
    if len(c) < 3 or not (np.diff(c) > 0).all() or not c[0] > 0:
        raise InputError("concentrations of a salt", wanted="three or more, rising, m-3",
                         got=str(concentrations))  # fmt: skip
    base = Path(folder) / _key(model, n_pairs, length, seed)
    runs = [base / f"{value:.6g}" for value in c]
    with told(base):
        for run in runs:
            run.mkdir(parents=True, exist_ok=True)
    # Forked, OpenMM would share its threads with the parent.
    with ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"),
        initializer=reader, initargs=(os.getpid(),),
    ) as pool, shown("implicit salt", show) as tell:  # fmt: skip
        # The most dilute have the largest boxes and take longest.
        jobs = [
            pool.submit(_osmotic, model, value, run, n_pairs, length, seed + k)
            for k, (value, run) in enumerate(zip(c, runs, strict=True))
        ]
        each = math.ceil((1 + SETTLE) * length / SAVE / SEGMENT)
        _watch(jobs, base, each * len(c), tell)
        osmotic = np.stack([job.result() for job in jobs], 1)
    activity = activity_from_osmotic(
        c, osmotic, salt=salt, charge=abs(model.charges[0]),
        permittivity=model.permittivity, temperature=temperature_of(model),
        n_units=model.n_units,
    )  # fmt: skip
    return SaltActivity(c, osmotic, activity)


def _key(model: CGModel, *how) -> str:
    """Tells runs of this model from those of any other."""
    arrays = {k: v.tobytes() for k, v in vars(model).items() if isinstance(v, np.ndarray)}
    told = repr(({**vars(model), **arrays}, how))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _osmotic(model, concentration, folder, n_pairs, length, seed) -> np.ndarray:
    frames = run_salt(model, concentration, n_pairs=n_pairs, length=length,
                      settle=SETTLE * length, seed=seed, scratch=folder)  # fmt: skip
    return osmotic_coefficient(model, salt_samples(model, frames), seed=seed)


def _watch(jobs: list[Future], base: Path, total: int, tell) -> None:
    """Tell how many segments there are until all runs have ended or one has failed."""
    left = set(jobs)
    while left:
        done, left = wait(left, timeout=LOOK, return_when=FIRST_EXCEPTION)
        if any(job.exception() for job in done):
            for job in left:
                job.cancel()
            return
        if tell is not None:
            tell(len(list(base.rglob("segment-*.npz"))), total, "")
