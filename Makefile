# Everything goes into .venv beside this file. `make` alone lists the targets.
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
WORKERS ?= 2
CHROMIUM := chromium chromium-browser google-chrome google-chrome-stable

# Programs are run as `python -m`: unlike their scripts, that works in any folder and once moved.
venv_python := .venv/bin/python
pip_install := $(venv_python) -m pip --disable-pip-version-check install -qq
# Before pip 25.3 the first of them constrains what builds normscope too, since then the second.
pip_constrained := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(pip_install)
ruff := $(venv_python) -m ruff
# A worker takes neighbouring tests, which share fixtures and compiled code, and helps at the end.
pytest := $(venv_python) -m pytest -n $(WORKERS) --dist worksteal
# The whole suite runs with Keras on JAX; what touches Keras then runs on the others too.
keras_tests := tests/layers/keras tests/keras1/live tests/keras1/convert \
  tests/keras1/test_backend.py tests/frameworks/keras tests/frameworks/test_arguments.py \
  tests/frameworks/test_live.py tests/frameworks/native/test_round_trip.py
# Training scripts take minutes, most of all where each step is compiled: one backend runs them.
torch_tests := $(keras_tests) tests/keras1/test_scripts.py
sources := src tests docs hatch_build.py $(wildcard examples benchmarks catalogue healthy)
# What the kernels are compiled from; a changed one compiles them anew.
kernels := hatch_build.py src/normscope/kernels/recipe.py $(wildcard src/normscope/kernels/source/*)
export NORMSCOPE_KERNELS := require

.DEFAULT_GOAL := help
.PHONY: help demo check test lint docs bench catalogue healthy format clean chromium

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: .venv/.stamp-demo ## answer the founding question; needs Python 3.11 or newer, nothing else
	@$(venv_python) examples/founding_question.py

# The types are checked beside the tests: neither keeps two cores busy alone.
check: .venv/.stamp-kernels ## lint, types, and the quick tests that need no framework: minutes
	$(ruff) check $(sources)
	$(ruff) format --check $(sources)
	@$(venv_python) -m mypy & types=$$!; \
	$(pytest) --framework-free; tests=$$?; \
	wait $$types && exit $$tests

test: chromium lint docs ## every check: lint, types, docs, tests, doctests, examples
	$(pytest) --ignore tests/keras1/test_scripts.py
	@echo 'The tests of Keras on its torch backend:'
	KERAS_BACKEND=torch $(pytest) $(torch_tests)
	@echo 'The tests of Keras on its TensorFlow backend:'
	KERAS_BACKEND=tensorflow $(pytest) $(keras_tests)

lint: .venv/.stamp-test ## ruff and mypy
	$(ruff) check $(sources)
	$(ruff) format --check $(sources)
	$(venv_python) -m mypy

docs: .venv/.stamp-kernels ## build the documentation in build/docs, warnings are errors
	$(venv_python) -m sphinx -q -E -W -n --keep-going -d build/doctrees docs build/docs

bench: .venv/.stamp-kernels ## time everything beside the peers and a plain copy: ten minutes, on a quiet machine
	$(venv_python) -m benchmarks

catalogue: .venv/.stamp-kernels ## ask every layer of every framework anew, and write docs/computed.md
	$(venv_python) -m catalogue

healthy: .venv/.stamp-kernels ## audit forty models of timm, transformers, Keras and Flax with all rules
	$(pip_constrained) -e '.[healthy]'
	$(venv_python) -m healthy

format: .venv/.stamp-test ## format the code and fix what can be fixed
	$(ruff) check --fix $(sources)
	$(ruff) format $(sources)

clean: ## remove .venv and all that was built
	rm -rf .venv build dist src/normscope/kernels/built .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find src tests docs examples catalogue -name __pycache__ -prune -exec rm -rf {} +

# The report page is looked at in a real browser.
chromium:
	@for name in $(CHROMIUM); do \
	  if command -v $$name > /dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
	  echo 'make test: no Chromium was found ($(CHROMIUM)).' >&2; \
	  echo 'The tests of the HTML report need one. Install it, then run make test again.' >&2; \
	  echo 'On Debian: sudo apt-get install chromium' >&2; \
	  exit 1; \
	fi; \
	echo 'Installing the Debian package chromium, for the tests of the HTML report ...'; \
	apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null

$(venv_python):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'normscope needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11' >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv

.venv/.stamp-demo: pyproject.toml $(kernels) | $(venv_python)
	@echo 'Installing normscope and its five small dependencies into .venv (about a minute, once) ...'
	@$(pip_install) -e .
	@touch $@

.venv/.stamp-test: pyproject.toml constraints.txt | $(venv_python)
	@echo 'Installing normscope and all that its checks need into .venv (some minutes, once) ...'
	@$(pip_constrained) -e '.[test,docs,dev]'
	@touch .venv/.stamp-demo .venv/.stamp-kernels $@

.venv/.stamp-kernels: $(kernels) | .venv/.stamp-test
	@$(venv_python) hatch_build.py
	@touch .venv/.stamp-demo $@
