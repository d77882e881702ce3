"""Checkpoints of transients: a killed run goes on as if it had not been."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..core.artefact import check_writable, replacing
from ..core.errors import InputError
from .collective import on_root
from .fields import Gather
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .states import Solution

#: Seconds between two checkpoints.
EVERY = 30.0
#: Part of its largest value by which a field may differ in the same run: other numbers
#: of processes round differently.
ALIKE = 1e-6
#: Intervals between the times at which two drives are compared.
SAMPLES = 16


class Checkpoint:
    """A file that holds all that the next step of a run needs.

    Nodes are stored in an order of their own, so that a run may go on with another
    number of processes.

    Parameters
    ----------
    path
        The file; NumPy arrays without pickles.
    gather
        Of the model's nodes.
    identity
        What must be the same when the run goes on (JSON).
    given
        Fields (..., n_nodes) of this process that must be the same, but for rounding.
    every
        Seconds between two writings.

    Raises
    ------
    InputError
        When the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        gather: Gather,
        identity: Mapping,
        given: Mapping[str, np.ndarray] | None = None,
        *,
        every: float = EVERY,
    ):
        on_root(gather.comm, lambda: check_writable(path))
        self.path, self._gather, self._every = Path(path), gather, every
        self._identity = {name: _digest(value) for name, value in identity.items()}
        self._given = {"mesh": gather.points}
        self._given |= {name: gather(value) for name, value in (given or {}).items()}
        self._written = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to write, as the first process sees it."""
        late = time.monotonic() - self._written >= self._every
        return bool(self._gather.comm.bcast(late))

    def write(self, numbers: dict, fields: dict[str, np.ndarray]) -> None:
        """Keep numbers (JSON) and fields (..., n_nodes) of all processes.

        The file is whole or the former one.
        """
        arrays = {f"given {name}": value for name, value in self._given.items()}
        arrays |= {f"field {name}": self._gather(value) for name, value in fields.items()}
        header = json.dumps({"identity": self._identity, **numbers}, default=_plain)

        def put() -> None:
            with replacing(self.path) as temporary, open(temporary, "wb") as file:
                np.savez(file, header=np.array(header), **arrays)

        on_root(self._gather.comm, put)
        self._written = time.monotonic()

    def read(self) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Numbers and fields of this process; ``None`` when there is no file.

        Raises
        ------
        InputError
            When the file is of another run, or no checkpoint.
        """
        found = on_root(self._gather.comm, self._found)
        if found is None:
            return None
        numbers, fields = found
        return numbers, {name: self._gather.spread(one) for name, one in fields.items()}

    def _found(self) -> tuple[dict, dict[str, np.ndarray]] | None:
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                numbers = json.loads(str(file["header"]))
                given, fields = _named("given ", file), _named("field ", file)
            identity = dict(numbers.pop("identity"))
        except Exception as exc:  # broken files make zipfile and NumPy raise anything
            raise InputError(
                f"{self.path} is no checkpoint",
                wanted="a whole file that a transient wrote",
                got=(str(exc) or type(exc).__name__)[:80],
                mend="remove it to start anew",
            ) from exc
        other = [k for k, one in self._identity.items() if identity.get(k) != one]
        other += [k for k, one in self._given.items() if not _alike(one, given.get(k))]
        if other:
            raise InputError(
                f"{self.path} is the checkpoint of another run",
                wanted="the same equations, mesh, medium, start, drive and times",
                got=f"another {', '.join(other)}",
                mend="remove it to start anew, or name another file",
            )
        return numbers, fields

    def remove(self) -> None:
        """Forget a run that has ended."""
        on_root(self._gather.comm, lambda: self.path.unlink(missing_ok=True))


def of_run(
    path: Path | str,
    model: NernstPlanckPoisson,
    medium: Medium,
    start: Solution,
    drive: Callable[[float], Conditions],
    times: Mapping[str, list[float]],
) -> Checkpoint:
    """The checkpoint of a transient, which knows the run that it belongs to.

    Parameters
    ----------
    path
        The file.
    model, medium, start, drive
        The run. Of the drive, its values at `SAMPLES` + 1 times are compared.
    times
        Name -> numbers; ``"stops"`` begins and ends with the first and the last time.
    """
    identity: dict = {
        "times": times,
        "degree": model.degree,
        "charge_numbers": model.charge_numbers,
        "closure": model.closure.signature(),
        "reactions": [repr(one) for one in model.reactions],
    }
    first, *_, last = times["stops"]
    seen = {*np.linspace(first, last, SAMPLES + 1), *times["stops"]}
    identity["drive"] = [_written_out(drive(time)) for time in sorted(seen)]
    given = {"start": start.state}
    for name, value in medium.load().items():
        number = value.ndim == 0 or name == "ln_activity" or name.startswith("closure.")
        (identity if number else given)[name] = value
    return Checkpoint(path, Gather(model.nodes), identity, given)


def _written_out(conditions: Conditions) -> dict:
    """All numbers of conditions."""
    held = {
        name: listed(getattr(conditions, name))
        for name in ("psi", "phi", "concentration", "current")
    }
    terms = [repr(one) for one in (*conditions.borders, *conditions.periodic)]
    return held | {"terms": terms}


def listed(mapping: Mapping) -> list:
    """A mapping whose keys JSON does not know."""
    return [[key, value] for key, value in mapping.items()]


def mapped(pairs: list) -> dict:
    """Inverse of `listed`."""
    return {tuple(k) if isinstance(k, list) else k: value for k, value in pairs}


def _named(mark: str, file: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a file whose names begin with a mark."""
    return {name[len(mark) :]: file[name] for name in file if name.startswith(mark)}


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _alike(wanted: np.ndarray, got: np.ndarray | None) -> bool:
    if got is None or got.shape != wanted.shape:
        return False
    largest = np.abs(wanted).max(initial=0.0)
    return bool(np.abs(got - wanted).max(initial=0.0) <= ALIKE * largest + 1e-14)


def _plain(value):
    """NumPy's numbers and arrays as those of JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return repr(value)
