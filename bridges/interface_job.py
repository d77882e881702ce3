"""The main job: from an oracle's forces to the transport resistance of an interface.

`plan` turns a configuration into stages; each stage gets just the settings that it
depends on, so an edited value reruns only what follows from it.
"""

from __future__ import annotations

from .pipeline.config import Config
from .pipeline.stage import Stage

_STAGES = "mesobridge.bridges.stages"

#: Distributions whose versions enter the keys of the stages that use them.
_BASE = ("numpy", "scipy")
_MD, _ML = (*_BASE, "openmm", "ase"), (*_BASE, "openmm", "torch", "vesin")
_FEM, _ANALYSIS, _BEADS = (*_BASE, "fenics-dolfinx"), (*_BASE, "MDAnalysis"), (
    *_BASE, "openmm", "vesin", "MDAnalysis",
)  # fmt: skip


def plan(config: Config) -> list[Stage]:
    """Stages of the interface job, in an order that honours their needs."""
    c = config
    stages = [*_learning(c), *_dynamics(c), *_coarse(c), *_interface(c)]
    needs = tuple(stage.name for stage in stages)
    settings = {"name": c.run.name, "temperature": c.system.temperature}
    stages.append(_stage("report", "report:report", settings, needs, cost=5))
    return stages


def _stage(name: str, function: str, settings: dict, needs=(), *, cost=10.0, backends=()):
    return Stage(
        name=name,
        function=f"{_STAGES}.{function}",
        version=1,
        settings=settings,
        needs=tuple(needs),
        cost=cost,
        backends=tuple(backends),
    )


def _system(c: Config) -> dict:
    """Settings of every stage that builds a cell and moves ions."""
    return {
        "ions": c.system.ions,
        "temperature": c.system.temperature,
        "density": c.system.density,
        "oracle": c.oracle.kind,
        "oracle_cutoff": c.oracle.cutoff,
        "timestep": c.md.timestep,
        "save": c.md.save,
        "segment": c.md.segment,
        "friction": c.md.friction,
        "equilibrate": c.md.equilibrate,
        "seed": c.run.seed,
    }


def _learned(c: Config) -> dict:
    """Settings of stages that move ions with the learned potential."""
    return {**_system(c), "electrostatics": c.potential.electrostatics}


def _slab(c: Config) -> dict:
    return {
        "width": c.slab.width,
        "vacuum": c.slab.vacuum,
        "wall_epsilon": c.slab.wall_epsilon,
        "wall_sigma": c.slab.wall_sigma,
        "surface_charge": c.slab.surface_charge,
    }


def _learning(c: Config) -> list[Stage]:
    sampling = {
        "temperatures": list(c.sampling.temperatures),
        "spacing": c.sampling.spacing,
        # Half of the frames are bulk, half slab.
        "frames": {
            "train": c.sampling.frames // 2,
            "held_out": c.sampling.held_out // 2,
        },
    }
    stages = []
    for kind, extra in (("bulk", {}), ("slab", _slab(c))):
        settings = {**_system(c), **extra, **sampling, "kind": kind}
        del settings["friction"], settings["equilibrate"]
        stages.append(
            _stage(f"sample_{kind}", "sampling:sample", settings, cost=30, backends=_MD)
        )
    training = {
        **c.potential.model_dump(),
        "temperatures": list(c.sampling.temperatures),
        "oracle": c.oracle.kind,
        "seed": c.run.seed,
    }
    samples = ("sample_bulk", "sample_slab")
    stages.append(
        _stage("train", "learning:train", training, samples, cost=70, backends=_ML)
    )
    checks = {**_learned(c), "nve": c.md.nve}
    stages.append(
        _stage(
            "validate",
            "learning:validate",
            checks,
            ("train", *samples),
            cost=25,
            backends=_ML,
        )  # fmt: skip
    )
    return stages


def _dynamics(c: Config) -> list[Stage]:
    bulk = {**_system(c), "length": c.md.bulk}
    stages = [
        _stage(
            "oracle_bulk",
            "dynamics:oracle_bulk",
            {**bulk, "replicas": c.md.replicas},
            ("sample_bulk",),
            cost=40,
            backends=_MD,
        )  # fmt: skip
    ]
    slab = {
        **_learned(c),
        **_slab(c),
        "length": c.md.slab,
        "melt": c.md.melt,
        "melt_temperature": c.md.melt_temperature,
    }
    for r in range(c.md.replicas):
        stages.append(
            _stage(
                f"slab_{r}",
                "dynamics:slab",
                {**slab, "replica": r},
                ("train",),
                cost=130,
                backends=_ML,
            )  # fmt: skip
        )
        stages.append(
            _stage(
                f"bulk_{r}",
                "dynamics:bulk",
                {**_learned(c), "length": c.md.bulk, "replica": r},
                ("train", "sample_bulk"),
                cost=80,
                backends=_ML,
            )  # fmt: skip
        )
    return stages


def _replicas(c: Config, kind: str) -> tuple[str, ...]:
    return tuple(f"{kind}_{r}" for r in range(c.md.replicas))


def _coarse(c: Config) -> list[Stage]:
    bulks = _replicas(c, "bulk")
    analysis = {"replicates": c.run.replicates, "seed": c.run.seed}
    fit = {
        **analysis,
        "cutoff": c.coarse.cutoff,
        "spacing": c.coarse.spacing,
        "temperature": c.system.temperature,
        "block": c.profiles.block,
    }
    run = {**_system(c), "length": c.coarse.run, "block": c.profiles.block}
    return [
        _stage(
            "bulk_analysis", "analysis:bulk_analysis",
            {**analysis, "replicas": c.md.replicas, "block": c.profiles.block},
            ("oracle_bulk", *bulks), cost=8, backends=_ANALYSIS,
        ),
        _stage(
            "force_matching", "coarse:force_matching", fit, bulks, cost=12,
            backends=_BEADS,
        ),
        _stage(
            "coarse_run", "coarse:coarse_run", run,
            ("force_matching", *bulks), cost=20, backends=_BEADS,
        ),
    ]  # fmt: skip


def _interface(c: Config) -> list[Stage]:
    slabs = _replicas(c, "slab")
    profiles = {
        **_system(c),
        **_slab(c),
        "bin": c.profiles.bin,
        "lag": c.profiles.lag,
        "block": c.profiles.block,
        "replicates": c.run.replicates,
    }
    transport = {
        "bulk_width": c.transport.bulk_width,
        "bias": c.transport.bias,
        "side": c.transport.side,
    }
    return [
        _stage(
            "profiles", "analysis:profiles", profiles, ("bulk_analysis", *slabs), cost=20,
            backends=_BASE,
        ),
        _stage(
            "transport", "continuum:transport", transport, ("profiles",), cost=20,
            backends=_FEM,
        ),
    ]  # fmt: skip
