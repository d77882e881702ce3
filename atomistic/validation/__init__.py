"""Static and dynamic validation of potentials."""
