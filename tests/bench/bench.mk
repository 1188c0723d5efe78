# make bench [N=1000000] [ONLY=in-out,fib,...] [DAEMONS=underlayd,bird,frr,gobgp,openbgpd] [RUNS=3] [MARKDOWN=FILE]
# A profile of one row: make bench ONLY=fib RUNS=1 DAEMONS=underlayd PERF=/tmp/perf.data; perf report -i /tmp/perf.data
BENCH_LIB = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/lib/*.c))
BENCH_OWN = $(patsubst %,$(BUILD)/bench/%,injector receivers tors gap bare_fib)

# The yardsticks share nothing with what they measure: no archive here.
$(BENCH_OWN): $(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BENCH_LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^

BENCH_ARGS = --build $(BUILD) $(if $(N),--routes $(N)) $(if $(ONLY),--only $(ONLY)) $(if $(DAEMONS),--daemons $(DAEMONS)) \
    $(if $(RUNS),--runs $(RUNS)) $(if $(MARKDOWN),--markdown $(MARKDOWN)) $(if $(PERF),--perf $(PERF))

.PHONY: bench bench-run
bench:
	@sh tests/install-deps.sh bench
	@$(MAKE) --no-print-directory bench-run

bench-run: $(BUILD)/underlayd $(BUILD)/underlayctl $(BENCH_OWN)
	@/usr/bin/python3 -B tests/bench/run.py $(BENCH_ARGS)

# make bench-failover [N=100,100000,1000000] [ONLY=session,bfd,ecmp-link,link] [DAEMONS=underlayd,bird,frr] [RUNS=10]
.PHONY: bench-failover bench-failover-run
bench-failover:
	@sh tests/install-deps.sh bench
	@$(MAKE) --no-print-directory bench-failover-run

bench-failover-run: $(BUILD)/underlayd $(BUILD)/underlayctl $(BENCH_OWN)
	@/usr/bin/python3 -B tests/bench/failover.py $(BENCH_ARGS)

# make bench-restart [ONLY=speaker,all,stop,reload,restart_speaker,restart] [DAEMONS=underlayd,bird,frr] [RUNS=3]
.PHONY: bench-restart bench-restart-run
bench-restart:
	@sh tests/install-deps.sh bench
	@$(MAKE) --no-print-directory bench-restart-run

bench-restart-run: $(BUILD)/underlayd $(BUILD)/underlayctl $(BENCH_OWN)
	@UNDERLAYD=$(BUILD)/underlayd /usr/bin/python3 -B tests/bench/restart.py $(BENCH_ARGS)

# make bench-kubernetes [CHANGES=200] [SERVICES=10000] [RUNS=5]: needs a kube-apiserver, see make kube-apiserver
.PHONY: bench-kubernetes bench-kubernetes-run
bench-kubernetes:
	@sh tests/install-deps.sh kubernetes
	@$(MAKE) --no-print-directory bench-kubernetes-run

bench-kubernetes-run: $(BUILD)/underlayd $(BUILD)/underlayctl
	@UNDERLAYD=$(BUILD)/underlayd /usr/bin/python3 -B tests/bench/kubernetes.py $(if $(CHANGES),--changes $(CHANGES)) \
	    $(if $(SERVICES),--services $(SERVICES)) $(if $(RUNS),--runs $(RUNS))
