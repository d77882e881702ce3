"""The example of a trajectory on disk, as a user runs it, shortened."""

import os
import re
import subprocess
import sys
from pathlib import Path

from mesobridge.core.artefact import read_dataset

ROOT = Path(__file__).resolve().parent.parent


def test_example(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples/trajectory/molten_salt.py", tmp_path, "16"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for name in ("transport", "residence", "profiles"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    D = float(re.search(r"D Na +([\d.]+) \[", done.stdout)[1])
    assert 4 < D < 16  # 8e-9 m2/s in longer runs
    profiles = read_dataset(tmp_path / "profiles.nc", "interface-profiles/1")
    bulk = read_dataset(tmp_path / "transport.nc", "bulk-transport/1")
    assert (profiles["D_bulk"].values[0] == bulk["D_infinite"].values[0]).all()
    # A bulk has no walls: across and along it is what it is in bulk.
    for key, cells in (("D_perp", "z_face"), ("D_par", "z")):
        ratio = profiles[key][0].mean(cells).values / bulk["D"][0].values
        assert ((ratio > 0.4) & (ratio < 2.5)).all()
