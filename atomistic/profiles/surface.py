"""Distance from the instantaneous surface of a liquid, frame by frame.

Capillary waves blur a profile along a fixed axis; relative to the surface of the moment
it is sharp. The surface is where the density of a selection, every particle a Gaussian,
is half of that in the liquid (Willard & Chandler 2010, doi:10.1021/jp909219k). Lengths
are in nm but for what users give, which is in m.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.ndimage import map_coordinates

from ...core.errors import InputError
from ...core.units import NM
from .coordinates import AXES, area, check_along, check_axis, height, into_period

#: Points of the grid in a width of the Gaussians.
POINTS = 2.0
#: Widths about the middle of the liquid in which its density is taken.
MIDDLE = 2.0
#: Density of the liquid over that in the middle of one Gaussian: below it one particle
#: alone would be a surface.
LEAST = 2.0


@dataclass(frozen=True)
class Heights:
    """A surface that has one height over each place of the plane.

    Attributes
    ----------
    values
        Shape (a, b), at even steps of both box vectors from the origin, nm.
    fractions
        From places in the plane to parts of these vectors, shape (2, 2).
    plane
        Axes of the plane.
    """

    values: np.ndarray
    fractions: np.ndarray
    plane: list[int]

    def over(self, positions: np.ndarray) -> np.ndarray:
        """Height over positions (n, 3), bilinear, shape (n,)."""
        at = positions[:, self.plane] @ self.fractions * self.values.shape
        return map_coordinates(self.values, at.T, order=1, mode="grid-wrap")


@dataclass(frozen=True)
class Surface:
    """Depth below the instantaneous surface of a liquid slab, counted along an axis.

    It is ``h(x, y) - z`` for the upper surface of a slab normal to z, and ``z - h(x, y)``
    for the lower one: zero at the surface and positive in the liquid. That shears columns
    and nothing else, so that cells have the volumes that they had without waves, exactly.
    The heights are those of the outermost crossings of each column.

    The field is the mean flux through the sheared planes over their projected area, by
    Gauss' law from zero in the vapour; the potential is its integral along the axis, zero
    in the vapour unless another reference than ``middle`` is asked for. Particles below
    `depth` are in no cell, and D within some sqrt(2 D lag) of it is biased, as beyond the
    radius of a `Cylindrical`. D_perp is that of the distance, the surface's own motion
    included; it grows by the mean square slope of the surface.

    Attributes
    ----------
    selection
        Atoms whose density makes the surface: the oxygens of water, all ions of a melt.
    depth, vapour
        How far cells go into the liquid and out of it, m.
    axis
        Normal of the slab: the box vector along it, the other two normal to it.
    side
        ``"upper"`` or ``"lower"``.
    width
        Standard deviation of the Gaussians, m.
    density
        Of the selection in the liquid, m-3; by default that in the middle of the slab, of
        each frame.
    """

    selection: str
    depth: float
    vapour: float
    axis: str = "z"
    side: str = "upper"
    width: float = 0.24e-9
    density: float | None = None

    def __post_init__(self):
        check_axis(self.axis)
        for what in ("depth", "vapour", "width", "density"):
            value = getattr(self, what)
            if value is not None and not value > 0:
                raise InputError(
                    f"{what} of a surface", wanted="a positive number", got=f"{value:g}"
                )
        if self.side not in ("upper", "lower"):
            raise InputError(
                "side of a surface", wanted="upper or lower", got=repr(self.side)
            )

    @property
    def kind(self) -> str:
        """See `Coordinate`."""
        return "surface"

    @property
    def along(self) -> list[int]:
        """The other two axes."""
        return [i for i in range(3) if i != AXES[self.axis]]

    @property
    def everywhere(self) -> bool:
        """No: cells end at the depth and in the vapour."""
        return False

    @property
    def left(self) -> float:
        """First face, m."""
        return -self.vapour

    @property
    def bulk(self) -> tuple[float, float]:
        """The deeper half of the liquid."""
        return 1 - 0.5 * self.depth / (self.depth + self.vapour), 1.0

    @property
    def told(self) -> str:
        """The surface in words."""
        return (
            f"instantaneous {self.side} surface of {self.selection}, "
            f"Gaussians of {self.width / NM:g} nm"
        )

    def extent(self, box):
        """From the vapour to the depth."""
        height(box, self.axis)
        k = AXES[self.axis]
        check_along(box[k], k, f"the box vector along {self.axis}")
        return (self.vapour + self.depth) / NM

    def across(self, positions, box, origin, unit=1.0):
        """Distance from the first face; `origin` are the `Heights` of the frame."""
        k = AXES[self.axis]
        x = positions * np.float64(unit)
        s = self._sign * (origin.over(x) - x[:, k])
        return into_period(s, -self.vapour / NM, box[k, k])

    def volumes(self, faces, box):
        """Slices of the box, sheared."""
        return np.diff(faces) * area(box, self.axis)

    @property
    def _sign(self) -> int:
        return 1 if self.side == "upper" else -1

    def heights(self, x: np.ndarray, box: np.ndarray, frame: int) -> Heights:
        """The surface of one frame.

        Parameters
        ----------
        x
            Positions of the selection, shape (n, 3), nm.
        box
            Shape (3, 3), nm.
        frame
            Its number, for messages.

        Raises
        ------
        InputError
            When the selection is too dilute, a column has no surface, or cells reach the
            other surface.
        """
        axes = [*self.along, AXES[self.axis]]
        box = box[np.ix_(axes, axes)]
        field = _smooth(x[:, axes], box, self.width / NM)
        layers = field.mean(axis=(0, 1))
        n, step = len(layers), box[2, 2] / len(layers)
        # The layers as points on a circle: their mean is in the liquid.
        turn = np.angle(layers @ np.exp(2j * np.pi * np.arange(n) / n))
        middle = round(turn / (2 * np.pi) * n)
        level = 0.5 * self._inside(layers, middle, step, frame)
        upper, lower = (
            step * (middle + sign * _crossing(field, middle, sign, level))
            for sign in (1, -1)
        )
        self._check(upper - lower, box[2, 2], frame)
        values = upper if self.side == "upper" else lower
        return Heights(values, np.linalg.inv(box[:2, :2]), self.along)

    def _inside(self, layers, middle: int, step: float, frame: int) -> float:
        """Density of the liquid, 1/nm3."""
        width = self.width / NM
        reach = int(MIDDLE * width / step)
        near = np.arange(middle - reach, middle + reach + 1) % len(layers)
        density = float(layers[near].mean())
        if self.density is not None:
            density = self.density * NM**3
        least = LEAST * (2 * np.pi * width**2) ** -1.5
        if not density > least:
            raise InputError(
                f"selection of a surface, frame {frame}",
                wanted=f"more than {least:.3g} particles per nm3 in the liquid",
                got=f"{density:.3g}",
                mend="select more atoms of the liquid, or take a larger width",
            )
        return density

    def _check(self, thickness: np.ndarray, length: float, frame: int) -> None:
        """Refuse a slab with a hole, or thinner or wider than cells go."""
        if not np.isfinite(thickness).all():
            raise InputError(
                f"no surface in frame {frame}",
                wanted="liquid and vapour in every column of the slab",
                got=f"{np.isnan(thickness).mean():.2%} of the columns without",
                mend="select all of the liquid; frames before the film broke",
            )
        for what, value, most in (
            ("depth", self.depth, thickness.min()),
            ("vapour", self.vapour, length - thickness.max()),
        ):
            if value / NM > most:
                raise InputError(
                    f"{what} of a surface that reaches the other one, frame {frame}",
                    wanted=f"less than {most:.3g} nm",
                    got=f"{value / NM:.3g} nm",
                )


def _crossing(field: np.ndarray, middle: int, sign: int, level: float) -> np.ndarray:
    """Steps from the middle of the liquid to the outermost place at a level, or NaN."""
    n = field.shape[2]
    out = np.arange(n // 2, -1, -1)
    column = field[..., (middle + sign * out) % n]
    inner = (column >= level).argmax(axis=2)[..., None]
    here, before = (
        np.take_along_axis(column, np.maximum(inner - shift, 0), axis=2)[..., 0]
        for shift in (0, 1)
    )
    held = (here >= level) & (before < level)
    missing = np.full_like(here, np.nan)
    part = np.divide(level - before, here - before, out=missing, where=held)
    return out[np.maximum(inner[..., 0] - 1, 0)] - part


def _smooth(x: np.ndarray, box: np.ndarray, width: float) -> np.ndarray:
    """Density of Gaussians at the points of a grid, 1/nm3."""
    lengths = np.linalg.norm(box, axis=1)
    shape = tuple(next_fast_len(int(np.ceil(POINTS * L / width)), True) for L in lengths)
    at = x @ np.linalg.inv(box) * shape
    first = np.floor(at)
    # Each particle is shared by the eight points about it.
    share = np.stack([1 - (at - first), at - first])
    strides = (shape[1] * shape[2], shape[2], 1)
    index = np.stack([first, first + 1]).astype(np.intp) % shape * strides
    count = np.zeros(np.prod(shape))
    for i, j, k in product((0, 1), repeat=3):
        point = index[i, :, 0] + index[j, :, 1] + index[k, :, 2]
        weight = share[i, :, 0] * share[j, :, 1] * share[k, :, 2]
        count += np.bincount(point, weight, minlength=len(count))
    # Single precision is 1e-6 of the density.
    waves = rfftn(count.reshape(shape).astype(np.float32))
    return irfftn(waves * _kernel(box.tobytes(), shape, width), shape)


@lru_cache(maxsize=2)
def _kernel(raw: bytes, shape: tuple[int, ...], width: float) -> np.ndarray:
    """A Gaussian of unit weight in Fourier space, less what the grid has smoothed."""
    box = np.frombuffer(raw).reshape(3, 3)
    waves = [np.fft.fftfreq(n, 1 / n) for n in shape[:2]]
    waves.append(np.fft.rfftfreq(shape[2], 1 / shape[2]))
    n = np.stack(np.meshgrid(*waves, indexing="ij"), axis=-1)
    k = 2 * np.pi * n @ np.linalg.inv(box).T
    spread = (np.sinc(n / shape) ** 2).prod(axis=-1)
    points = np.prod(shape) / np.linalg.det(box)
    kernel = points * np.exp(-0.5 * width**2 * (k**2).sum(axis=-1)) / spread
    return kernel.astype(np.float32)
