"""Profiles across an interface and transport in bulk, with joint bootstrap errors."""

from .anchor import with_bulk
from .bulk import BulkDiffusion, bulk_diffusion
from .collective import CollectiveTransport, collective_transport
from .coordinates import Cylindrical, Planar, Spherical
from .dielectric import (
    DielectricProfile,
    bulk_permittivity,
    dielectric_profile,
    dipole_relaxation,
    permittivity_interval95,
)
from .dielectric_pore import PoreProfile, PoreSums, pore_profile
from .dipoles import DipoleSums
from .electrostatics import (
    PHI_KINDS,
    Electrostatics,
    planar_potential,
    radial_potential,
)
from .estimates import Electrics
from .extract import extract_profiles
from .finite_size import InfiniteBox, infinite_box, yeh_hummer
from .green_kubo import GreenKubo, green_kubo
from .interface import View, density_profiles, interface_profiles
from .molecules import dielectric_response
from .particles import Species
from .paths import Paths, centres_of_mass, unwrap
from .readers import read_paths
from .regions import inside_shell, inside_slab
from .residence import Residence, residence
from .settings import Geometry, Resolution, even_spacing
from .stationarity import stationarity
from .stays import Shell, Slab, residence_times
from .surface import Surface
from .transport import bulk_transport

__all__ = [
    "BulkDiffusion",
    "CollectiveTransport",
    "Cylindrical",
    "DielectricProfile",
    "DipoleSums",
    "Electrics",
    "Electrostatics",
    "Geometry",
    "GreenKubo",
    "InfiniteBox",
    "PHI_KINDS",
    "Paths",
    "Planar",
    "PoreProfile",
    "PoreSums",
    "Residence",
    "Resolution",
    "Shell",
    "Slab",
    "Species",
    "View",
    "Spherical",
    "Surface",
    "bulk_diffusion",
    "bulk_permittivity",
    "bulk_transport",
    "centres_of_mass",
    "collective_transport",
    "density_profiles",
    "dielectric_response",
    "dielectric_profile",
    "dipole_relaxation",
    "even_spacing",
    "extract_profiles",
    "green_kubo",
    "infinite_box",
    "inside_shell",
    "inside_slab",
    "interface_profiles",
    "permittivity_interval95",
    "planar_potential",
    "pore_profile",
    "radial_potential",
    "read_paths",
    "residence",
    "residence_times",
    "stationarity",
    "unwrap",
    "with_bulk",
    "yeh_hummer",
]
