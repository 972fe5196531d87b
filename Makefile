# Recency: every target builds its own environment first, with the versions of constraints.txt.
#
#   make demo     a small shop, trained, judged, served, open in the browser
#   make test     lint, types, every test, documentation: what CI runs
#   make check    the same in short: lint, types, the quick tests
#   make fix      format, and mend what the linter can mend
#   make docs     build the documentation into site/
#   make results  render docs/results.md and the README's table from benchmarks/results/
#   make soak     the fault tests at full size, recorded
#   make bench    run the benchmarks; DATA=folder holds the public event logs
#   make peers    the environments of the libraries that we compare with, under .venvs/
#   make clean    remove what was built, .venv included

PYTHON ?= python3
VENV   ?= .venv
DATA   ?= data
# Processes that share the tests, a file to each.
WORKERS ?= 2
# Where torch is taken from. The default index serves a build with CUDA on Linux; for the much smaller CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check fix docs results soak bench peers browser clean lint types

demo: $(VENV)/.run-ready
	$(BIN)/recency demo $(DEMO)

test: $(VENV)/.dev-ready browser lint types
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not gpu and not network and not bench"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: $(VENV)/.dev-ready lint types
	$(BIN)/python -m pytest -q

lint: $(VENV)/.dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev-ready
	$(BIN)/mypy

fix: $(VENV)/.dev-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

results: $(VENV)/.dev-ready
	$(BIN)/python -m benchmarks.render

soak: $(VENV)/.dev-ready
	$(BIN)/python -m pytest tests/faults -m "not gpu" --soak

bench: $(VENV)/.dev-ready peers
	$(BIN)/python -m benchmarks.reading.run $(DATA)/globo-news
	$(BIN)/python -m benchmarks.accuracy.run time $(foreach log,ml-100k ml-latest-2k deskdrop online-retail globo-news,$(DATA)/$(log))
	$(BIN)/python -m benchmarks.accuracy.run last $(DATA)/ml-1m-order $(DATA)/amazon-beauty
	$(BIN)/python -m benchmarks.accuracy.cost $(DATA)/ml-1m-order
	$(BIN)/recency fit $(DATA)/globo-news/events.parquet --until 0.9 --config benchmarks/evaluation/run.toml --out runs/globo
	$(BIN)/python -m benchmarks.evaluation.run runs/globo $(DATA)/globo-news
	$(BIN)/python -m benchmarks.speed.run $(DATA)
	$(BIN)/python -m benchmarks.speed.reach $(DATA)/ml-1m-order
	$(BIN)/python -m benchmarks.speed.items lstm
	$(BIN)/python -m benchmarks.speed.scale runs/scale --minutes 3
	$(BIN)/python -m benchmarks.serving.load
	$(BIN)/python -m benchmarks.serving.kill
	$(BIN)/python -m benchmarks.serving.recommend
	$(BIN)/python -m benchmarks.serving.one_event
	$(BIN)/python -m benchmarks.serving.cold_start
	$(BIN)/python -m benchmarks.online.run $(DATA)/globo-news $(DATA)/deskdrop
	$(BIN)/python -m benchmarks.content.run $(DATA)/ml-latest-2k $(DATA)/online-retail --alone also
	$(BIN)/python -m benchmarks.content.hybrid $(DATA)/amazon-instruments $(DATA)/online-retail $(DATA)/ml-latest-2k
	$(BIN)/python -m benchmarks.content.pretraining $(DATA)/amazon-instruments $(DATA)/online-retail $(DATA)/ml-latest-2k
	$(BIN)/python -m benchmarks.content.cross $(DATA)/amazon-beauty-electronics
	$(BIN)/python -m benchmarks.content.encoding
	$(BIN)/python -m benchmarks.content.new_item
	$(BIN)/python -m benchmarks.heads.run $(DATA)/ml-100k $(DATA)/ml-latest-2k $(DATA)/deskdrop $(DATA)/online-retail
	$(BIN)/python -m benchmarks.explain.run $(DATA)/deskdrop $(DATA)/ml-latest-2k
	$(BIN)/python -m benchmarks.sequences.run
	$(BIN)/python -m benchmarks.render

peers: .venvs/recbole/.ready .venvs/rectools/.ready .venvs/heads/.ready .venvs/statsforecast/.ready

.venvs/%/.ready: benchmarks/peers/%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps --requirement $<
	touch $@

# The tests of the web page need a headless Chromium. Where apt and root are at hand it is installed;
# elsewhere those tests skip and say so.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium here and no way to install it: the tests of the web page will skip" >&2

clean:
	rm -rf $(VENV) .venvs site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# What it takes to run Recency, and on top of it what it takes to work on it.
$(VENV)/.run-ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Recency needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready
	$(PIP) --editable '.[dev]'
	touch $@
