# Short names for what CONTRIBUTING.md describes; everything but bench and requirements goes through tests/run.
PYTHON := .venv/bin/python

.PHONY: dev check fast test bench requirements clean

dev:  ## make or refresh .venv and the links that mypy and editors need
	tests/run setup

check:  ## formatting, lint, types
	tests/run check

fast:  ## rules and unit tests, under a minute
	tests/run fast

test:  ## everything that CI runs
	tests/run

bench: dev  ## measure; the figures go to tests/benchmarks/results. Some parts only: make bench PARTS="latency fleet"
	$(PYTHON) tests/benchmarks/run.py $(if $(PARTS),--only $(PARTS)) $(if $(RIVALS),--rivals)

requirements: dev  ## pin anew what setup.py asks for, for every platform and Python from 3.11 on
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
	  --extra control --extra test setup.py --output-file requirements.txt
	@printf '%s\n' '# The tested versions of everything: pip install -r requirements.txt -e .[control,test]' \
	  '# Made by "make requirements" from the ranges in setup.py, for every platform and Python from 3.11 on.' \
	  | cat - requirements.txt > requirements.new && mv requirements.new requirements.txt

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find broker_config producer worker beat tests -name __pycache__ -type d -prune -exec rm -rf {} +
