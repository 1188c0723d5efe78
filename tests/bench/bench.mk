# make bench [N=1000000] [ONLY=in-out,fib,idle,start] [DAEMONS=underlayd,bird,frr] [RUNS=3]
BENCH_LIB = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/lib/*.c))

$(BUILD)/bench/injector $(BUILD)/bench/bare_fib: $(BENCH_LIB)

.PHONY: bench
bench: $(BUILD)/underlayd $(BUILD)/bench/injector $(BUILD)/bench/bare_fib
	/usr/bin/python3 tests/bench/run.py --build $(BUILD) $(if $(N),--routes $(N)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(DAEMONS),--daemons $(DAEMONS)) $(if $(RUNS),--runs $(RUNS))
