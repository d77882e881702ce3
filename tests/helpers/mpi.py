"""Scripts run by several processes, whichever MPI it is of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HELPERS = Path(__file__).resolve().parent


def mpirun(processes):
    """First words of a command line."""
    path = shutil.which("mpirun")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    own = ["--allow-run-as-root", "--oversubscribe"] if "Open MPI" in told.stdout else []
    return [path, *own, "-n", str(processes)]


def by_processes(processes, script, *arguments):
    """What a script, here or at a path, prints when so many processes run it."""
    path = [str(HELPERS), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*mpirun(processes), sys.executable, str(HELPERS / script), *arguments],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
