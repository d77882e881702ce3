"""Independent solvers that the continuum part is held against; no DOLFINx here."""
