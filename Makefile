# `make demo` speaks, `make test` checks; both set up what they need in .venv.
# `make bench` measures speed; after `make peers` it measures PyTorch and llama.cpp beside it.
# `make eval` judges the voice in the box, `make eval EVAL="--model_dir DIR"` another model that speaks English.
# MINDSPORE=2.7.1 tries another version of MindSpore, in an environment of its own.

PYTHON ?= python3
MINDSPORE ?=
VENV := .venv$(MINDSPORE)
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
PEERS := .venv-peers

.PHONY: demo test lint bench peers eval clean

demo: $(RUN_READY)
	$(BIN)/python -m cli.inference --model_dir pretrained_models/Spark-TTS-demo --save_dir example/results --seed 1 \
	    --text "Welcome to the wonderful garden." --prompt_speech_path examples/sparktts/prompt.wav

test: $(DEV_READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest

lint: $(DEV_READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy sparktts_ms cli convert.py

bench: $(RUN_READY)
	$(BIN)/python -m benchmarks $(if $(wildcard $(PEERS)/.ready),--peer_python $(PEERS)/bin/python) $(BENCH)

eval: $(DEV_READY)
	$(BIN)/python -m evaluation $(EVAL)

peers: $(PEERS)/.ready

$(PEERS)/.ready: requirements-bench.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r requirements-bench.txt --extra-index-url https://download.pytorch.org/whl/cpu
	@touch $@

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
