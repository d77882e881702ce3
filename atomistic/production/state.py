"""A run at one moment, and how it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from ..active.walkers import Walker
from ..potential.evaluation import Evaluation
from .accuracy import Account


@dataclass(frozen=True)
class State:
    """Where the trajectory is.

    Attributes
    ----------
    walker
        Positions and velocities.
    time, timestep
        fs; the step that led here.
    found
        What the potential says; forces are the oracle's where it was called.
    std
        Standard deviations of forces at the last look, shape (N,), eV/A.
    account
        Of the energy error, with an oracle.
    """

    walker: Walker
    time: float
    timestep: float
    found: Evaluation
    std: np.ndarray
    account: Account | None


@dataclass
class Course:
    """How the run goes; it is not set back with the trajectory.

    Attributes
    ----------
    lag
        Steps since the last look.
    watch
        Looks after every step that are left.
    strict, strict_left
        How often in a row it ran away, and steps that are left to be taken with care.
    firing
        Whether the last look found bounds passed.
    next_frame
        fs.
    evaluations, calls, events, rewound, smallest_step
        As of `Produced`.
    first
        Energy of the potential and of motion at the start, eV.
    log
        Bytes of the log.
    """

    first: float
    smallest_step: float
    lag: int = 0
    watch: int = 0
    strict: int = 0
    strict_left: int = 0
    firing: bool = False
    next_frame: float = 0.0
    evaluations: int = 0
    calls: int = 0
    events: int = 0
    rewound: int = 0
    log: int = 0


def packed(state: State, course: Course) -> dict[str, np.ndarray]:
    """As arrays; numbers come back bit by bit."""
    w, found = state.walker, state.found
    rest = {
        "age": w.age, "heat": w.heat, "time": state.time, "timestep": state.timestep,
        "energy": found.energy, "course": asdict(course),
        "account": None if state.account is None else asdict(state.account),
    }  # fmt: skip
    return {"x": w.x, "v": w.v, "forces": found.forces, "std": state.std,
            "distances": np.asarray(found.distances),
            "rest": np.array(json.dumps(rest))}  # fmt: skip


def unpacked(kept: dict[str, np.ndarray]) -> tuple[State, Course]:
    """What was packed."""
    rest = json.loads(str(kept["rest"]))
    walker = Walker(kept["x"], kept["v"], rest["age"], rest["heat"])
    found = Evaluation(rest["energy"], kept["forces"], None,
                       distances=kept["distances"], force_std=kept["std"])  # fmt: skip
    account = None if rest["account"] is None else Account(**rest["account"])
    state = State(walker, rest["time"], rest["timestep"], found, kept["std"], account)
    return state, Course(**rest["course"])


#: Arrays of a state, by names that segments keep beside their frames.
STATE = ("x", "v", "forces", "std", "distances", "rest")
