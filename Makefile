# The few commands of daily work; Meson and Ninja do the building. Each target installs what it needs and is missing.
#
#   make           the program: build/docrow
#   make test      lint, unit tests, end-to-end and fault tests against private servers
#   make demo      moves a NextCRM sample from a private MongoDB into a private PostgreSQL (KEEP=1 leaves both running)
#   make bench     figures (BENCH_ARGS='--docs 300000 --whole')
#   make soak      fuzz targets, then kill and resume, over and over (FUZZ_MINUTES=10 SOAK_MINUTES=30)
#   make lint      format, clang-tidy, order of the folders
#   make install   PREFIX=/usr/local DESTDIR=
#   make deb       build-deb/docrow_VERSION_ARCH.deb
#   make clean

BUILD ?= build
PREFIX ?= /usr/local
PYTEST_ARGS ?=
BENCH_ARGS ?=
SOAK_MINUTES ?= 30
FUZZ_MINUTES ?= 10

all: program

setup-build:
	@scripts/setup.sh build
setup-demo:
	@scripts/setup.sh demo
setup-test:
	@scripts/setup.sh test
setup-deb:
	@scripts/setup.sh deb
setup-lint:
	@scripts/setup.sh lint
setup-soak:
	@scripts/setup.sh soak

program: setup-build
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --prefix=$(PREFIX)
	@ninja -C $(BUILD)

lint: setup-lint
	@scripts/lint.sh

unit: setup-test
	@scripts/run-tests.sh $(BUILD) unit

e2e: setup-test
	@scripts/run-tests.sh $(BUILD) e2e $(PYTEST_ARGS)

test: lint
	@scripts/run-tests.sh $(BUILD) all $(PYTEST_ARGS); status=$$?; scripts/tally.py $(BUILD) && exit $$status

demo: setup-demo program
	@scripts/demo.sh
demo-stop:
	@scripts/demo.sh stop

bench: setup-demo program
	@ninja -C $(BUILD) --quiet bench/raw_read
	@build/venv/bin/python bench/bench.py $(BENCH_ARGS)

soak: setup-soak program
	@scripts/fuzz.py --minutes $(FUZZ_MINUTES)
	@build/venv/bin/python scripts/soak.py --minutes $(SOAK_MINUTES)

install: program
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD) $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

deb: setup-deb
	@packaging/deb.sh

clean:
	rm -rf build build-asan build-tsan build-clang build-fuzz build-deb

.PHONY: all setup-build setup-demo setup-test setup-lint setup-soak setup-deb program lint unit e2e test demo demo-stop bench soak install deb clean
