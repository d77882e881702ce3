"""CP2K, the reference for condensed phases, through the calculator of ASE.

Source: Kuehne et al. 2020, doi:10.1063/5.0007045 (CP2K).
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.calculators.cp2k import CP2K as AseCP2K
from ase.config import cfg

from ..core.artefact import existing
from ..core.errors import InputError, StageError
from .oracle import checked_charge

#: Written by CP2K, of which versions before 2024 go on all the same.
UNCONVERGED = "SCF run NOT converged"
#: What the template says, and ASE would otherwise choose.
LEFT_TO_TEMPLATE = (
    "basis_set", "basis_set_file", "cutoff", "force_eval_method", "max_scf",
    "potential_file", "poisson_solver", "xc",
)  # fmt: skip


class CP2K(AseCP2K):
    """ASE calculator of CP2K whose method is wholly in the text of an input.

    The input has all sections but coordinates, cell, charge and multiplicity, which come
    from the atoms and from here; every kind of atom needs its ``&KIND``. CP2K runs as
    ASE's configuration says (``cp2k_shell`` in ``[cp2k]``, or ``$ASE_CP2K_COMMAND``), by
    default ``cp2k.psmp -s``, in a folder of its own.

    Parameters
    ----------
    path
        Of the input.
    charge
        Total, e.
    multiplicity
        Of the spin; ``None`` leaves it to CP2K.

    Raises
    ------
    InputError
        When there is no such file or CP2K is not installed; when atoms are given, for
        atoms of another charge or without a cell.
    StageError
        When atoms are given and the SCF does not converge.
    """

    def __init__(
        self, path: Path | str, charge: int = 0, multiplicity: int | None = None
    ):
        self._shell, self._folder = None, ""  # what `close` looks at
        text = existing(path).read_text(encoding="utf-8")
        command = cfg.parser.get("cp2k", "cp2k_shell", fallback=None) or cfg.get(
            "ASE_CP2K_COMMAND", "cp2k.psmp -s"
        )
        program = next(w for w in shlex.split(command) if "=" not in w and w != "env")
        if shutil.which(program) is None:
            raise InputError(
                "CP2K cannot be run", wanted=f"a program {program}", got="none",
                mend="apt-get install cp2k (or conda-forge), and set ASE_CP2K_COMMAND, "
                'such as "mpiexec -n 8 cp2k.psmp -s"',
            )  # fmt: skip
        self._folder = tempfile.mkdtemp(prefix="cp2k")
        super().__init__(
            label=os.path.join(self._folder, "run"), command=command, inp=text,
            charge=charge, multiplicity=multiplicity, pseudo_potential=None,
            **dict.fromkeys(LEFT_TO_TEMPLATE),
        )  # fmt: skip
        self.charge = charge
        version = getattr(self._shell, "version", "unknown")
        self.software: dict[str, str] = {"cp2k_shell": str(version)}

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        """Fill ``results``; see `ase.calculators.calculator.Calculator`."""
        given: Atoms = self.atoms if atoms is None else atoms  # type: ignore[assignment]
        checked_charge(given, self.charge, "CP2K")
        if given.cell.rank < 3:
            raise InputError(
                "atoms without a cell for CP2K", wanted="three box vectors",
                got=str(given.cell.rank), mend="atoms.set_cell(...)",
            )  # fmt: skip
        log = Path(self._folder, "run.out")
        seen = log.stat().st_size if log.exists() else 0
        super().calculate(atoms, properties, system_changes)
        with log.open("rb") as handle:
            handle.seek(seen)
            if UNCONVERGED.encode() in handle.read():
                self.results = {}
                raise StageError(
                    f"the SCF of {given.get_chemical_formula()} does not converge",
                    wanted="a converged SCF", got=f'"{UNCONVERGED}"',
                    mend="raise MAX_SCF, add OUTER_SCF, or leave the frame out",
                )  # fmt: skip

    def close(self):
        """Stop CP2K and remove its files."""
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)
