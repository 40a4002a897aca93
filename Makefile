# One door to everything. Each target installs what it needs on first use.
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

BIN := node_modules/.bin
# The JavaScript tools need a newer Node than many hosts have; the npm package `node` brings it.
NODE := $(BIN)/node
BUN := $(BIN)/bun
ARCH ?= $(shell uname -m)
PACKAGES := node_modules/.package-lock.json

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(PACKAGES): package-lock.json
	@scripts/install-packages

## Checks: no root, no compiler, under 30 s.

.PHONY: check check-types check-lint check-layers check-api test-pure format api
check: $(PACKAGES) ## types, style, layers and pure tests; needs no root
	@$(MAKE) --no-print-directory -k -j4 --output-sync check-types check-lint check-layers check-api test-pure

check-types: $(PACKAGES)
	$(BIN)/tsc -p tsconfig.json
	$(BIN)/tsc -p tsconfig.embedded.json

check-lint: $(PACKAGES)
	$(BIN)/biome check --error-on-warnings

check-layers: $(PACKAGES)
	$(NODE) $(BIN)/depcruise --config .dependency-cruiser.mjs --output-type err-long src

check-api: $(PACKAGES)
	@$(BUN) scripts/library-api.ts docs | diff -u --label docs/api.md --label 'what the docstrings say: make api' docs/api.md -

test-pure: $(PACKAGES) ## the tests beside the sources
	$(BUN) test --timeout 60000 ./src

api: $(PACKAGES) ## docs/api.md from the docstrings of the library
	@$(BUN) scripts/library-api.ts docs >docs/api.md

format: $(PACKAGES) ## let biome rewrite what it can
	$(BIN)/biome check --write

## The program. See native/front.c for how the engine's heap becomes part of it.

.PHONY: build build-executor build-strict
build: dist/coffer dist/coffer-runc dist/coffer-executor dist/coffer-init dist/coffer-monitor dist/coffer-denials dist/coffer-relay dist/transfer.js dist/index.js dist/index.d.ts dist/man/coffer.1 ## all of dist/

ifeq ($(ARCH),$(shell uname -m))
  CC := gcc
  # musl makes smaller programs that start faster. Looked for when it is used: build/tools may have installed it until then.
  STATIC_CC = $(if $(shell command -v musl-gcc),musl-gcc,$(CC)) -static
else
  CC := $(ARCH)-linux-gnu-gcc
  STATIC_CC := $(CC) -static
endif
OUT := build/$(ARCH)
QUICKJS := node_modules/qjsc/deps/quickjs_2021_03_27
QUICKJS_FLAGS = -O2 -w $(STRICT) -DCONFIG_BIGNUM -DCONFIG_VERSION='"2021-03-27"' -D_GNU_SOURCE -ffunction-sections -fdata-sections
C_FLAGS = -O2 -std=gnu17 -Wall -Wextra -Werror $(STRICT)
# The heap is full of addresses, so the program is at the same ones at each start: no-pie, and the heap where nothing else is.
FRONT_FLAGS := -no-pie -fno-pie -isystem $(OUT)/quickjs -Inative
FRONT_LINK := -no-pie -s -Wl,--gc-sections -Wl,-z,noseparate-code -Wl,--section-start=.heap=0x10000000
EXECUTOR_FLAGS := -Os -std=gnu17 -Wall -Wextra -Werror -ffreestanding -nostdlib -static -fno-pie -no-pie -fno-stack-protector \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,noseparate-code -s
ifeq ($(ARCH),aarch64)
  # Otherwise atomics are calls into a library that the executor does not have.
  EXECUTOR_FLAGS += -mno-outline-atomics
endif
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",/\1/p' package.json)

# The executor has no engine in it, so it alone can be built for another machine: make build-executor ARCH=aarch64
build-executor: $(OUT)/executor $(OUT)/monitor $(OUT)/reaper $(OUT)/resolver $(OUT)/init $(OUT)/denials $(OUT)/relay

build/tools: scripts/install-tools
	@mkdir -p $(@D)
	@scripts/install-tools build
	@touch $@

# The engine's sources from npm, but for how references are counted and arrays spread.
$(OUT)/quickjs/quickjs.h: native/quickjs.sed $(PACKAGES)
	@mkdir -p $(@D)
	cp $(QUICKJS)/*.[ch] $(@D)
	sed -E -i -f $< $(@D)/quickjs.[ch]

$(OUT)/quickjs/%.o: $(OUT)/quickjs/quickjs.h native/counted.h native/spread.h | build/tools
	$(STATIC_CC) $(QUICKJS_FLAGS) $(FRONT_FLAGS) -c -o $@ $(@:.o=.c)

$(OUT)/executor $(OUT)/monitor $(OUT)/reaper $(OUT)/resolver $(OUT)/denials: $(OUT)/%: native/%.c native/sys.h native/wire.h Makefile | build/tools
	@mkdir -p $(@D)
	$(CC) $(EXECUTOR_FLAGS) -o $@ $<

$(OUT)/executor: native/concurrent.h native/sound.h
$(OUT)/resolver: native/names.h
$(OUT)/relay: native/policy.h
$(OUT)/monitor: native/check.h native/output.h
$(OUT)/monitor $(OUT)/denials: native/digits.h

$(OUT)/init $(OUT)/relay: $(OUT)/%: native/%.c native/sys.h Makefile | build/tools
	@mkdir -p $(@D)
	$(CC) $(EXECUTOR_FLAGS) -o $@ $<

$(OUT)/%.o: native/%.c $(addprefix native/,counted.h heap.h natives.h spawn.h text.h) $(OUT)/quickjs/quickjs.h Makefile | build/tools
	@mkdir -p $(@D)
	$(STATIC_CC) $(C_FLAGS) $(FRONT_FLAGS) -DEXECUTOR='"$(OUT)/executor"' -DMONITOR='"$(OUT)/monitor"' -DREAPER='"$(OUT)/reaper"' -DRESOLVER='"$(OUT)/resolver"' -DRELAY='"$(OUT)/relay"' -c -o $@ $<

$(OUT)/spawn.o: $(OUT)/executor $(OUT)/monitor $(OUT)/reaper $(OUT)/resolver $(OUT)/relay

FRONT := $(addprefix $(OUT)/,front.o natives.o text.o spawn.o heap.o $(addprefix quickjs/,quickjs.o libregexp.o libunicode.o libbf.o cutils.o))
$(OUT)/front: $(FRONT)
	$(STATIC_CC) $(FRONT_LINK) -o $@ $^ -lm

# For tests: its engine collects garbage whenever an object is made, and freed memory is overwritten.
build-strict:
	@$(MAKE) --no-print-directory OUT=$(OUT)-strict STRICT='-DFORCE_GC_AT_MALLOC -DOVERWRITE_FREED' $(OUT)-strict/front

$(OUT)/coffer.js: $(PACKAGES) package.json $(shell find src labs -name '*.ts' ! -name '*.test.ts' -o -name lab.md)
	@mkdir -p $(@D)
	node_modules/@esbuild/linux-*/bin/esbuild src/main.ts --bundle --format=iife --global-name=coffer --target=es2020 \
	  --platform=neutral --supported:class-private-field=true --supported:class-field=true --define:COFFER_VERSION='"$(VERSION)"' --define:COFFER_BUILD='"$(shell cat $$(find src -name '*.ts' ! -name '*.test.ts' | LC_ALL=C sort) | cksum | cut -d ' ' -f 1)"' --log-level=warning --outfile=$@

# The program proves at once that it starts.
dist/coffer: $(OUT)/front $(OUT)/coffer.js
	@mkdir -p $(@D)
	$^ $@.new
	@$(CURDIR)/$@.new --version >/dev/null
	@mv $@.new $@

dist/coffer-runc: dist/coffer
	@ln -f $< $@
	@$@ --version >/dev/null

# What runs on Node: commands that move images (src/cli/transfer.ts), and the library, as Node takes no TypeScript from node_modules.
ESBUILD_NODE := node_modules/@esbuild/linux-*/bin/esbuild --bundle --format=esm --platform=node --target=node22 --log-level=warning
dist/transfer.js: $(OUT)/coffer.js
	@mkdir -p $(@D)
	$(ESBUILD_NODE) src/transfer/main.ts --outfile=$@

dist/index.js: $(OUT)/coffer.js
	@mkdir -p $(@D)
	$(ESBUILD_NODE) src/index.ts --outfile=$@

dist/index.d.ts: $(OUT)/coffer.js scripts/library-api.ts
	@mkdir -p $(@D)
	$(BUN) scripts/library-api.ts types >$@

dist/man/coffer.1: $(OUT)/coffer.js scripts/man-pages.ts
	$(BUN) scripts/man-pages.ts $(@D) $(VERSION)

dist/coffer-executor dist/coffer-init dist/coffer-monitor dist/coffer-denials dist/coffer-relay: dist/coffer-%: $(OUT)/%
	@mkdir -p $(@D)
	@cp $< $@

## Everything.

.PHONY: test lab bench bench-engine e2e fuzz soak tools clean crash
tools: ## the Debian packages that building and testing use
	@scripts/install-tools test

test: $(PACKAGES) ## check, build and the tests that need a kernel; needs root
	@$(BUN) scripts/test.ts

test-%: build tools ## only the legs with this word in their name: make test-kernel test-guest
	$(BUN) scripts/test.ts $*

crash: build tools ## every crash point, and kills at 500 moments each: docs/reliability.md; hours
	COFFER_CRASH=all $(BUN) scripts/test.ts crash
lab: build tools ## every lab: its solution passes its checker, and nothing else does
	$(BUN) scripts/test.ts lab

clean: ## remove what was built
	rm -rf build dist

e2e: ## what a new user types, on a fresh copy of this tree
	@scripts/e2e

# Of npm, and used by the benchmark alone; without it, its rows are left out.
PEER := @anthropic-ai/sandbox-runtime@0.0.83
bench: build tools ## side by side with the peers; ROUNDS=20 ONLY=run,warm for a short one
	@scripts/install-tools bench
	-@[ -d build/peers/node_modules ] || npm install --prefix build/peers --ignore-scripts --no-audit --no-fund --silent $(PEER)
	$(BUN) bench/main.ts

bench-engine: build tools ## beside podman and docker; ROUNDS=5 ONLY=run,lists for a short one
	@scripts/install-tools bench
	$(BUN) bench/engine/main.ts

fuzz: build tools ## the long forms of test/fuzz; ONLY=executor,documents for some of them
	$(BUN) test/fuzz/main.ts

soak: build tools ## COUNT=20000 containers while somebody kills what takes part in them
	$(BUN) test/soak/main.ts
