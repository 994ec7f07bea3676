# `make demo` and `make test` set up all they need; nothing has to be installed by hand.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: demo test test-slow coverage lint format docs pictures benchmarks clean

demo: $(VENV)/.app
	$(BIN)/napari-pgan-train demo --out demo
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
		.ci/system-packages gui; $(BIN)/napari demo/run32/model.safetensors; \
	else echo "No display here; on one with a screen: $(BIN)/napari demo/run32/model.safetensors"; fi

test: $(VENV)/.dev lint docs
	.ci/system-packages gui
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

test-slow: $(VENV)/.dev
	.ci/system-packages gui
	$(BIN)/python -m pytest -m slow --timeout=3600

coverage: $(VENV)/.dev
	.ci/system-packages gui
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report --skip-covered

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

pictures: $(VENV)/.dev
	.ci/system-packages gui
	$(BIN)/python docs/make_phantom_sheet.py
	xvfb-run -a $(BIN)/python docs/make_screenshot.py
	xvfb-run -a $(BIN)/python docs/make_screenshot.py --dock Steer
	xvfb-run -a $(BIN)/python docs/make_prepare_screenshot.py

# THREADS=2 sets torch's threads; on a machine with a GPU, `python benchmarks/gpu.py --device cuda` adds its table.
benchmarks: $(VENV)/.dev
	for name in peer cost shortcuts memory_flat; do \
		$(BIN)/python benchmarks/$$name.py $(if $(THREADS),--threads $(THREADS)) || exit 1; done
	$(BIN)/python benchmarks/tables.py

clean:
	rm -rf $(VENV) build dist site *.egg-info

$(VENV)/.app: pyproject.toml constraints.txt
	.ci/system-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --upgrade "pip>=25.1"
	$(PIP) -e ".[all]"
	@touch $@

$(VENV)/.dev: $(VENV)/.app
	$(PIP) --group dev --group docs
	@touch $@
