"""Labels from oracles: made once, kept with what made them, many at a time."""

from .check import Checked, check_oracle
from .label import Failed, Label, label_key
from .labeller import Labeller, succeeded
from .sets import labelled_frames, read_labels, write_labels
from .store import LabelStore

__all__ = [
    "Checked",
    "Failed",
    "Label",
    "LabelStore",
    "Labeller",
    "check_oracle",
    "label_key",
    "labelled_frames",
    "read_labels",
    "succeeded",
    "write_labels",
]
