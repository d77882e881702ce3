"""Profiles across an interface and diffusion in bulk, with joint bootstrap errors."""

from .bulk import BulkDiffusion, bulk_diffusion
from .extract import extract_profiles
from .settings import Geometry, ProfileSettings
from .stationarity import stationarity

__all__ = [
    "BulkDiffusion",
    "Geometry",
    "ProfileSettings",
    "bulk_diffusion",
    "extract_profiles",
    "stationarity",
]
