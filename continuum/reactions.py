"""Homogeneous reactions, given as expressions of concentrations."""

from __future__ import annotations

import ast
import cmath
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from ..core.errors import InputError

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS = ("exp", "ln")


@dataclass(frozen=True)
class Reaction:
    """A reaction in the domain.

    Attributes
    ----------
    expression
        Rate, such as ``"kf * A * B - kb * AB"``: names of species are their
        concentrations; numbers, parameters, + - * / **, ``exp`` and ``ln`` may be used.
    stoichiometry
        Species index -> number produced (consumed < 0) at unit rate.
    species
        Names of the species of the model.
    parameters
        Name -> number.
    scale
        (concentration, rate): what unit values of the model are in the expression.

    Raises
    ------
    InputError
        When the expression holds anything else.
    """

    expression: str
    stoichiometry: Mapping[int, float]
    species: Sequence[str]
    parameters: Mapping[str, float] = field(default_factory=dict)
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self):
        names = {*self.species, *self.parameters}
        for node in ast.walk(self._tree()):
            if isinstance(node, ast.Name) and node.id not in names | {*_FUNCTIONS}:
                raise self._refused(
                    f"the name {node.id}",
                    ", ".join(sorted(names)),
                    f'give it as a parameter: {{"{node.id}": number}}',
                )
        if not all(math.isfinite(value) for value in self.parameters.values()):
            raise self._refused(str(dict(self.parameters)), "finite parameters")
        both = sorted(set(self.parameters) & set(self.species))
        if both:
            raise self._refused(f"both for {', '.join(both)}", "names of one meaning")
        outside = set(self.stoichiometry) - set(range(len(self.species)))
        if outside:
            raise InputError(
                "stoichiometry of a reaction",
                wanted=f"species 0 to {len(self.species) - 1}",
                got=str(sorted(outside)),
            )
        # Small complex values meet no singularity of the concentrations by accident.
        values = [(0.37 + 0.21j) * 1e-3 * (i + 1) for i in range(len(self.species))]
        try:
            self.rate(SimpleNamespace(exp=cmath.exp, ln=cmath.log), values)
        except (ArithmeticError, ValueError, RecursionError) as exc:
            raise self._refused(str(exc), "a short expression of finite numbers") from exc

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.expression, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise self._refused(str(exc), "an arithmetic expression") from exc

    def _refused(self, got: str, wanted: str, mend: str = "") -> InputError:
        what = f"a rate that cannot be used: {self.expression!r}"
        return InputError(what, wanted=wanted, got=got, mend=mend)

    def rate(self, fn, c: Sequence):
        """Rate in units of the model, from its concentrations."""
        density, unit = self.scale
        values: dict[str, object] = dict(self.parameters)
        values |= {name: density * c[i] for i, name in enumerate(self.species)}
        return self._value(self._tree(), fn, values) / unit

    def _value(self, node: ast.expr, fn, values: Mapping[str, object]):
        """Value of a node of the expression; only arithmetic is understood."""

        def of(part):
            return self._value(part, fn, values)

        number = node.value if isinstance(node, ast.Constant) else None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            if not math.isfinite(number):
                raise self._refused("an infinite number", "finite numbers")
            return float(number)
        if isinstance(node, ast.Name) and node.id in values:
            return values[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](of(node.left), of(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -of(node.operand)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in _FUNCTIONS
            and len(node.args) == 1
            and not node.keywords
        ):
            return getattr(fn, node.func.id)(of(node.args[0]))
        raise self._refused(
            f"{ast.unparse(node)!r}", "numbers, names, + - * / **, exp(), ln()"
        )
