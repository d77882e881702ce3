"""Checkpoints of transients: a killed run goes on as if it had not been."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np

from ..core.artefact import replacing
from ..core.errors import InputError
from .fields import Gather

#: Seconds between two checkpoints.
EVERY = 30.0


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
        What must be the same when the run goes on.
    every
        Seconds between two writings.
    """

    def __init__(
        self, path: Path | str, gather: Gather, identity: dict, *, every: float = EVERY
    ):
        self.path, self._gather, self._every = Path(path), gather, every
        text = json.dumps(identity, sort_keys=True, default=repr)
        points = np.round(gather.points, 9) + 0.0  # no minus zero
        digest = hashlib.sha256(text.encode() + points.tobytes())
        self._identity = digest.hexdigest()
        self._written = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to write, as the first process sees it."""
        late = time.monotonic() - self._written >= self._every
        return bool(self._gather.comm.bcast(late))

    def write(self, numbers: dict, fields: dict[str, np.ndarray]) -> None:
        """Keep numbers (JSON) and fields (..., n_nodes) of all processes.

        The file is whole or the former one.
        """
        whole = {name: self._gather(values) for name, values in fields.items()}
        if self._gather.comm.rank == 0:
            header = json.dumps({"identity": self._identity, **numbers})
            with replacing(self.path) as temporary, open(temporary, "wb") as file:
                np.savez(file, header=np.array(header), **whole)
        self._gather.comm.barrier()
        self._written = time.monotonic()

    def read(self) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Numbers and fields of this process; ``None`` when there is no file.

        Raises
        ------
        InputError
            When the file is of another run, or no checkpoint.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                numbers = json.loads(str(file["header"]))
                fields = {name: file[name] for name in file.files if name != "header"}
        except (OSError, ValueError, KeyError) as exc:
            raise InputError(
                f"{self.path} is no checkpoint",
                wanted="a file that a transient wrote",
                got=str(exc)[:80],
                mend="remove it to start anew",
            ) from exc
        if numbers.pop("identity", None) != self._identity:
            raise InputError(
                f"{self.path} is the checkpoint of another run",
                wanted="the same mesh, ions, times and tolerance",
                mend="remove it to start anew, or name another file",
            )
        return numbers, {k: self._gather.spread(v) for k, v in fields.items()}

    def remove(self) -> None:
        """Forget a run that has ended."""
        if self._gather.comm.rank == 0:
            self.path.unlink(missing_ok=True)
        self._gather.comm.barrier()
