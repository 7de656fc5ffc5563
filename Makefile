# Two commands: `make demo` shows the main job, `make test` runs every test. Both install what they need into .venv.
SHELL := /bin/bash
PYTHON ?= python3
ROOM ?= rehearsal
TEST_WORKERS ?= 8
# Demo and tests start Python hundreds of times: each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
# numpy's threads gain nothing on products as small as those of the speech detector, and cost as much again.
export OPENBLAS_NUM_THREADS ?= 1
BIN := .venv/bin
LIVEKIT_SERVER_VERSION := v1.13.5

.PHONY: demo test unit faults soak check format bench bench-rtp bench-livekit bench-roads bench-sfu bench-transcriber bench-real bench-gpu docs clean lock

demo: .venv/demo ## A rehearsal meeting becomes a transcript in Redis, on this machine (ROOM=livekit: a real LiveKit room; meet, teams, zoom, jitsi: real Chromium)
ifneq ($(filter $(ROOM),meet teams zoom jitsi),)
	@$(MAKE) -s .venv/browser
	@$(BIN)/earshot demo --room $(ROOM)
else ifeq ($(ROOM),livekit)
	@$(MAKE) -s build/bin/livekit-server
	@tools/hermetic $(BIN)/earshot demo --room livekit
else
	@$(BIN)/earshot demo --room $(ROOM)
endif

test: .venv/dev build/bin/livekit-server.if-go build/bin/egress-worker.if-go build/livekit-page.if-npm build/whep-server.if-npm build/mediasoup.if-npm ## Every test, on a network of its own; TEST_WORKERS files at a time, as far as the cores go
	tools/hermetic $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

unit: .venv/dev ## The unit tests alone, on all cores: ten seconds
	$(BIN)/python -m pytest tests/unit -q -n auto

faults: .venv/dev build/bin/livekit-server.if-go ## Every fault, five rounds at full length (make test: one, shortened), 25 minutes; writes bench/faults.json and docs/reliability.md
	tools/hermetic $(BIN)/python -m bench.faults; code=$$?; $(BIN)/python tools/generate_docs.py && exit $$code

soak: .venv/dev build/bin/livekit-server.if-go ## Half an hour of meetings, with a fault every few seconds; writes bench/soak.md
	tools/hermetic $(BIN)/python -m bench.soak

check: .venv/dev ## Lint, format, types, and 100 % branches of each pure module by its own test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/own_coverage.py

format: .venv/dev ## What `make check` would complain about and a program can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev ## The media benchmark; writes bench/media.md
	$(BIN)/python -m bench.media

bench-rtp: .venv/dev ## Plain RTP by each engine that is installed, 3 minutes on a quiet machine; writes bench/rtp.md
	tools/hermetic $(BIN)/python -m bench.rtp

bench-livekit: .venv/dev build/bin/livekit-server ## What a bot costs in a LiveKit room of 33, 6 minutes on a quiet machine; writes bench/livekit.md
	tools/hermetic $(BIN)/python -m bench.livekit

bench-roads: .venv/dev ## What RTMP costs, option by option and stage by stage, 10 minutes on a quiet machine; writes bench/roads.md
	$(BIN)/python -m bench.roads

bench-sfu: .venv/dev build/mediasoup build/whep-server ## Tracks of Janus, mediasoup and WHEP beside stock aiortc, three minutes on a quiet machine; writes bench/sfu.md
	tools/hermetic $(BIN)/python -m bench.sfu

bench-transcriber: .venv/bench ## The transcriber beside whisper-live, 75 minutes; goes on where it stopped; writes bench/transcriber.md
	$(BIN)/python -m bench.transcriber run
	$(BIN)/python -m bench.transcriber report

bench-real: .venv/bench ## The same servers with real weights on real speech, 40 minutes (MODEL=folder SPEECH=folder); goes on where it stopped
	$(BIN)/python -m bench.transcriber real --model "$(MODEL)" --speech "$(SPEECH)"
	$(BIN)/python -m bench.transcriber report

bench-gpu: .venv/bench ## Real weights on a GPU: batches, compute types, streams (MODEL=folder SPEECH=folder); says so where there is none
	$(BIN)/python -m bench.transcriber gpu --model "$(MODEL)" --speech "$(SPEECH)"
	$(BIN)/python -m bench.transcriber report

docs: .venv/dev ## Regenerate what is generated: schema, exit codes, diagrams
	$(BIN)/python tools/generate_docs.py

clean: ## Remove everything that was built or installed here
	rm -rf .venv build dist *.egg-info .coverage .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environment -------------------------------------------------------------------------------------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Earshot needs Python 3.11 or newer, and $(PYTHON) is not that: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv" >&2; rm -rf .venv; exit 1; }

.venv/demo: .venv/bin/python requirements/demo.lock pyproject.toml
	@test -e .venv/dev || { echo "Installing from requirements/demo.lock …"; $(BIN)/pip install --disable-pip-version-check -q --no-deps --require-hashes -r requirements/demo.lock; }
	@$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/browser: .venv/demo requirements/browser.lock ## Playwright; Chromium is the system's (docs/browser.md)
	@$(BIN)/python -c 'import playwright' 2>/dev/null || { echo "Installing from requirements/browser.lock …"; $(BIN)/pip install --disable-pip-version-check -q --no-deps --require-hashes -r requirements/browser.lock; }
	@touch $@

.venv/dev: .venv/bin/python requirements/dev.lock pyproject.toml
	@echo "Installing from requirements/dev.lock …"; $(BIN)/pip install --disable-pip-version-check -q --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@ .venv/demo

.venv/bench: .venv/bin/python requirements/bench.lock pyproject.toml
	@echo "Installing from requirements/bench.lock …"; $(BIN)/pip install --disable-pip-version-check -q --no-deps --require-hashes -r requirements/bench.lock
	@$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@ .venv/dev .venv/demo

build/bin/livekit-server: ## The real LiveKit server, built once (about two minutes)
	@command -v go >/dev/null || { echo "Building livekit-server needs Go: install it, or set LIVEKIT_SERVER to a binary and re-run" >&2; exit 1; }
	@echo "Building livekit-server $(LIVEKIT_SERVER_VERSION) …"; mkdir -p build/bin
	@GOBIN=$(CURDIR)/build/bin go install github.com/livekit/livekit-server/cmd/server@$(LIVEKIT_SERVER_VERSION) && mv build/bin/server $@

.PHONY: build/bin/livekit-server.if-go
build/bin/livekit-server.if-go:
	@if [ -z "$$LIVEKIT_SERVER" ] && command -v go >/dev/null; then $(MAKE) --no-print-directory build/bin/livekit-server; fi

build/bin/egress-worker: tests/support/egress_worker/main.go tests/support/egress_worker/go.sum ## A stand-in for LiveKit's egress worker, for the tests (needs Go)
	@command -v go >/dev/null || { echo "Building it needs Go: install it, or set EGRESS_WORKER to a binary" >&2; exit 1; }
	@echo "Building the stand-in for LiveKit's egress worker …"; mkdir -p build/bin
	@cd tests/support/egress_worker && go build -buildvcs=false -o $(CURDIR)/$@ .

.PHONY: build/bin/egress-worker.if-go
build/bin/egress-worker.if-go:
	@if [ -z "$$EGRESS_WORKER" ] && command -v go >/dev/null; then $(MAKE) --no-print-directory build/bin/egress-worker; fi

build/livekit-page: tests/support/livekit_page/package-lock.json ## livekit-client, for the test page of livekit_web
	@command -v npm >/dev/null || { echo "livekit-client comes from npm: install it (apt install npm)" >&2; exit 1; }
	@mkdir -p $@ && cp tests/support/livekit_page/{package.json,package-lock.json,.npmrc} $@/
	@cd $@ && npm ci --silent && touch .

.PHONY: build/livekit-page.if-npm
build/livekit-page.if-npm:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory build/livekit-page; fi

build/whep-server: tests/support/whep_server/package-lock.json ## Meetecho's WHEP server, for the tests of whep
	@command -v npm >/dev/null || { echo "The WHEP server comes from npm: install it (apt install npm)" >&2; exit 1; }
	@mkdir -p $@ && cp -r tests/support/whep_server/{package.json,package-lock.json,.npmrc,no-unix-dgram} $@/
	@cd $@ && npm ci --ignore-scripts --silent && touch .

.PHONY: build/whep-server.if-npm
build/whep-server.if-npm:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory build/whep-server; fi

build/mediasoup: examples/mediasoup/package-lock.json examples/mediasoup/build-worker ## What examples/mediasoup runs on; its worker is compiled (two minutes on two processors)
	@command -v npm >/dev/null || { echo "mediasoup comes from npm: install it (apt install npm)" >&2; exit 1; }
	@echo "Building the mediasoup worker …"; mkdir -p $@ && cp examples/mediasoup/{package.json,package-lock.json,.npmrc} $@/
	@cd $@ && npm ci --ignore-scripts --silent
	@examples/mediasoup/build-worker $@/node_modules/mediasoup/worker $@/mediasoup-worker && touch $@

.PHONY: build/mediasoup.if-npm
build/mediasoup.if-npm: ## Where its libraries are, too
	@if command -v npm >/dev/null && command -v g++ >/dev/null && pkg-config --exists libsrtp2 usrsctp libuv absl_flat_hash_map nlohmann_json openssl 2>/dev/null; then mkdir -p build && flock build/mediasoup.lock $(MAKE) --no-print-directory build/mediasoup; fi

# --- maintenance: `make lock` needs uv; nothing else does. Locks carry versions and hashes, no URLs. ----------------------

UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade

lock:
	$(UV_COMPILE) pyproject.toml requirements/build.in -o requirements/bot.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra webrtc -o requirements/webrtc.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra webrtc --extra browser -o requirements/browser.lock
	$(UV_COMPILE) requirements/cuda.in -o requirements/cuda.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra transcriber -o requirements/transcriber.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra demo -o requirements/demo.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra dev -o requirements/dev.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra bench -o requirements/bench.lock
