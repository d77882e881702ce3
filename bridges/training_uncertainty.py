"""How sure a trained potential is of its forces, from the frames that were held out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..atomistic.potential import TrainingResult
from ..atomistic.potential.potential import Potential
from ..atomistic.potential.reading import is_isolated
from ..atomistic.potential.settings import build_model
from ..atomistic.potential.uncertainty import Uncertainty
from ..atomistic.uncertainty import calibrate_and_check
from ..atomistic.uncertainty.calibration import FEWEST
from ..atomistic.uncertainty.summary import curves, summary
from ..core.errors import InputError

HALVES = (
    "Measured on held-out frames by exchange of halves: the earlier and the later frames "
    "of each group, each half calibrated for itself and judged by the other. The file "
    "holds what was calibrated on all of them. Held-out frames also draw the learning "
    "curve; judge by frames of your own with mesobridge validate."
)
NOT_MEASURED = (
    "Intervals were calibrated on all held-out frames; these are too few to be halved, "
    "so that coverage was not measured: give labelled frames to mesobridge validate."
)


@dataclass(frozen=True)
class Sureness:
    """What came of a calibration.

    Attributes
    ----------
    uncertainty
        For the file; ``None`` where there is none.
    text
        Which frames, or why there is none.
    rows, curves
        Of coverage (`uncertainty.summary`), where it was measured.
    cpu_s
        Seconds that it took.
    failed
        What was in the way.
    """

    uncertainty: Uncertainty | None
    text: str
    rows: list[dict]
    curves: dict
    cpu_s: float = 0.0
    failed: InputError | None = None

    def as_json(self) -> dict:
        """For ``curve.json``."""
        there = self.uncertainty is not None
        return {"calibrated": there, "text": self.text, "coverage": self.rows}


def asked(section) -> bool:
    """Whether the file itself asks for a calibration."""
    return section.calibrate and "calibrate" in section.model_fields_set


def check_asked(section, data) -> None:
    """Refuse before a training what could not be done after it.

    Raises
    ------
    InputError
        When a calibration was asked for and there are too few held-out frames.
    """
    n = sum(ds.sizes["frame"] for ds in data.validation if not is_isolated(ds))
    if asked(section) and n < FEWEST:
        raise InputError(
            "uncertainty.calibrate: too few frames are held out", got=str(n),
            wanted=f"{FEWEST} or more", mend="hold out more, or leave calibrate out",
        )  # fmt: skip


def calibrated(section, result: TrainingResult, data) -> Sureness:
    """Calibrate on held-out frames, and look at it.

    Parameters
    ----------
    section
        ``[uncertainty]`` of the configuration.
    result
        What `train` returned.
    data
        `Labelled` of `bridges.training`, as it was trained on.
    """
    if not section.calibrate:
        return Sureness(None, "Not asked for: calibrate = false.", [], {})
    s, begun = result.settings, time.process_time()
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    potential = Potential(build_model(s, tensors), s.species, {})
    try:
        found, seen = calibrate_and_check(
            potential, data.training, data.validation, heads=section.heads, seed=s.seed
        )
    except InputError as exc:
        text = f"There is none: {exc.what}: {exc.wanted} wanted, {exc.got} there."
        return Sureness(None, text, [], {}, failed=exc)
    spent = time.process_time() - begun
    if seen is None:
        return Sureness(found, NOT_MEASURED, [], {}, spent)
    return Sureness(found, HALVES, summary(seen), curves(seen), spent)
