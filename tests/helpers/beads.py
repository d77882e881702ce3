"""Beads where tests want them."""

import torch


def placed(kind, q):
    """Four beads (n, 4, 3) whose first coordinate of this kind is q."""
    x = torch.zeros(len(q), 4, 3, dtype=torch.float64)
    if kind == "distance":
        x[:, 1, 0], x[:, 2, 1], x[:, 3, 2] = q, 1.0, 1.0
    elif kind == "angle":
        x[:, 0, 0], x[:, 3, 2] = 1.0, 1.0
        x[:, 2, 0], x[:, 2, 1] = q.cos(), q.sin()
    else:
        x[:, 0, 0], x[:, 2, 2], x[:, 3, 2] = 1.0, 1.0, 1.0
        x[:, 3, 0], x[:, 3, 1] = q.cos(), q.sin()
    return x
