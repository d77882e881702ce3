"""Training in one of several processes; the first writes its weights."""

import sys
from pathlib import Path

import numpy as np
import torch.distributed as dist

from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.core.artefact import read_dataset

folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if size > 1:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size
    )
settings = TrainingSettings(
    ("H", "O"), 4e-10, channels=4, radial=4, hidden=8, steps=25, batch=4 // size,
    group_weights=(("hot", 2.0),), points=5, dtype="float64",
)  # fmt: skip
sets = [read_dataset(path, "frames/1") for path in sorted(folder.glob("*.nc"))]
result = train(sets, [ds.isel(frame=slice(0, 5)) for ds in sets], settings)
if rank == 0:
    np.savez(folder / f"weights{size}.npz", **result.tensors,
             curve=[[p["score"], p["loss"]] for p in result.curve])  # fmt: skip
if size > 1:
    dist.destroy_process_group()
