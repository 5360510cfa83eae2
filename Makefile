# `make` lists what there is to run. Everything is installed into .venv in this folder.
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python

# The notebooks' kernel `python3` is .venv's, also where a user has installed another of that name.
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: help lab test bench notebooks figures release grade clean
.DEFAULT_GOAL := help

help:
	@echo "make lab        open the course in JupyterLab   (make lab ARGS=\"--no-browser --port=8899\")"
	@echo "make test       run every test and notebook     (make test ARGS=\"-k quadrature\")"
	@echo "make bench      measure speed, as ratios         (make bench ARGS=\"fit data\")"
	@echo "make notebooks  run the notebooks and save their outputs in place"
	@echo "make figures    copy the README's figures out of the notebooks"
	@echo "make release    write the student version of the graded assignment"
	@echo "make grade      autograde what is in notebooks/assignments/submitted (ARGS=\"--jobs 4\")"
	@echo "make clean      remove .venv and caches"
	@echo "The first of them installs everything into .venv; PYTHON=python3.12 picks another Python."

lab: $(VENV)/.installed
	@no_browser=; \
	if [ "$$(uname)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY$$BROWSER" ]; then \
	    no_browser=--no-browser; \
	    echo "No display here: open the address that JupyterLab prints below."; \
	fi; \
	cd notebooks && unset PYTHONPATH PYTHONHOME && \
	exec ../$(PY) -m jupyterlab $$no_browser $(ARGS)

# One thread per worker: more would only fight over the cores. No network: tests/no_network.
test: $(VENV)/.grading
	@echo "Running the tests and every notebook in $(WORKERS) workers (some minutes) ..."
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/tests/no_network" \
	$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

bench: $(VENV)/.testing
	@OMP_NUM_THREADS=1 $(PY) tests/benchmarks/run.py $(ARGS)

notebooks: $(VENV)/.testing
	@OMP_NUM_THREADS=1 $(PY) tests/tools/remake_notebooks.py $(ARGS)

figures: $(VENV)/.testing
	@OMP_NUM_THREADS=1 $(PY) tests/tools/make_figures.py $(ARGS)

release: $(VENV)/.grading
	@OMP_NUM_THREADS=1 $(PY) notebooks/assignments/grading.py release $(ARGS)

grade: $(VENV)/.grading
	@OMP_NUM_THREADS=1 $(PY) notebooks/assignments/grading.py grade $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	find svae_helpers tests notebooks -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

# The stamp is written last, so an interrupted installation is taken up again, and a changed list of
# dependencies is noticed. After an interruption pip may take a half-written package for an
# installed one; --ignore-installed then writes every package again.
$(VENV)/.installed: pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours:" \
	         "make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "The course needs Python 3.11 or newer, but $(PYTHON) is %d.%d. If you have a newer one, " \
	    "name it: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:" \
	         "sudo apt install python3-venv" >&2; exit 1; }
	@echo "Installing the course into $(VENV): some minutes and up to 6 GB the first time," \
	      "mostly PyTorch ..."
	@again=; if [ -e $(VENV)/.incomplete ]; then again=--ignore-installed; fi; \
	mkdir -p $(VENV) && touch $(VENV)/.incomplete && \
	{ $(PY) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV); } && \
	touch $(VENV)/.incomplete && \
	$(PY) -m pip install --quiet --disable-pip-version-check $$again --editable '.[lab]' && \
	rm -f $(VENV)/.incomplete && touch $@

# What tests, and what only grading and its tests need; a student's `make lab` installs neither.
$(VENV)/.testing: $(VENV)/.installed
	@echo "Installing what the tests need ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[lab,test]'
	@touch $@

$(VENV)/.grading: $(VENV)/.testing
	@echo "Installing nbgrader for the graded assignment ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[lab,test,grading]'
	@touch $@
