"""Trajectories that MDAnalysis holds in memory."""

import MDAnalysis as mda
import numpy as np
from MDAnalysis.lib.mdamath import triclinic_vectors


def universe(positions, save, box, names=None, charges=None, residues=None, wrap=False):
    """Positions (F, N, 3) in nm, kept in memory.

    Boxes, one or one a frame: edges in nm, or MDAnalysis' six with nm and degrees.
    """
    n = positions.shape[1]
    index = np.arange(n) if residues is None else np.asarray(residues)
    u = mda.Universe.empty(
        n, n_residues=index.max() + 1, atom_resindex=index, trajectory=True
    )
    if names is None:
        names = ["Na"] * (n // 2) + ["Cl"] * (n - n // 2)
    u.add_TopologyAttr("names", names)
    u.add_TopologyAttr("masses", [29.0] * n)
    if charges is None:
        charges = [{"Na": 1.0, "Cl": -1.0}.get(name, 0.0) for name in names]
    if len(charges):
        u.add_TopologyAttr("charges", charges)
    box = np.broadcast_to(box, (len(positions), np.shape(box)[-1]))
    cells = np.full((len(positions), 6), 90.0, dtype=np.float32)
    cells[:, : box.shape[1]] = box
    vectors = np.stack([triclinic_vectors(cell, float) for cell in cells])
    x = positions
    if wrap:
        x = (positions @ np.linalg.inv(vectors)) % 1.0 @ vectors
    cells[:, :3] *= 10
    u.load_new(10 * x.astype(np.float32), order="fac", dt=save, dimensions=cells)
    return u


def free(n, n_frames, box, seed, D=0.02, save=0.1):
    """Free diffusion in a periodic box (nm, ps)."""
    rng = np.random.default_rng(seed)
    steps = np.sqrt(2 * D * save) * rng.standard_normal((n_frames, n, 3))
    steps[0] = rng.uniform(0, box, (n, 3))
    return np.cumsum(steps, axis=0)
