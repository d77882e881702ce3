"""The optimal force map as aggforce finds it: one quadratic programme a bead, by OSQP.

aggforce (noegroup/aggforce, Apache-2) is on no package index. This poses the programme
that its `qp_linear_map` poses, to the solver that it takes and to its tolerances: least
mean square of w.f with C w = e, atoms of a rigid group sharing a weight. Called with an
npz of forces (F, n, 3), C (b, n) as `weights`, groups (n,), and the npz to write W to.
"""

import sys
import time

import numpy as np
from qpsolvers import solve_qp
from scipy.sparse import csc_matrix

TIGHT = {"eps_abs": 1e-7, "max_iter": 1000, "polishing": True, "polish_refine_iter": 10}


def main() -> None:
    """Solve for every bead; tell the map and the CPU seconds with reading excluded."""
    given = np.load(sys.argv[1])
    begin = time.process_time()
    rows = given["forces"].astype(float).swapaxes(1, 2).reshape(-1, len(given["groups"]))
    tied = np.eye(given["groups"].max() + 1)[given["groups"]]
    short = rows @ tied
    square, fixed = csc_matrix(short.T @ short), csc_matrix(given["weights"] @ tied)
    zero, unit = np.zeros(square.shape[0]), np.eye(fixed.shape[0])
    found = [
        tied @ solve_qp(square, zero, A=fixed, b=e, solver="osqp", **TIGHT) for e in unit
    ]
    seconds = time.process_time() - begin
    np.savez(sys.argv[2], force_weights=np.array(found), seconds=seconds)


if __name__ == "__main__":
    main()
