# Every target works in a fresh clone: .venv is created on first use and again when the pins change.
PYTHON ?= python3
EXTRAS ?= dev,demo,torch
comma := ,
# pip leaves compiling to the first import: without its result, every process of a test would compile everything again.
export PYTHONDONTWRITEBYTECODE :=
INSTALLED := .venv/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: demo test check docs bench clean .venv

.venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -c constraints.txt --upgrade pip
	.venv/bin/python -m pip install --quiet --no-compile -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

demo:  # needs less than the tests do: no PyTorch
	$(MAKE) --no-print-directory .venv EXTRAS=demo
	.venv/bin/tangentlens demo --output demo-output

test: $(INSTALLED)  # each process takes half of the list, so most modules are set up once
	OPENBLAS_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist worksteal

check: $(INSTALLED)
	.venv/bin/ruff check
	.venv/bin/mypy

docs: $(INSTALLED)
	.venv/bin/mkdocs build --strict

bench:  # make bench ARGUMENTS="--only scale": see CONTRIBUTING.md
	$(MAKE) --no-print-directory .venv EXTRAS=dev,demo,torch,benchmarks
	.venv/bin/python -m benchmarks $(ARGUMENTS)

clean:
	rm -rf .venv site demo-output dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
