# Everything a person types.  Needs Python 3.11 with pip and venv, and make; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs
# Two processes with a thread each: with more, their threads wait for each other's cores.  Compiled
# files are kept even where the environment says not to: the tests start Python hundreds of times.
# Files of tests are begun in the order that tests/conftest.py gives them.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile \
	--no-loadscope-reorder

.PHONY: demo demo-crash test test-slow test-loggers test-slurm test-browser test-engines test-gpu device-check mutants faults check format benchmark image clean

demo: $(VENV)/installed  ## search digits, compare with random search, draw
	$(BIN)/python examples/demo.py $(RUNS)/demo

demo-crash: $(VENV)/installed  ## the same search under kill -9 ends with the same bits
	$(BIN)/python examples/demo.py $(RUNS)/demo-crash --crash

test: $(VENV)/installed-dev  ## the tests, about twelve minutes on two cores
	$(PYTEST)

test-slow: $(VENV)/installed-dev  ## what takes longer: more seeds, whole searches, downloads
	$(BIN)/python -m pytest -m slow

test-loggers: $(VENV)/installed-dev  ## what wandb, MLflow and pandas are told; installs them
	$(BIN)/python -m pip install --quiet --requirement requirements-loggers.txt
	$(BIN)/python -m pytest tests/loggers tests/api

test-slurm: $(VENV)/installed-dev  ## searches under a Slurm of their own, with Debian's slurm-wlm
	command -v slurmctld sbatch munged > /dev/null || apt-get install --yes --no-install-recommends slurm-wlm munge
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm tests/launch

test-browser: $(VENV)/installed-dev  ## the page of `pbtnas dashboard` in an installed Chromium
	$(BIN)/python -m pip install --quiet --requirement requirements-browser.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/dashboard

test-engines: $(VENV)/installed-dev  ## workers in Ray and Dask, manifests for Kubernetes; installs them
	$(BIN)/python -m pip install --quiet --requirement requirements-engines.txt
	$(BIN)/python -m pytest -m "slow or not slow" tests/system/test_engines.py tests/launch/test_k8s.py

test-gpu: $(VENV)/installed-dev  ## what only a GPU shows: on cuda:0, or PBTNAS_TEST_DEVICE
	$(BIN)/python -m pytest -m gpu

device-check: $(VENV)/installed-dev  ## tests, times and memory on a GPU: docs/gpu.md
	$(BIN)/python -m benchmarks.device --device $${PBTNAS_TEST_DEVICE:-cuda:0} --json device.json

mutants: $(VENV)/installed-dev  ## breaks the code on purpose; the tests must notice
	$(BIN)/python -m tests.mutants

faults: $(VENV)/installed-dev  ## searches on faulty disks and under signals; needs FUSE
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults -n 2 --dist load tests/faults

check: $(VENV)/installed-dev  ## lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/installed-dev  ## the tables of docs/performance.md
	$(BIN)/python benchmarks/coordination.py
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.long_run
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/mixing.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gan_step.py --batch 4 --repeats 2
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.small_steps
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/pinning.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/replay.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/weight_sharing.py

# requirements.txt pins what was tested; pyproject.toml says what should work.
$(VENV)/installed: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

image:  ## a container image of workers and coordinators; EXTRAS=gan,rl,report adds what they need
	docker build --tag pbtnas --build-arg EXTRAS=$(EXTRAS) .

clean:
	rm -rf $(VENV) $(RUNS)
