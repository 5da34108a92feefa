# Every target does its own set-up, finishes by itself and can be run again.

.PHONY: run test build format lint setup

SWIFT_SOURCES = Package.swift Sources Tests bench

# Builds the program and has it store and read a real file while servers die and disks go bad.
run: setup
	swift build -c release --product solidus
	scripts/run-demo "$$(swift build -c release --show-bin-path)/solidus"

# Builds and runs every test.
test: setup
	swift build --build-tests
	swift test --skip-build

build: setup
	swift build -c release --product solidus

format:
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

lint:
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

setup:
	scripts/setup
