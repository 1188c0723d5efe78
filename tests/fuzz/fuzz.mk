# Fuzz targets, tests/fuzz/fuzz_*.c, with clang's libFuzzer: `make fuzz`. They hang on the build with sanitizers, whose objects
# have the fuzzer's counters (see SAN_FUZZ in the Makefile).
FUZZERS = $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BUILD = build/asan
FUZZ_SECONDS = 600
JOBS = $(shell nproc 2>/dev/null || echo 2)

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS)
$(BUILD)/obj/tests/fuzz/%.o: CPPFLAGS := -Itests/fuzz/shim $(CPPFLAGS)
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/libunderlay.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Each target for so long; ONLY=update,config for some. What is found new stays in build/fuzz-corpus and is the start next time.
fuzz:
	@sh tests/install-deps.sh check
	@$(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=clang SAN=address,undefined fuzzers
	@/usr/bin/python3 -B tests/fuzz/run.py -j $(JOBS) --seconds $(FUZZ_SECONDS) $(if $(ONLY),--only $(ONLY)) \
	    --grow build/fuzz-corpus $(FUZZ_BUILD)
