"""A linear potential of mean force and what networks add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..core.artefact import read_model, write_model
from ..core.errors import InputError, SchemaError
from .linear_forces import BatchedPotential
from .linear_model import UNITS, LinearModel, unpacked
from .networks import Architecture, build, fill

#: Frames whose forces are taken at once.
PORTION = 2048


@dataclass(frozen=True)
class NeuralModel:
    """One molecule: a linear prior and the mean of an ensemble of networks.

    Of SchNet nothing is left where all distances are out of the range of the data, of
    PaiNN where all are beyond the cut-off: there the model is the prior.

    Attributes
    ----------
    prior
        Its point estimate counts.
    architecture
        Of all networks.
    types
        Of each bead, from 0, length B: beads of one type are interchangeable.
    ranges
        Shape (T, T, 2): least and largest distance of pairs of types in the data, nm.
    members
        Weights of each network by name.
    validity
        State point and what it was trained on; verdicts of the gate.
    """

    prior: LinearModel
    architecture: Architecture
    types: tuple[int, ...]
    ranges: np.ndarray
    members: tuple[Mapping[str, np.ndarray], ...]
    validity: Mapping

    @property
    def beads(self) -> tuple[str, ...]:
        """Name of each bead, length B."""
        return self.prior.beads

    @property
    def masses(self) -> np.ndarray:
        """Shape (B,), Da."""
        return self.prior.masses

    def energy(self, x: Tensor, replicate: int = 0) -> Tensor:
        """Energies (F,), kJ/mol, of frames x (F, B, 3), nm.

        Parameters
        ----------
        x
            Whole molecules. Numbers are computed in its precision.
        replicate
            0 is the mean of all networks, k the k-th alone.

        Raises
        ------
        IndexError
            When there is no such network.
        """
        return self.prior.energy(x) + self.correction(x, replicate)

    def correction(self, x: Tensor, replicate: int = 0) -> Tensor:
        """What networks add to the energy of the prior, shape (F,)."""
        networks = self.networks(x.dtype, x.device)
        chosen = [networks[replicate - 1]] if replicate else networks
        return sum((n(x) for n in chosen), x.new_zeros(len(x))) / len(chosen)

    def forces(self, x: Tensor, replicate: int = 0) -> Tensor:
        """Forces (F, B, 3), kJ/mol/nm: minus the slopes of `energy`."""
        return self.prior.forces(x) + self.correction_forces(x, replicate)

    def correction_forces(self, x: Tensor, replicate: int = 0) -> Tensor:
        """What networks add to the forces of the prior, shape (F, B, 3)."""
        found = []
        for part in x.detach().split(PORTION):
            with torch.enable_grad():
                part = part.contiguous().requires_grad_()
                energy = self.correction(part, replicate).sum()
                found.append(-torch.autograd.grad(energy, part)[0])
        return torch.cat(found) if found else torch.zeros_like(x)

    def spread(self, x: Tensor) -> Tensor:
        """Standard deviation of forces over the networks, shape (F, B, 3).

        Raises
        ------
        InputError
            When there is one network only.
        """
        if len(self.members) < 2:
            raise InputError(
                "spread of one network", wanted="two at least", got="one",
                mend="train with more members",
            )  # fmt: skip
        each = [self.correction_forces(x, k + 1) for k in range(len(self.members))]
        return torch.stack(each).std(0)

    def networks(self, dtype: torch.dtype, device=None) -> list[nn.Module]:
        """The networks with their weights, which stay as they are."""
        key = dtype, str(device)
        if key not in self._built:
            self._built[key] = [self._network(m).to(device, dtype) for m in self.members]
        return self._built[key]

    @cached_property
    def _built(self) -> dict:
        return {}

    def _network(self, weights: Mapping[str, np.ndarray]) -> nn.Module:
        network = build(self.architecture, self.types, torch.from_numpy(self.ranges))
        fill(network, {k: torch.from_numpy(v) for k, v in weights.items()})
        return network.requires_grad_(False)

    def save(self, path: Path | str) -> None:
        """Write ``cg-model/1`` with the prior inside."""
        prior, tensors = self.prior.packed()
        header = {
            "model": self.architecture.kind, "architecture": asdict(self.architecture),
            "types": list(self.types), "members": len(self.members), "prior": prior,
            "beads": list(self.beads), "units": UNITS, "n_units": len(self.members),
            "validity": dict(self.validity),
        }  # fmt: skip
        tensors = {f"prior.{k}": v for k, v in tensors.items()} | {"ranges": self.ranges}
        for i, member in enumerate(self.members):
            tensors |= {f"{i}.{k}": v for k, v in member.items()}
        write_model(path, "cg-model/1", header, tensors)


@dataclass(frozen=True)
class NeuralForces:
    """What engines run: networks on a prior that drives beads back from where it ends.

    Attributes
    ----------
    prior
        `LinearForces` of the model's prior.
    model
        Whose networks count.
    """

    prior: BatchedPotential
    model: NeuralModel

    @property
    def validity(self) -> Mapping:
        """That of the model."""
        return self.model.validity

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        return self.prior.energy(x) + self.model.correction(x)

    def forces(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        return self.prior.forces(x) + self.model.correction_forces(x)


def load_neural(path: Path | str) -> NeuralModel:
    """Read a ``cg-model/1`` with networks.

    Raises
    ------
    SchemaError
        When the file breaks the contract or is of another kind of model.
    """
    header, tensors = read_model(path, "cg-model/1")
    try:
        if header["model"] != header["architecture"]["kind"]:
            raise ValueError(f"model {header['model']}")
        prior = unpacked(path, header["prior"], _of("prior", tensors))
        members = tuple(_of(i, tensors) for i in range(int(header["members"])))
        model = NeuralModel(
            prior, Architecture(**header["architecture"]), tuple(header["types"]),
            tensors["ranges"], members, header["validity"],
        )  # fmt: skip
        n = max(model.types) + 1
        if len(model.types) != len(prior.beads) or model.ranges.shape != (n, n, 2):
            raise ValueError(f"types {model.types} of {len(prior.beads)} beads")
        model.networks(torch.float32)
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise SchemaError(
            f"{path}: header of cg-model/1", wanted="a neural model, as `save` writes it",
            got=f"{type(exc).__name__}: {exc}".splitlines()[0],
        ) from exc  # fmt: skip
    return model


def _of(owner: object, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    start = f"{owner}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
