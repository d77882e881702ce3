# One command each; every target sets up what it needs (tools/setup.sh).
.PHONY: setup demo test test-slow lint bench clean
RUN = .venv/bin/

setup:
	@sh tools/setup.sh
demo: setup
	@$(RUN)mesobridge run examples/nacl_interface/config.toml
test: setup
	@$(RUN)python -m pytest -q -m "not slow" -n 2 --dist worksteal
test-slow: setup
	@$(RUN)python -m pytest -q -m slow
lint: setup
	@$(RUN)ruff check . && $(RUN)mypy && $(RUN)lint-imports --no-cache
bench: setup
	@$(RUN)python benchmarks/foundation.py --json benchmarks/foundation.json
	@$(RUN)python benchmarks/continuum.py --json benchmarks/continuum.json
	@$(RUN)python benchmarks/profiles.py --json benchmarks/profiles.json
	@$(RUN)python benchmarks/potential.py --json benchmarks/potential.json
	@$(RUN)python benchmarks/coarse.py --json benchmarks/coarse.json
clean:
	rm -rf .venv .dev build *.egg-info
