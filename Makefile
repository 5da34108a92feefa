# Every target does its own set-up, finishes by itself and can be run again.

.PHONY: run test acceptance simulate simulate-slice simulator torture bench build man reference install format lint setup \
    check-core sanitize fuzz check-aarch64 check-avx512 check-instructions check-alerts check-units package try-package

SWIFT_SOURCES = Package.swift Sources Tests bench Examples

# Builds the program and has it store and read a real file while servers die and disks go bad.
run: setup
	swift build -c release --product solidus
	scripts/run-demo "$$(swift build -c release --show-bin-path)/solidus"

# Lints, builds, checks that each target declares what it imports and the library's reference that its links lead
# somewhere, and runs every test, beside which the simulator is built; of the C core's own checks, of fuzzing and of
# simulation a slice.
test: setup lint
	scripts/setup-s3-clients
	swift build --build-tests --explicit-target-dependency-import-check error
	swift build --product generate-manual
	scripts/make-reference "$$(swift build --show-bin-path)" $(REFERENCE)
	scripts/run-beside '$(MAKE) simulator' scripts/run-tests
	$(MAKE) check-alerts check-units check-core sanitize
	$(MAKE) fuzz FUZZ_SECONDS=10
	$(MAKE) check-instructions
	$(MAKE) simulate-slice

# Whether Prometheus takes the alert rules, where its promtool is (Debian's package prometheus).
check-alerts:
	@if command -v promtool > /dev/null; then promtool check rules deploy/prometheus/solidus.rules.yml; \
	    else echo "promtool is not installed: the alert rules were not checked"; fi

# Whether systemd takes the units, where its systemd-analyze is.
check-units:
	scripts/check-units deploy/systemd

# Those tests of real clusters that take long, and of the others all cases instead of one of a kind: half an hour.
acceptance: setup
	scripts/setup-s3-clients
	scripts/setup chromium
	swift build --build-tests
	SOLIDUS_ACCEPTANCE=1 scripts/run-tests --filter ClusterTests

# What a PUT and a GET cost the processor, within 3 % of what they are known to.
check-instructions:
	scripts/setup valgrind
	swift build -c release --product solidus-work
	bench/count-instructions --check "$$(swift build -c release --show-bin-path)/solidus-work" fingerprint none

# The protocol among liars in virtual time, and the store on bad disks: every deliberate bug that these have to notice,
# then fresh seeds until it is stopped: in each round SIMULATE_SEEDS in the mode `fingerprint` and SIMULATE_MODE_SEEDS
# in each of the others, and before the first one SIMULATE_STORAGE_SEEDS of the store.
SIMULATE_SEEDS ?= 100000
SIMULATE_MODE_SEEDS ?= 20000
SIMULATE_STORAGE_SEEDS ?= 100000
SIMULATOR = .build-flaws/release/solidus-sim

simulate: setup simulator
	$(SIMULATOR) mutants
	$(SIMULATOR) storage --count $(SIMULATE_STORAGE_SEEDS)
	scripts/simulate $(SIMULATOR) $(SIMULATE_SEEDS) $(SIMULATE_MODE_SEEDS)

# A slice of that, which ends: one small round, by default always the same one, so that a change is not blamed for what
# it did not bring. Fresh seeds are for `make simulate`, or for another SLICE_START. Twenty-two deliberate bugs are left
# out, which take several times as long to find as all the others, or more seeds than are run for each.
SLICE_START ?= 1

simulate-slice: setup simulator
	SIMULATE_START=$(SLICE_START) scripts/simulate $(SIMULATOR) 3000 500 1
	$(SIMULATOR) storage --seeds $(SLICE_START)..$$(($(SLICE_START) + 299))
	$(SIMULATOR) mutants --except poisonSignedOnce --except readWithoutQuorum --except poisonUnasked \
	    --except oneVoucherVerified --except proofFromManyOnly --except oneProofAsked --except poisonDroppedUnproven \
	    --except admissionUnverified --except stripesUnfilled --except earlierAnswersCounted --except wellWhileOpen \
	    --except settledByTooFew --except promisedAtOnce --except anyAcknowledgementCounts --except voidWanted \
	    --except strangersCounted --except timestampFromTooFew --except rememberedRootUnderAnySignature \
	    --except condemnedForgotten --except epochUnchecked --except ownCertificateMustCount --except fencedNotShown

# One build for both: as long as no flaw is planted, this simulator runs the protocol as it is. It looks the flaws up,
# but spares what makes a fifth of the time of millions of runs: Swift's checks of exclusive access, with which the
# tests run the same code, and calls into a shared standard library. And since each of its processes has one thread,
# references need not be counted atomically, which would take a sixth of the time.
simulator: setup
	swift build -c release --traits PlantedFlaws --scratch-path .build-flaws --product solidus-sim \
	    -Xswiftc -enforce-exclusivity=unchecked --static-swift-stdlib \
	    -Xswiftc -Xfrontend -Xswiftc -assume-single-threaded

# Clients work on real clusters, one after the other, whose servers are killed, stopped, damaged, wiped, rolled back or
# replaced by liars. Fails unless every history is linearizable, reads and writes went on throughout, and every server
# healed. TORTURE_SECONDS are those of each.
TORTURE_SECONDS ?= 120
TORTURE_NEMESIS_SECONDS ?= 2

torture: setup
	swift build -c release --product solidus
	swift build -c release --product solidus-torture
	swift build -c release --product solidus-faulty-server
	scripts/run-torture "$$(swift build -c release --show-bin-path)/solidus" $(TORTURE_SECONDS) $(TORTURE_NEMESIS_SECONDS)

# What the verification modes cost on real clusters, in about a quarter of an hour: where a write's time goes, latency
# by the time of verification, and the promises (docs/benchmarks.md). Needs a quiet machine to mean something.
BENCH_OPTIONS ?= --seconds 1 --rounds 3 --faults 1,2,3

bench: setup
	$(if $(findstring --network,$(BENCH_OPTIONS)),scripts/setup iproute2)
	swift build -c release --product solidus
	swift build -c release --product solidus-bench
	mkdir -p .build/bench
	"$$(swift build -c release --show-bin-path)/solidus-bench" modes \
	    --report breakdown --report verification --report targets $(BENCH_OPTIONS) \
	    --directory .build/bench --json .build/bench/modes.json --csv .build/bench/modes.csv

build: setup
	swift build -c release --product solidus

# A manual page for each command, from its help.
MANUAL = .build/manual

man: build
	swift build -c release --product generate-manual
	scripts/make-manual "$$(swift build -c release --show-bin-path)/generate-manual" \
	    "$$(swift build -c release --show-bin-path)/solidus" $(MANUAL)

# The library's reference as a site, from its comments and Sources/Solidus/Solidus.docc; a link that leads nowhere is an
# error. `docc preview` or any web server shows it.
REFERENCE = .build/reference

reference: setup
	swift build --target Solidus
	scripts/make-reference "$$(swift build --show-bin-path)" $(REFERENCE)

# The program, its manual, and what completes its commands in bash, zsh and fish.
PREFIX ?= /usr/local

install: man
	scripts/install "$$(swift build -c release --show-bin-path)/solidus" $(MANUAL) "$(DESTDIR)$(PREFIX)"

# A Debian package with all of that and the units for systemd. The program in it carries Swift's libraries in itself, so
# it is built beside the other one. PACKAGE_MAINTAINER says whose package it is.
PACKAGE_BUILD = .build-package
PACKAGES = $(PACKAGE_BUILD)/packages
PACKAGE_SWIFT = swift build -c release --scratch-path $(PACKAGE_BUILD)

package: setup
	scripts/setup binutils dpkg-dev
	$(PACKAGE_SWIFT) --static-swift-stdlib --product solidus
	$(PACKAGE_SWIFT) --static-swift-stdlib --product generate-manual
	scripts/make-manual "$$($(PACKAGE_SWIFT) --show-bin-path)/generate-manual" \
	    "$$($(PACKAGE_SWIFT) --show-bin-path)/solidus" $(PACKAGE_BUILD)/manual
	rm -rf $(PACKAGES)
	scripts/make-package "$$($(PACKAGE_SWIFT) --show-bin-path)/solidus" $(PACKAGE_BUILD)/manual $(PACKAGES)

# Installs the package in a Debian of its own, in a folder, and runs servers and a gateway there. As root.
try-package: package
	scripts/setup curl debootstrap lintian
	lintian --fail-on error,warning $(PACKAGES)/*.deb
	scripts/try-package $(PACKAGES)/*.deb $(PACKAGE_BUILD)/debian

format:
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

lint:
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

setup:
	scripts/setup

# The checks of the C core, in C, under the compiler that comes with Swift. CHECK_OPTIONS may be --long, --brief and
# the beginnings of suites' names; SOLIDUS_TEST_SEED repeats a run.
CLANG ?= $(dir $(realpath $(shell command -v swift)))clang
CORE ?= Sources/CFragmentCore
CORE_BUILD = .build/core-checks
FUZZ_SECONDS ?= 60
ARM64_ROOT = .build/arm64-root

CORE_SOURCES = $(wildcard $(CORE)/*.c $(CORE)/*/*.c)
CHECK_SOURCES = $(wildcard Tests/CoreChecks/*.c)
FUZZ_SOURCES = $(wildcard Tests/CoreFuzz/*.c)
CORE_HEADERS = $(wildcard $(CORE)/*.h $(CORE)/*/*.h Tests/CoreChecks/*.h)
CORE_FLAGS = -std=gnu11 -Wall -Wextra -Werror -I$(CORE)/include -I$(CORE)
# The thread sanitizer of Swift's compiler refers to libdispatch.
SWIFT_LIBRARIES = $(dir $(CLANG))../lib/swift/linux
comma = ,
SANITIZERS = -g -fsanitize=address,undefined -fno-sanitize-recover=all

# $(call core-program,NAME,COMPILER AND FLAGS,SOURCES,LIBRARIES[,WRAPPER]): the program $(CORE_BUILD)/NAME/checks.
define core-program
$(CORE_BUILD)/$(1)/%.o: %.c $(CORE_HEADERS)
	@mkdir -p $$(@D)
	$(5) $(2) $(CORE_FLAGS) -c $$< -o $$@
$(CORE_BUILD)/$(1)/checks: $(patsubst %.c,$(CORE_BUILD)/$(1)/%.o,$(CORE_SOURCES) $(3))
	$(2) $$^ $(4) -o $$@
endef
$(eval $(call core-program,plain,$(CLANG) -O2,$(CHECK_SOURCES),-lisal -lcrypto))
$(eval $(call core-program,emulated,$(CLANG) -O2,$(CHECK_SOURCES),-lisal -lcrypto,\
	Tests/CoreChecks/emulation/compile-for-bochs))
$(eval $(call core-program,sanitize,$(CLANG) -O2 $(SANITIZERS),$(CHECK_SOURCES),-lisal -lcrypto))
$(eval $(call core-program,threads,$(CLANG) -O2 -g -fsanitize=thread,$(CHECK_SOURCES),-lisal -lcrypto \
	-L$(SWIFT_LIBRARIES) -Wl$(comma)-rpath$(comma)$(SWIFT_LIBRARIES) -ldispatch -lBlocksRuntime))
$(eval $(call core-program,fuzz,$(CLANG) -O2 $(SANITIZERS) -fsanitize=fuzzer,$(FUZZ_SOURCES),-lisal -lcrypto))
$(eval $(call core-program,aarch64,$(CLANG) --target=aarch64-linux-gnu -O2 -I$(ARM64_ROOT)/usr/include \
	-I$(ARM64_ROOT)/usr/include/aarch64-linux-gnu,$(CHECK_SOURCES),\
	-fuse-ld=lld -L$(ARM64_ROOT)/usr/lib/aarch64-linux-gnu -lisal -lcrypto))

# $(call known-key-program,NAME,COMPILER AND FLAGS): the program $(CORE_BUILD)/known-key-NAME.
KNOWN_KEY = Sources/CKnownKey
KNOWN_KEY_SOURCES = $(wildcard $(KNOWN_KEY)/*.c Tests/KnownKeyChecks/*.c)
define known-key-program
$(CORE_BUILD)/known-key-$(1): $(KNOWN_KEY_SOURCES) $(wildcard $(KNOWN_KEY)/*.h $(KNOWN_KEY)/include/*.h)
	@mkdir -p $$(@D)
	$(2) -std=gnu11 -Wall -Wextra -Werror -I$(KNOWN_KEY)/include -I$(KNOWN_KEY) $(KNOWN_KEY_SOURCES) -lcrypto -o $$@
endef
$(eval $(call known-key-program,plain,$(CLANG) -O2))
$(eval $(call known-key-program,sanitize,$(CLANG) -O2 $(SANITIZERS)))
build-core = $(MAKE) --no-print-directory -s -j$(shell nproc) $(CORE_BUILD)/$(1)/checks

# Every level this machine has against slow references; signatures against libcrypto's verification.
check-core: setup
	$(call build-core,plain)
	$(CORE_BUILD)/plain/checks $(CHECK_OPTIONS)
	$(MAKE) --no-print-directory -s $(CORE_BUILD)/known-key-plain
	$(CORE_BUILD)/known-key-plain

# The same under the address and undefined-behaviour sanitizers; what threads share under the thread sanitizer.
sanitize: setup
	$(call build-core,sanitize)
	$(call build-core,threads)
	$(CORE_BUILD)/sanitize/checks $(CHECK_OPTIONS)
	$(CORE_BUILD)/threads/checks threads
	$(MAKE) --no-print-directory -s $(CORE_BUILD)/known-key-sanitize
	$(CORE_BUILD)/known-key-sanitize

# Fuzzes the verification of fragments for FUZZ_SECONDS.
fuzz: setup
	$(call build-core,fuzz)
	Tests/CoreFuzz/make-seeds $(CORE_BUILD)/corpus
	$(CORE_BUILD)/fuzz/checks -max_total_time=$(FUZZ_SECONDS) -timeout=20 -max_len=133 -print_final_stats=1 \
	    -artifact_prefix=$(CORE_BUILD)/ $(CORE_BUILD)/corpus

# The same checks for the kernels of another processor: built by a cross compiler, run by an emulator.
check-aarch64: setup
	scripts/setup-aarch64 $(ARM64_ROOT)
	$(call build-core,aarch64)
	qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$(ARM64_ROOT)/usr/lib/aarch64-linux-gnu \
	    $(CORE_BUILD)/aarch64/checks $(or $(CHECK_OPTIONS),--brief)

# The checks of the AVX-512 kernels under an emulator of the whole machine, in minutes.
check-avx512: setup
	$(call build-core,emulated)
	scripts/check-avx512 $(CLANG) $(CORE_BUILD)/emulated/checks $(CORE_BUILD)/avx512 \
	    $(or $(CHECK_OPTIONS),--brief --level avx512)
