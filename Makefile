# ipvs-estoff-guard: `make` lists what can be made.

PYTHON := .venv/bin/python
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

SCRIPTS := .ci/run tools/install-apt $(wildcard packaging/*.sh packaging/*/*.sh tests/vm/*/*.sh) \
	$(addprefix packaging/debian/,postinst postrm prerm rtupdate)

RPM_NEEDS := build/setup.stamp
include packaging/install.mk
include packaging/rpm.mk
include packaging/deb.mk
include packaging/wheel.mk
include packaging/image.mk
include packaging/chart.mk
include packaging/zipapp.mk
include packaging/release.mk

# Inputs for each target of the fuzzer.
FUZZ_RUNS ?= 100000

# Says when a part of the tests begins: where one takes long or hangs, the log tells which.
BEGINS = @date -u +'== make $@, %H:%M:%S UTC'

.PHONY: help demo examples diagram bench bench-quick kernels dashboard soak test test-all check lint unit unit-all fuzz sbom \
	test-packaging test-vm test-vm-all vm vm-images clean manifest setup

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | sort | column -t -s '|'

demo: setup ## see it work: boots a VM, installs the RPM with dnf, reloads ip_vs with and without
	$(PYTHON) -m lab.demo

examples: setup ## print the examples that the man pages quote, from a VM
	$(PYTHON) -m lab.examples

diagram: setup ## draw the rooms of ipvsd/ into docs/ARCHITECTURE.md, from the imports
	$(PYTHON) -m lab.rooms

bench: setup ## the guard beside its alternatives; writes docs/benchmarks.* (PART=native: that, no VM)
	$(PYTHON) -m lab.bench $(PART:%=--only %)

bench-quick: setup ## the same with fewer samples; prints the page, keeps it in build/bench/ (PART=)
	$(PYTHON) -m lab.bench --quick $(PART:%=--only %)

kernels: setup ## what the guard finds and does on each test machine; writes docs/kernels.* (SUITE=)
	$(PYTHON) -m lab.kernels $(if $(filter command line,$(origin SUITE)),$(SUITE))

dashboard: setup ## Prometheus beside the guard in a VM; draws the dashboard's panels, docs/dashboard.svg
	$(PYTHON) -m lab.dashboard

DURATION ?= 2h
SCALE ?= 10
soak: setup ## faults, and hosts' lives of DURATION=2h, in VMs; writes docs/reliability.* (PART=)
	$(PYTHON) -m lab.soak $(DURATION) --scale $(SCALE) $(PART:%=--part %)

test: setup ## what each change must pass: lint, unit, packaging and VM tests
	@$(PYTHON) tools/run_parts.py

test-all: setup build/setup-all.stamp ## the same on every Python and on every kernel, with larger numbers
	@$(PYTHON) tools/run_parts.py --all

check: lint unit test-packaging ## everything that needs no VM

# The tests that run on Python 3.6 too.
ON_EVERY_PYTHON := tests/unit tests/process tests/namespaces

lint: setup ## style, types, lowest Python version, shell scripts
	$(BEGINS)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/vermin --quiet --no-tips --violations -t=3.6- ipvsd packaging/main.py packaging/fill_home.py packaging/make_zipapp.py \
		packaging/sbom.py $(ON_EVERY_PYTHON)
	shellcheck $(SCRIPTS)

unit: setup ## unit, process and (as root) namespace tests on the oldest and newest Python found
	$(BEGINS)
	$(PYTHON) tools/test_pythons.py

unit-all: setup ## the same on every Python that is found
	$(BEGINS)
	$(PYTHON) tools/test_pythons.py --all

fuzz: setup build/fuzz.stamp ## feed every parser of outside text FUZZ_RUNS inputs, by coverage
	$(PYTHON) -m tests.fuzz $(FUZZ_RUNS)

sbom: ## list what the package is made of, and under which licences: build/sbom.cdx.json
	@mkdir -p build
	@python3 packaging/sbom.py > build/sbom.cdx.json
	@echo build/sbom.cdx.json

manifest: setup build/kube.stamp ## render deploy/manifest.yaml from the Helm chart
	@$(PYTHON) -m tests.packaging.kube_tools helm template ipvs-estoff-guard \
		deploy/helm/ipvs-estoff-guard --namespace kube-system > deploy/manifest.yaml

test-packaging: setup build/kube.stamp ## install tree, wheel, RPM, repository, man pages
	$(BEGINS)
	$(PYTHON) -m pytest -q --no-skips tests/packaging

# One more than processors: a machine often waits, for a timer, a period, or its journal.
VMS ?= $(shell echo $$(($$(nproc) + 1)))
TEST_VM = $(PYTHON) -m pytest -q --no-skips --durations=15 -n $(VMS) --dist loadgroup tests/vm
test-vm: setup ## the truth: real kernels, systemd, udev, journald and dnf in QEMU
	$(BEGINS)
	$(TEST_VM)

test-vm-all: setup build/setup-all.stamp ## the same on every kernel, with larger numbers
	$(BEGINS)
	$(TEST_VM) --thorough

vm-images: setup ## build the images that `make test` needs and that are not there yet
	$(BEGINS)
	$(PYTHON) -m tests.vm.images

SUITE ?= bookworm
vm: setup ## a shell in a VM with the package installed (SUITE=bullseye, vendor, bookworm, trixie or sid)
	@$(PYTHON) -m tests.vm.shell $(SUITE)

build/fuzz.stamp: tests/fuzz/requirements.txt
	@echo "Installing into .venv: $<"
	@.venv/bin/pip --disable-pip-version-check install -q -r $< 2>/dev/null
	@touch $@

# helm, kubectl and a validator of manifests, for the Helm chart.
build/kube.stamp: tests/packaging/requirements.txt
	@echo "Installing into .venv: $<"
	@.venv/bin/pip --disable-pip-version-check install -q --no-deps \
		$$(sed -n 's/^aws.*/&/p' $<) 2>/dev/null
	@.venv/bin/pip --disable-pip-version-check install -q $$(sed -n '/^[b-z]/p' $<) 2>/dev/null
	@touch $@

# What only test-all needs.
build/setup-all.stamp: tools/apt-packages-all.txt
	@tools/install-apt $<
	@touch $@

clean: ## remove what was built (not the VM images, see tests/vm/images.py)
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Installs Debian packages (apt-get, sudo where not root) and Python packages (into .venv).
setup: build/setup.stamp
build/setup.stamp: tools/apt-packages.txt packaging/apt-packages.txt tools/requirements-dev.txt
	@tools/install-apt tools/apt-packages.txt packaging/apt-packages.txt
	@test -x $(PYTHON) || { echo "Making .venv"; python3 -m venv .venv; }
	@echo "Installing into .venv: tools/requirements-dev.txt"
	@.venv/bin/pip --disable-pip-version-check install -q -r tools/requirements-dev.txt 2>/dev/null
	@mkdir -p build
	@touch $@
