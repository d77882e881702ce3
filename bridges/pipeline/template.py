"""The commented configuration that `mesobridge init` writes: every key, its default."""

TEMPLATE = """\
# Transport resistance of a molten-NaCl interface, from forces to Nernst-Planck.
# Quantities are text with a unit; every key may be left out (its default is shown).

[run]
name = "nacl_interface"         # the run folder is <out>/<name>
seed = 2026
workers = 2                     # processes, one thread each
replicates = 100                # bootstrap replicates of every error bar, at least 50

[system]
salt = "NaCl"
ions = 256
temperature = "1200 K"
density = "1488 kg/m**3"        # of the bulk melt

[slab]
width = "1.66 nm"               # lateral box; the distance of the walls follows
surface_charge = "-0.08 C/m**2" # of the left wall; the right wall carries the opposite
vacuum = 3.0                    # box height / slab height, for the slab correction
wall_epsilon = "1.660539e-21 J" # 9-3 Lennard-Jones walls
wall_sigma = "0.25 nm"

[oracle]
kind = "fumi-tosi"              # where reference forces come from
cutoff = "0.8 nm"

[sampling]
temperatures = ["1200 K", "1800 K", "2800 K"]
frames = 180                    # to learn from, half bulk and half slab
held_out = 48                   # to be judged by, from runs of their own
spacing = "0.1 ps"

[potential]
electrostatics = "formal"       # or "predicted": the potential learns charges
cutoff = "0.52 nm"
channels = 16
radial = 6
layers = 1
steps = 600
batch = 2
learning_rate = 0.01

[md]
timestep = "5 fs"
friction = "0.1 / ps"           # more than 0.2 / ps would bias D
melt = "8 ps"                   # without it half of the slab stays frozen
melt_temperature = "2800 K"
equilibrate = "6 ps"
slab = "35 ps"                  # per replica
bulk = "25 ps"                  # per replica
replicas = 2
save = "0.1 ps"
segment = "2 ps"                # a killed run loses at most this much
nve = "5 ps"

[profiles]
bin = "0.025 nm"
lag = "1 ps"                    # of D perpendicular
block = "5 ps"                  # unit of the block bootstrap

[coarse]
cutoff = "0.8 nm"
spacing = "0.03 nm"             # of the spline's knots
run = "6 ps"

[transport]
side = "left"
bulk_width = "0.4 nm"           # of the middle of the slab that is bulk
bias = 1e-3                     # of the small-bias solve, kT
"""
