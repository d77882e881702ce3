"""Production dynamics of a learned potential that is watched while it runs."""

from .run import produce
from .settings import Produced, ProductionSettings

__all__ = ["Produced", "ProductionSettings", "produce"]
