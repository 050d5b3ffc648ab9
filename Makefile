# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PY := $(VENV)/bin/python
WORKERS ?= 2

.PHONY: help demo test lab install fill readme clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.txt constraints.txt settings.ini setup.py
	python3 -c 'import sys; sys.exit("mmrag_nb needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	python3 -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/.installed ## virtual environment with everything in it

demo: install ## draw photos, run the whole line on them, write a report to look at
	$(VENV)/bin/mmrag demo --workers $(WORKERS)

test: install ## everything checked: package in step with notebooks, README, floors, every notebook run
	$(PY) tools/check.py --workers $(WORKERS)

lab: install ## JupyterLab on the notebooks
	$(VENV)/bin/jupyter lab --notebook-dir=nbs

fill: install ## run the notebooks and keep their outputs, for readers on the web
	$(PY) tools/fill.py nbs/*.ipynb

readme: install ## README.md from nbs/index.ipynb
	$(PY) tools/readme.py

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist *.egg-info _docs _proc
