"""Run the interface job from Python and go on with what it found."""

import argparse

from mesobridge.bridges.coefficients import coefficients_from_profiles
from mesobridge.bridges.jobs import run_job
from mesobridge.bridges.transport import solve_transport
from mesobridge.core.artefact import read_dataset
from mesobridge.core.script import plain_errors
from mesobridge.core.stats import estimate


@plain_errors()
def main(config, out):
    job = run_job(config, out)  # what is there is not run again
    path = job.artefacts["profiles"] / "profiles.nc"
    profiles = read_dataset(path, "interface-profiles/1")
    for side in ("left", "right"):  # the cathode, and the anode for comparison
        # Default taper: the last quarter of the way; the job takes transport.bulk_width.
        coefficients = coefficients_from_profiles(profiles, side=side)
        solution = solve_transport(coefficients, profiles)
        for index, name in enumerate(solution["species"].values):
            found = estimate(solution["resistance"].values[:, index], profiles.n_units)
            print(side, name, found["value"], found["ci95"], "ohm m2")


if __name__ == "__main__":  # worker processes import this file again
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--out", default="runs")
    main(**vars(parser.parse_args()))
