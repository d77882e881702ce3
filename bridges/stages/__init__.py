"""Stages of the pipeline: one thin function per stage, one file per scale."""
