# make bench [N=1000000] [ONLY=in-out,memory,fib,idle,start] [DAEMONS=underlayd,bird,frr] [RUNS=3]
BENCH_LIB = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/lib/*.c))
BENCH_OWN = $(BUILD)/bench/injector $(BUILD)/bench/bare_fib

# The yardsticks share nothing with what they measure: no archive here.
$(BENCH_OWN): $(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BENCH_LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^

.PHONY: bench bench-run
bench:
	@sh tests/install-deps.sh bench
	@$(MAKE) --no-print-directory bench-run

bench-run: $(BUILD)/underlayd $(BENCH_OWN)
	@/usr/bin/python3 -B tests/bench/run.py --build $(BUILD) $(if $(N),--routes $(N)) $(if $(ONLY),--only $(ONLY)) \
	    $(if $(DAEMONS),--daemons $(DAEMONS)) $(if $(RUNS),--runs $(RUNS))
