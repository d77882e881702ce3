"""Density-functional theory of molecules in vacuum by PySCF (extra ``dft``).

Sources: Sun et al. 2020, doi:10.1063/5.0006074 (PySCF).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ..core.errors import InputError, StageError
from .oracle import checked_charge

#: The density of the last molecule is a better guess than that of atoms while no atom
#: moved farther than this (A).
NEAR = 0.5


class PySCF(Calculator):
    """ASE calculator of a molecule: Kohn-Sham theory in Gaussian orbitals.

    Closed shells are restricted, all others unrestricted. Forces include the response of
    the grid, so that they sum to zero and follow the energy; it costs little beside them.

    Parameters
    ----------
    xc, basis
        In the names of PySCF: ``"pbe"``, ``"b3lyp"``; ``"def2-svp"``.
    charge
        Total, e.
    multiplicity
        Of the spin; ``None`` is the lowest there is.
    density_fit
        Coulomb (and exchange) integrals by density fitting.
    conv_tol, max_cycle
        Change of the energy that ends the SCF (hartree), and its most cycles.
    grid_level
        Of PySCF, 0 to 9.
    threads
        Of OpenMP.

    Attributes
    ----------
    cycles
        Of the last SCF.

    Raises
    ------
    InputError
        When PySCF is not installed or does not know functional or basis; when atoms are
        given, for a periodic system, another charge, or a spin that does not fit.
    StageError
        When atoms are given and the SCF does not converge.
    """

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(
        self,
        xc: str = "pbe",
        basis: str = "def2-svp",
        *,
        charge: int = 0,
        multiplicity: int | None = None,
        density_fit: bool = True,
        conv_tol: float = 1e-9,
        max_cycle: int = 50,
        grid_level: int = 3,
        threads: int = 1,
    ):
        super().__init__()
        _check_names(xc, basis)
        self.xc, self.basis, self.charge = xc, basis, charge
        self.spin = None if multiplicity is None else multiplicity - 1
        self.density_fit, self.conv_tol = density_fit, conv_tol
        self.max_cycle, self.grid_level = max_cycle, grid_level
        self.threads, self.cycles = threads, 0
        self._last: tuple[Atoms, object] | None = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Fill ``results``; see `ase.calculators.calculator.Calculator`."""
        from pyscf import lib
        from pyscf.data.nist import BOHR, HARTREE2EV

        super().calculate(atoms, properties, system_changes)
        given: Atoms = self.atoms if atoms is None else atoms  # type: ignore[assignment]
        with lib.with_omp_threads(self.threads):
            if self._last is None or self._last[0] != given:
                self._last = given.copy(), self._converged(given)
            field = self._last[1]
            energy = field.e_tot * HARTREE2EV  # type: ignore[attr-defined]
            self.results = {"energy": energy, "free_energy": energy}
            if "forces" in properties:
                gradient = field.nuc_grad_method()  # type: ignore[attr-defined]
                gradient.grid_response = True
                self.results["forces"] = -gradient.kernel() * (HARTREE2EV / BOHR)

    def _converged(self, atoms: Atoms):
        """Self-consistent field of these atoms, from that of the last ones if near."""
        field = self._field(atoms)
        field.kernel(dm0=self._guess(atoms, field))
        self.cycles = field.cycles
        if not field.converged:
            second = field.newton()
            second.kernel(dm0=field.make_rdm1())
            for name in ("mo_coeff", "mo_occ", "mo_energy", "e_tot", "converged"):
                setattr(field, name, getattr(second, name))
        if not field.converged:
            raise StageError(
                f"the SCF of {atoms.get_chemical_formula()} does not converge",
                wanted=f"changes below {self.conv_tol:g} hartree",
                got=f"none after {self.max_cycle} cycles, nor by second-order steps",
                mend="look at the structure, its charge and multiplicity; raise "
                "max_cycle, or leave the frame out",
            )  # fmt: skip
        return field

    def _field(self, atoms: Atoms):
        from pyscf import dft, gto

        if atoms.pbc.any():
            raise InputError(
                "periodic atoms for PySCF", wanted="a molecule in vacuum",
                got=f"pbc {atoms.pbc.tolist()}",
                mend="atoms.pbc = False, or an oracle for condensed phases such as CP2K",
            )  # fmt: skip
        checked_charge(atoms, self.charge, "PySCF")
        try:
            molecule = gto.M(
                atom=list(zip(atoms.symbols, atoms.positions, strict=True)), verbose=0,
                basis=self.basis, charge=self.charge, spin=self.spin, unit="Angstrom",
            )  # fmt: skip
        except (RuntimeError, KeyError) as exc:
            raise InputError(
                "PySCF cannot describe these atoms", got=str(exc).splitlines()[0],
                wanted="elements of the basis, a multiplicity that the charge allows",
            ) from exc  # fmt: skip
        field = (dft.UKS if molecule.spin else dft.RKS)(molecule, xc=self.xc)
        if self.density_fit:
            field = field.density_fit()
        field.conv_tol, field.max_cycle = self.conv_tol, self.max_cycle
        field.grids.level, field.chkfile = self.grid_level, None
        return field

    def _guess(self, atoms: Atoms, field) -> np.ndarray | None:
        """Density matrix of the last atoms in the orbitals of these, if they are near.

        Orthogonalised orbitals carry it over: it keeps its electrons and idempotency.
        """
        if self._last is None or not np.array_equal(self._last[0].numbers, atoms.numbers):
            return None
        last, known = self._last
        if np.linalg.norm(atoms.positions - last.positions, axis=1).max() > NEAR:
            return None
        overlaps = field.get_ovlp(), known.get_ovlp()  # type: ignore[attr-defined]
        turn = _root(overlaps[0], -0.5) @ _root(overlaps[1], 0.5)
        return turn @ np.asarray(known.make_rdm1()) @ turn.T  # type: ignore[attr-defined]


def _root(overlap: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(overlap)
    return (vectors * values**power) @ vectors.T


def _check_names(xc: str, basis: str) -> None:
    """Refuse what PySCF does not know before anything is computed."""
    try:
        from pyscf import dft, gto
    except ImportError as exc:
        raise InputError(
            "pyscf cannot be imported", wanted="pyscf", got=str(exc),
            mend='pip install "mesobridge[dft]"',
        ) from exc  # fmt: skip
    for what, known, value in (
        ("functional", dft.libxc.parse_xc, xc),
        ("basis", lambda name: gto.basis.load(name, "H"), basis),
    ):
        try:
            known(value)
        except (KeyError, ValueError, RuntimeError) as exc:
            raise InputError(
                f"PySCF knows no {what} {value}", got=str(exc)[:200],
                wanted="a name such as pbe and def2-svp",
            ) from exc  # fmt: skip
