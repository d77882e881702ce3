"""Active learning on the fly."""

from .learning import ActiveSettings, Round, learn
from .trigger import Trigger
from .walkers import Motion

__all__ = ["ActiveSettings", "Motion", "Round", "Trigger", "learn"]
