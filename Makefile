# underlay: build, install, and the commands a newcomer needs. `make help` lists them.
# Variants live side by side: make BUILD=build/asan SAN=address,undefined CC=clang

CC       = gcc
BUILD    = build
SAN      =
PREFIX   = /usr/local
SYSCONFDIR = /etc
VERSION  = 0.4.0

# Root by way of su has the caller's PATH, and dpkg and the labs want more.
export PATH := $(PATH):/usr/sbin:/sbin

PKGS    := libevent_core libnl-3.0 libnl-route-3.0 yaml-0.1 jansson libsystemd libcap
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
OPT      = -O2
WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
           -Wvla -Wformat=2 -Wno-format-nonliteral
CFLAGS   = $(OPT) -g -std=gnu17 $(WARN) -fno-strict-aliasing -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2) \
           $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) $(SAN_FUZZ)
# Counters for the fuzz targets, which are linked from the build with sanitizers.
SAN_FUZZ = $(if $(findstring address,$(SAN)),$(if $(findstring clang,$(CC)),-fsanitize=fuzzer-no-link))
CPPFLAGS = -D_GNU_SOURCE -DUNDERLAY_VERSION='"$(VERSION)"' -DUNDERLAY_SYSCONFDIR='"$(SYSCONFDIR)"' \
           -Iinclude -Ibgpd -I. $(PKG_CFLAGS)
LDFLAGS  = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN))
LDLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

LIB_SRCS = $(filter-out bgpd/main.c,$(wildcard bgpd/*.c bgpd/lib/*.c bgpd/wire/*.c bgpd/rib/*.c bgpd/source/*.c \
           bgpd/control/*.c bgpd/kube/*.c fib/*.c))
CLI_SRCS = $(wildcard bgpd/cli/*.c)
LIB_OBJS = $(LIB_SRCS:%.c=$(BUILD)/obj/%.o)
CLI_OBJS = $(CLI_SRCS:%.c=$(BUILD)/obj/%.o)
UNITS    = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
BENCHES  = $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

.PHONY: all deps units benches clean help
all: $(BUILD)/underlayd $(BUILD)/underlayctl

help:
	@echo "sudo make deps         install what building needs (Debian and relatives)"
	@echo "make                   build/underlayd and build/underlayctl"
	@echo "sudo make install      PREFIX=/usr/local DESTDIR=        sudo make uninstall"
	@echo "sudo make demo         a small data centre in network namespaces; KEEP=1 leaves it up, make demo-clean removes it"
	@echo "sudo make demo-kubernetes  the same for Kubernetes, with a real API server (make kube-apiserver builds one)"
	@echo "sudo make check        all tests; make check-all: also the slow ones"
	@echo "make fuzz              fuzz targets; FUZZ_SECONDS=600 each, ONLY=update,config, JOBS=2"
	@echo "sudo make bench        beside BIRD, FRR, GoBGP, OpenBGPD; N=100000 RUNS=1 for a quick look, ONLY=fib,vips"
	@echo "sudo make bench-failover   packets when a router is lost; N=100,100000 RUNS=10 ONLY=session,bfd,ecmp-link,link"
	@echo "sudo make bench-restart    packets and sessions when BGP is restarted; ONLY=speaker,all,stop,reload,restart"
	@echo "sudo make bench-kubernetes from a change in the API server to the router; CHANGES=200 SERVICES=10000 RUNS=5"
	@echo "make clean             remove build/"

deps:
	@sh tests/install-deps.sh build

$(BUILD)/underlayd: $(BUILD)/obj/bgpd/main.o $(BUILD)/libunderlay.a
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/underlayctl: $(CLI_OBJS) $(BUILD)/libunderlay.a
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libunderlay.a: $(LIB_OBJS)
	@rm -f $@
	@echo "  AR    $@"
	@ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What prints the version follows it.
$(patsubst %,$(BUILD)/obj/%.o,bgpd/main bgpd/cli/underlayctl bgpd/control/show_misc bgpd/kube/request_io tests/unit/test_show \
  tests/unit/test_kube_client): Makefile

units: $(UNITS)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/obj/tests/unit/unit.o $(BUILD)/libunderlay.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS) -lcunit
# What a test has beside itself.
$(filter $(BUILD)/tests/test_peer%,$(UNITS)): $(BUILD)/obj/tests/unit/peer_rig.o
KUBE_TESTS = $(filter $(BUILD)/tests/test_kube_client% $(BUILD)/tests/test_kube_reflector%,$(UNITS))
$(KUBE_TESTS): $(BUILD)/obj/tests/unit/kube_server.o
$(KUBE_TESTS): LDLIBS += -levent_openssl -lssl -lcrypto
$(BUILD)/tests/test_adjout_policy: LDFLAGS += -Wl,--wrap=policy_apply
$(BUILD)/tests/test_kube_store_memory: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=tsearch

benches: $(BENCHES)
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/libunderlay.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

clean:
	rm -rf $(BUILD)

# Installing. Existing configuration is kept. DESTDIR for packages; PREFIX=/usr for a system like Debian's own.
BINDIR   = $(PREFIX)/sbin
UBINDIR  = $(PREFIX)/bin
MANDIR   = $(PREFIX)/share/man
DOCDIR   = $(PREFIX)/share/doc/underlay
UNITDIR  = $(if $(filter /usr,$(PREFIX)),/lib/systemd/system,$(SYSCONFDIR)/systemd/system)
SYSUSERSDIR = $(if $(filter /usr,$(PREFIX)),/usr/lib/sysusers.d,$(SYSCONFDIR)/sysusers.d)
D        = $(DESTDIR)

.PHONY: install uninstall
install: all
	install -d $(D)$(BINDIR) $(D)$(UBINDIR) $(D)$(MANDIR)/man8 $(D)$(MANDIR)/man7 $(D)$(MANDIR)/man5 $(D)$(DOCDIR) $(D)$(UNITDIR) \
	    $(D)$(SYSUSERSDIR) $(D)$(SYSCONFDIR)/underlay $(D)$(SYSCONFDIR)/iproute2/rt_protos.d
	install -m 755 $(BUILD)/underlayd $(D)$(BINDIR)/underlayd
	install -m 755 $(BUILD)/underlayctl $(D)$(UBINDIR)/underlayctl
	install -m 644 etc/man/underlayd.8 etc/man/underlayctl.8 $(D)$(MANDIR)/man8/
	install -m 644 etc/man/underlay-metrics.7 etc/man/underlay-kubernetes.7 $(D)$(MANDIR)/man7/
	install -m 644 etc/man/underlay.yaml.5 $(D)$(MANDIR)/man5/
	install -m 644 README.md ARCHITECTURE.md CHANGES.md LICENSE etc/underlay.yaml \
	    contrib/prometheus/underlay.rules.yaml $(D)$(DOCDIR)/
	install -m 644 etc/networkd/50-underlay.conf $(D)$(DOCDIR)/networkd-50-underlay.conf
	install -m 644 etc/rt_protos.d/underlay.conf $(D)$(SYSCONFDIR)/iproute2/rt_protos.d/underlay.conf
	install -m 644 etc/sysusers-underlay.conf $(D)$(SYSUSERSDIR)/underlay.conf
	sed 's|@BINDIR@|$(BINDIR)|; s|@UBINDIR@|$(UBINDIR)|' etc/underlayd.service > $(D)$(UNITDIR)/underlayd.service
	chmod 644 $(D)$(UNITDIR)/underlayd.service
	test -e $(D)$(SYSCONFDIR)/underlay/underlay.yaml || \
	    install -m 640 etc/underlay.yaml $(D)$(SYSCONFDIR)/underlay/underlay.yaml
	@echo "Installed. Next: edit $(SYSCONFDIR)/underlay/underlay.yaml, systemd-sysusers, systemctl daemon-reload,"
	@echo "systemctl enable --now underlayd. With systemd-networkd, copy $(DOCDIR)/networkd-50-underlay.conf"
	@echo "to $(SYSCONFDIR)/systemd/networkd.conf.d/ as well."

# The configuration stays.
uninstall:
	rm -f $(D)$(BINDIR)/underlayd $(D)$(UBINDIR)/underlayctl $(D)$(MANDIR)/man8/underlayd.8 \
	    $(D)$(MANDIR)/man8/underlayctl.8 $(D)$(MANDIR)/man7/underlay-metrics.7 \
	    $(D)$(MANDIR)/man7/underlay-kubernetes.7 $(D)$(MANDIR)/man5/underlay.yaml.5 \
	    $(D)$(UNITDIR)/underlayd.service \
	    $(D)$(SYSCONFDIR)/iproute2/rt_protos.d/underlay.conf $(D)$(SYSUSERSDIR)/underlay.conf
	rm -rf $(D)$(DOCDIR)

-include tests/check.mk tests/bench/bench.mk tests/fuzz/fuzz.mk

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
