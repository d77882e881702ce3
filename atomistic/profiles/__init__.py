"""Profiles across an interface and transport in bulk, with joint bootstrap errors."""

from .bulk import BulkDiffusion, bulk_diffusion
from .collective import CollectiveTransport, collective_transport
from .extract import extract_profiles
from .finite_size import InfiniteBox, infinite_box, yeh_hummer
from .green_kubo import GreenKubo, green_kubo
from .paths import Paths, centres_of_mass, unwrap
from .regions import inside_shell, inside_slab
from .residence import Residence, residence
from .settings import Geometry, ProfileSettings, even_spacing
from .stationarity import stationarity

__all__ = [
    "BulkDiffusion",
    "CollectiveTransport",
    "Geometry",
    "GreenKubo",
    "InfiniteBox",
    "Paths",
    "ProfileSettings",
    "Residence",
    "bulk_diffusion",
    "centres_of_mass",
    "collective_transport",
    "even_spacing",
    "extract_profiles",
    "green_kubo",
    "infinite_box",
    "inside_shell",
    "inside_slab",
    "residence",
    "stationarity",
    "unwrap",
    "yeh_hummer",
]
