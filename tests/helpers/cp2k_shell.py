"""Speaks as CP2K's shell does, for tests of what it is told: springs in place of DFT.

python cp2k_shell.py LOG: every line that is heard is appended to LOG.
"""

import sys
from pathlib import Path

import numpy as np

SPRING = 2.0  # eV/A^2, to the origin


def main(log):
    positions, output, told = np.zeros((0, 3)), Path(), open(log, "a")  # noqa: SIM115

    def hear():
        line = sys.stdin.readline()
        told.write(line)
        told.flush()
        return line.strip()

    def say(*lines):
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    say("* READY")
    while True:
        word, _, rest = hear().partition(" ")
        if word == "EXIT" or not word:
            return
        if word == "VERSION":
            say("CP2K Shell Version: 7.0")
        elif word == "WRITE_FILE":
            path, n = Path(hear()), int(hear())
            path.write_text("\n".join(hear() for _ in range(n)))
            assert hear() == "*END"
        elif word == "LOAD":
            output = Path(rest.split()[1])
            output.write_text("CP2K\n")
            say("1")
        elif word == "SET_CELL":
            for _ in range(3):
                hear()
        elif word == "SET_POS":
            n = int(hear()) // 3
            positions = np.array([[float(x) for x in hear().split()] for _ in range(n)])
            assert hear() == "*END"
            say("0.0")
        elif word == "EVAL_EF" and positions[0, 0] > 4:
            with output.open("a") as handle:
                handle.write(" *** WARNING in qs_scf.F:  SCF run NOT converged ***\n")
        elif word == "GET_E":
            say(0.5 * SPRING * (positions**2).sum())
        elif word == "GET_F":
            say(positions.size, *(" ".join(map(repr, map(float, -SPRING * x)))
                                  for x in positions), "* END")  # fmt: skip
        elif word == "GET_STRESS":
            say(" ".join(["0.0"] * 9))
        say("* READY")


if __name__ == "__main__":
    main(sys.argv[1])
