"""Couple scales: ML-MD, coarse graining and Nernst-Planck, with units and errors."""

__version__ = "0.1.0"
