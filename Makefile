# `make demo` synthesizes a sentence. `make test` is what CI runs: lint, and all tests that are not
# marked slow; `make test-all` runs every test. Both set up what they need in .venv.
# `make test-ascend` runs what both run on MindSpore's Ascend backend, with a stand-in for CANN.
# `make test-checkpoints` reads model folders that transformers, peft and PyTorch write meanwhile.
# `make bench` measures speed; after `make peers` it measures PyTorch and llama.cpp, too, and with
# BENCH="--against REV" another revision. `make peers TORCH_INDEX=https://download.pytorch.org/whl/cpu`
# takes PyTorch's CPU build (0.2 GB) from there; PyPI alone has one with CUDA for x86-64 (3 GB).
# `make ascend-rehearsal` counts what our networks ask of an Ascend device, without one, also beside
# another revision: REHEARSAL="--against REV"; `make ascend-peer` counts it of MindSpore ONE's.
# `make eval` evaluates the demo model, `make eval EVAL="--model_dir DIR"` another English model.
# `make normalizer-report` counts what text normalizers read right; REPORT="--failures ours" lists it.
# `make gradio-clients` installs old and new versions of gradio_client, for the tests of the endpoints.
# `make speech-clients` installs clients of the speech server, for their tests.
# `make fuzz MINUTES=5` gives damaged files and texts to every reader; failing inputs are kept.
# `make soak MINUTES=60` watches the memory of a service under random requests.
# `make soak-server MINUTES=60` watches a speech server: mixed load, restarts, a full disk.
# MINDSPORE=2.7.1 uses another version of MindSpore, in an environment of its own.

PYTHON ?= python3
MINDSPORE ?=
MINUTES ?= 5
VENV := .venv$(MINDSPORE)
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
CHECKPOINTS := .venv-checkpoints
PEERS := .venv-peers
TORCH_INDEX ?=
# GCC 12 drops stores to the configuration of AMX tiles; llama.cpp then ends at an illegal instruction.
AMX_FIX := -fno-tree-dse -fno-dse
PEERS_PIP = $(PEERS)/bin/python -m pip install --quiet --timeout 15 --retries 2
ASCEND_PEER := .venv-ascend-peer
NORMALIZERS := .venv-normalizers
GRADIO_CLIENTS := 1.4.0 1.5.4 1.7.2 2.7.2
SPEECH_CLIENTS := agents openai-1 wyoming
WORKERS ?= $(shell env -u OMP_NUM_THREADS nproc)
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

# Workers have one thread each, so the kernels also run once without workers, on all cores.
THREADED = $(if $(TESTS),,$(BIN)/python -m pytest -m "not slow" -k "not plain" tests/ops/test_linear.py tests/ops/test_attention.py)

# Tests of the device, and those of the CPU that run there, too: see tests/ascend/standin/README.md.
ASCEND_PYTEST = $(BIN)/python -m tests.ascend $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 \
    --dist loadfile -p tests.ascend.plugin
ASCEND_TESTS = tests/ascend tests/parity/test_golden_runs.py
ASCEND_NIGHTLY = $(ASCEND_TESTS) tests/parity tests/ops tests/qwen2 tests/bicodec tests/wav2vec2 tests/training

.PHONY: demo test test-all test-ascend test-checkpoints lint bench fuzz soak soak-server peers eval \
    ascend-rehearsal ascend-peer normalizer-report gradio-clients speech-clients clean

demo: $(RUN_READY)
	$(BIN)/python -m cli.inference --model_dir pretrained_models/Spark-TTS-demo --save_dir example/results --seed 1 \
	    --text "Welcome to the wonderful garden." --prompt_speech_path examples/sparktts/prompt.wav

test: lint
	$(THREADED)
	$(PYTEST) -m "not slow" $(TESTS)
	$(if $(TESTS),,$(ASCEND_PYTEST) -m "not slow" $(ASCEND_TESTS))

test-ascend: $(DEV_READY)
	$(ASCEND_PYTEST) -m "not slow" $(or $(TESTS),$(ASCEND_TESTS))

test-checkpoints: $(DEV_READY) $(CHECKPOINTS)/.ready
	$(BIN)/python -m pytest tests/weights/test_other_tools.py

$(CHECKPOINTS)/.ready: requirements-checkpoints.txt
	$(PYTHON) -m venv $(CHECKPOINTS)
	$(CHECKPOINTS)/bin/python -m pip install --quiet -r requirements-checkpoints.txt --extra-index-url https://download.pytorch.org/whl/cpu
	@touch $@

test-all: lint
	$(THREADED)
	$(PYTEST) --hypothesis-profile nightly $(TESTS)
	$(if $(TESTS),,$(ASCEND_PYTEST) $(ASCEND_NIGHTLY))

lint: $(DEV_READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy sparktts_ms webui cli evaluation convert.py

bench: $(RUN_READY)
	$(BIN)/python -m benchmarks $(if $(wildcard $(PEERS)/.ready),--peer_python $(PEERS)/bin/python) $(BENCH)

eval: $(DEV_READY)
	$(BIN)/python -m evaluation $(EVAL)

fuzz: $(RUN_READY)
	$(BIN)/python -m tools.fuzz --minutes $(MINUTES)

soak: $(RUN_READY)
	$(BIN)/python -m tools.soak --minutes $(MINUTES)

soak-server: $(DEV_READY)
	$(BIN)/python -m tools.soak_server --minutes $(MINUTES) $(SOAK)

peers: $(PEERS)/.ready

$(PEERS)/.ready: requirements-bench.txt
	$(PYTHON) -m venv $(PEERS)
	$(if $(TORCH_INDEX),$(PEERS_PIP) --index-url $(TORCH_INDEX) "$$(grep '^torch==' $<)")
	CMAKE_ARGS="-DGGML_NATIVE=ON $$CMAKE_ARGS" CXXFLAGS="$(AMX_FIX) $$CXXFLAGS" $(PEERS_PIP) -r $<
	@touch $@

ascend-rehearsal: $(RUN_READY)
	$(BIN)/python -m tools.ascend_rehearsal $(REHEARSAL)

ascend-peer: $(RUN_READY) $(ASCEND_PEER)/.ready
	$(BIN)/python -m tools.ascend_peer --peer_python $(ASCEND_PEER)/bin/python $(REHEARSAL)

$(ASCEND_PEER)/.ready: requirements-ascend-peer.txt
	$(PYTHON) -m venv $(ASCEND_PEER)
	$(ASCEND_PEER)/bin/python -m pip install --quiet -r requirements-ascend-peer.txt
	@touch $@

normalizer-report: $(DEV_READY) $(NORMALIZERS)/WeTextProcessing/.ready $(NORMALIZERS)/nemo_text_processing/.ready
	$(BIN)/python -m tools.normalizer_report $(REPORT)

# Where a peer does not install, the report says so, and the next `make` tries again.
$(NORMALIZERS)/%/.ready: requirements-normalizers.txt
	$(PYTHON) -m venv $(@D)
	-grep "^$*==" $< >$(@D)/requirements.txt && \
	    $(@D)/bin/python -m pip install --quiet -r $(@D)/requirements.txt && touch $@

gradio-clients: $(GRADIO_CLIENTS:%=.venv-gradio-client-%/.ready)

.venv-gradio-client-%/.ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet gradio_client==$*
	@touch $@

speech-clients: $(SPEECH_CLIENTS:%=.venv-clients-%/.ready)

# An environment each, since they pin other versions of the same libraries. What does not install
# on this Python is missing, and its tests say so.
.venv-clients-wyoming/.ready: PIP_OPTIONS := --ignore-requires-python
.venv-clients-%/.ready: requirements-clients-%.txt
	$(PYTHON) -m venv $(@D)
	-$(@D)/bin/python -m pip install --quiet $(PIP_OPTIONS) -r $< && touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(RUN_READY): requirements.txt $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(if $(MINDSPORE),$(BIN)/python -m pip install --quiet mindspore==$(MINDSPORE))
	@touch $@

$(DEV_READY): requirements-dev.txt $(RUN_READY)
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(if $(MINDSPORE),$(BIN)/python -m pip install --quiet mindspore==$(MINDSPORE))
	@touch $@

clean:
	rm -rf .venv* .cache
