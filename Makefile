# `make` lists what there is to run. Everything is installed into .venv in this folder.
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
LOWEST := .venv-lowest
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# The notebooks' kernel `python3` is .venv's, also where a user has installed another of that name.
export JUPYTER_PREFER_ENV_PATH := 1

# Where there is no home folder, Jupyter, pip and matplotlib keep their settings in .venv.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/$(VENV)/home
endif

.PHONY: help lab test test-lowest book bench notebooks figures release grade clean
.DEFAULT_GOAL := help

help:
	@echo "make lab        open the course in JupyterLab   (make lab ARGS=\"--no-browser --port=8899\")"
	@echo "make test       run every test and notebook     (make test ARGS=\"-k quadrature\")"
	@echo "make book       build the course as a web site in build/book, from its saved outputs"
	@echo "make test-lowest  the same with the lowest versions that pyproject.toml promises, in $(LOWEST)"
	@echo "make bench      measure speed, as ratios         (make bench ARGS=\"fit data\")"
	@echo "make notebooks  run the notebooks and save their outputs in place"
	@echo "make figures    copy the README's figures out of the notebooks"
	@echo "make release    write the student version of the graded assignment"
	@echo "make grade      autograde what is in notebooks/assignments/submitted (ARGS=\"--jobs 4\")"
	@echo "make clean      remove $(VENV), $(LOWEST) and caches"
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

book: $(VENV)/.book
	@OMP_NUM_THREADS=1 $(PY) notebooks/book/make_book.py $(ARGS)

test-lowest: $(LOWEST)/.installed
	@echo "Running the tests with the lowest versions promised in $(WORKERS) workers ..."
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/tests/no_network" \
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

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
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	find svae_helpers tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune \
	    -exec rm -rf {} +

# Stops in a sentence where $(PYTHON) is not there, too old, or without venv.
define checked_python
@command -v "$(PYTHON)" >/dev/null || { \
	    echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours:" \
	         "make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "The course needs Python 3.11 or newer, but %s is %d.%d. If you have a newer one, " \
	    "name it: make PYTHON=python3.12 ..." % tuple(sys.argv[1:] + list(sys.version_info[:2])))' "$(PYTHON)"
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:" \
	         "sudo apt install python3-venv" >&2; exit 1; }
endef

# $(call told,FOLDER): what pip says goes into a file, and a failure is told in a sentence.
NO_NETWORK := NewConnectionError|ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|name resolution
told = >$(1)/install.log 2>&1 || { \
    if grep -qE '$(NO_NETWORK)' $(1)/install.log; then \
        echo "pip cannot reach its packages, which the first installation needs the network for."; \
    elif grep -q 'No space left' $(1)/install.log; then \
        echo "The disk is full: the course needs up to 6 GB."; \
    else \
        grep -E '^ *(ERROR|error)' $(1)/install.log || tail -n 3 $(1)/install.log; \
        echo "pip could not install what the course needs; its last words are above."; \
    fi >&2; \
    echo "All that it said is in $(1)/install.log. Run the same command again when this is" \
         "mended: it goes on from there." >&2; exit 1; }

# The stamp is written last, so an interrupted installation is taken up again, and a changed list of
# dependencies is noticed. After an interruption pip may take a half-written package for an
# installed one; --ignore-installed then writes every package again.
$(VENV)/.installed: pyproject.toml
	$(checked_python)
	@echo "Installing the course into $(VENV): some minutes and up to 6 GB the first time," \
	      "mostly PyTorch ..."
	@again=; if [ -e $(VENV)/.incomplete ]; then again=--ignore-installed; fi; \
	mkdir -p $(VENV) && touch $(VENV)/.incomplete && \
	{ $(PY) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV); } && \
	touch $(VENV)/.incomplete && \
	{ $(PY) $(PIP_INSTALL) $$again --editable '.[lab]' $(call told,$(VENV)); } && \
	rm -f $(VENV)/.incomplete && touch $@

# What tests need, grading and the web book with theirs; a student's `make lab` installs none of it.
$(VENV)/.testing: $(VENV)/.installed
	@echo "Installing what the tests need ..."
	@$(PY) $(PIP_INSTALL) --editable '.[lab,test]' $(call told,$(VENV))
	@touch $@

$(VENV)/.grading: $(VENV)/.testing
	@echo "Installing nbgrader for the graded assignment, and Sphinx for the web book ..."
	@$(PY) $(PIP_INSTALL) --editable '.[lab,test,grading,book]' $(call told,$(VENV))
	@touch $@ $(VENV)/.book

$(VENV)/.book: $(VENV)/.installed
	@echo "Installing Sphinx for the web book ..."
	@$(PY) $(PIP_INSTALL) --editable '.[lab,book]' $(call told,$(VENV))
	@touch $@

# The lowest versions that pyproject.toml promises, pinned; the course's own environment stays.
$(LOWEST)/.installed: pyproject.toml tests/tools/lowest_versions.py
	$(checked_python)
	@echo "Installing the lowest versions promised into $(LOWEST) ..."
	@"$(PYTHON)" -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python tests/tools/lowest_versions.py >$(LOWEST)/lowest.txt
	@$(LOWEST)/bin/python $(PIP_INSTALL) --constraint $(LOWEST)/lowest.txt \
	    --editable '.[lab,test,grading,book]' $(call told,$(LOWEST))
	@touch $@
