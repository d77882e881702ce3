"""The command that starts several processes, whichever MPI it is of."""

import shutil
import subprocess


def mpirun(processes):
    """First words of a command line; None without mpirun."""
    path = shutil.which("mpirun")
    if path is None:
        return None
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    own = ["--allow-run-as-root", "--oversubscribe"] if "Open MPI" in told.stdout else []
    return [path, *own, "-n", str(processes)]
