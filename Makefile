# Every target does its own set-up, finishes by itself and can be run again.

.PHONY: run test torture build format lint setup

SWIFT_SOURCES = Package.swift Sources Tests bench

# Builds the program and has it store and read a real file while servers die and disks go bad.
run: setup
	swift build -c release --product solidus
	scripts/run-demo "$$(swift build -c release --show-bin-path)/solidus"

# Builds and runs every test.
test: setup
	swift build --build-tests
	swift test --skip-build

# Clients work on a real cluster while a server at a time is killed, stopped or damaged; then again with a liar among the
# servers. Fails unless every history is linearizable and operations went on throughout.
TORTURE_SECONDS ?= 120
TORTURE_NEMESIS_SECONDS ?= 2

torture: setup
	swift build -c release --product solidus
	swift build -c release --product solidus-faulty-server
	scripts/run-torture "$$(swift build -c release --show-bin-path)/solidus" $(TORTURE_SECONDS) $(TORTURE_NEMESIS_SECONDS)

build: setup
	swift build -c release --product solidus

format:
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

lint:
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

setup:
	scripts/setup
