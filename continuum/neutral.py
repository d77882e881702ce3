"""How the potential follows the ions in a neutral medium."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import _dolfinx as fx
from ._dolfinx import ufl

if TYPE_CHECKING:
    from .model import NernstPlanckPoisson

#: Concentration that is added to that of mobile ions; far below any that matters.
TRACE = 1e-40


def neutral_rule(model: NernstPlanckPoisson) -> Callable[[], np.ndarray]:
    """What gives the w of `blocks` at the state of a model, (n_nodes, n_species)."""
    n, here = model.n_species, model.here
    share = [here.z[i] ** 2 * here.c[i] for i in range(n)]
    total = sum(share) + TRACE
    slopes = [model.slope(model.newton.u, i) for i in range(n)]
    squares = [ufl.inner(slope, slope) for slope in slopes]
    mean = sum(a * b for a, b in zip(share, squares, strict=True)) / total
    below = total + model.permittivity * mean / 2
    space = fx.lagrange(model.domain.mesh, model.degree, n)
    return fx.evaluator(space, [here.z[i] * here.c[i] / below for i in range(n)])
