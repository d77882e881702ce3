"""Contracts every scale shares: units, schemas, artefact files, statistics, errors.

Nothing here imports from the rest of mesobridge.
"""
