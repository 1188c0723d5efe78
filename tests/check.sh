#!/bin/sh
# What `make check` runs: two builds (gcc, and clang with ASan+UBSan), and every suite on the builds it belongs to. Each suite
# ends with "N passed, N failed, N skipped"; this script adds them up and ends with the same line over everything. A suite
# that dies before its totals, or exits non-zero without a failure to show for it, is a failure of its own. Whole logs are
# in build/check. An interrupt ends the running suite, which removes what it made, and then this.
#
# usage: tests/check.sh [all]      all: also what is too slow for every day (every kind of peer in every test, all of it with
# sanitizers, clang without them, the lab's self-test)
set -u
cd "$(dirname "$0")/.." || exit 3
unset MAKEFLAGS MFLAGS MAKELEVEL BUILD SAN
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1

jobs=$(nproc 2>/dev/null || echo 2)
[ "$jobs" -le 4 ] || jobs=4
# Tests wait more than they work.
side_by_side=$((jobs * 3))
out=build/check
python=/usr/bin/python3
passed=0 failed=0 skipped=0 child=
began=$(date +%s)

# run COMMAND...: in the background, because a trap runs only between commands; wait ends at once on a signal.
run() {
    "$@" 3>&- &
    child=$!
    wait "$child"
    status=$?
    child=
    return $status
}

stop() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null
        wait "$child"
    fi
    echo "interrupted" >&3
    exit "$1"
}
exec 3>&1
# What root has built and written belongs to whom the tree belongs to.
trap 'chown -R --reference=. build 2>/dev/null' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

if [ "$(id -u)" != 0 ]; then
    echo "the network labs need root: run sudo make check" >&2
    exit 3
fi
rm -rf "$out"
mkdir -p "$out"
run sh tests/install-deps.sh check || exit 3

# say NAME WORD...: one line, with the time since the start
say() {
    name=$1
    shift
    printf '[%3ds] %-24s %s\n' "$(($(date +%s) - began))" "$name" "$*"
}

# build NAME MAKE-VARIABLE...: everything and the unit tests, warnings as errors
build() {
    name=$1
    shift
    log=$out/build-$name.log
    if run make -k -j"$jobs" "$@" all units >"$log" 2>&1; then
        passed=$((passed + 1))
        say "build $name" ok
    else
        failed=$((failed + 1))
        say "build $name" FAIL
        grep -nE 'error|undefined|\*\*\*' "$log" | head -n 20
        echo "      whole log: $log"
    fi
}

# show_failures LOG: of each failed test its beginning and its end, which is where the daemons' logs are
show_failures() {
    awk '
        function show(   i) {
            for (i = 1; i <= n; i++)
                if (i <= 40 || i > n - 40)
                    print line[i]
                else if (i == 41)
                    print "      […]"
            n = 0
        }
        /^FAIL/ { show(); on = ++count <= 10; if (!on) print }
        /^(ok|SKIP|AGAIN|Feature |[0-9]+ passed)/ { on = 0 }
        on { line[++n] = $0 }
        END { show() }' "$1"
    echo "      whole log: $1"
}

# suite NAME COMMAND...: run it, show its failures, add its totals up
suite() {
    name=$1
    shift
    log=$out/$(echo "$name" | tr ' /' '--').log
    run "$@" >"$log" 2>&1
    status=$?
    totals=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    if [ -z "$totals" ]; then
        failed=$((failed + 1))
        say "$name" "FAIL (no totals, exit status $status)"
        tail -n 40 "$log"
        return
    fi
    set -- $totals
    passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
    say "$name" "$totals"
    if [ "$3" = 0 ] && [ "$status" != 0 ]; then
        failed=$((failed + 1))
        say "$name" "FAIL (exit status $status)"
        tail -n 40 "$log"
    elif grep -q '^FAIL' "$log"; then
        # What passed when it ran again is shown all the same: it is not good enough to be forgotten.
        grep '^AGAIN' "$log"
        show_failures "$log"
    fi
    grep '^SKIP' "$log" | head -n 10
}

build gcc CC=gcc BUILD=build
build asan CC=clang BUILD=build/asan SAN=address,undefined fuzzers

suite "unit gcc" $python tests/unit/run.py -j "$side_by_side" --again 3 build
suite "unit asan" $python tests/unit/run.py -j "$side_by_side" --again 3 build/asan
# The corpus and what comes of it in so many steps from the same seed; what time has a part in may differ. `make fuzz` goes on
# from there.
suite fuzz $python tests/fuzz/run.py -j "$jobs" --runs 20000 --seconds 6 build/asan

export UNDERLAYD=$PWD/build/underlayd UNDERLAYCTL=$PWD/build/underlayctl
suite config sh tests/config/run.sh
suite cli $python tests/cli/run.py -j "$side_by_side" --again 3
# Three kinds of peer for each test; all of them with `all`.
most=3
[ "${1:-}" != all ] || most=0
suite interop $python tests/interop/run.py -j "$side_by_side" --again 3 --cases "$most"

export UNDERLAYD=$PWD/build/asan/underlayd UNDERLAYCTL=$PWD/build/asan/underlayctl LAB_SLOW=2 LAB_TAP=0
suite "config asan" sh tests/config/run.sh
[ "${1:-}" != all ] || suite "cli asan" $python tests/cli/run.py -j "$side_by_side" --again 3
# It is the daemon that these try; they ask it thousands of times, and the sanitizer takes long to start.
export UNDERLAYCTL=$PWD/build/underlayctl
# One case of each test, none of endurance: most cases differ in the kind of peer, and all were tried above.
brief="--cases 1 --brief"
[ "${1:-}" != all ] || brief=
suite "interop asan" $python tests/interop/run.py -j "$side_by_side" --again 3 $brief

if [ "${1:-}" = all ]; then
    build clang CC=clang BUILD=build/clang
    suite "unit clang" $python tests/unit/run.py -j "$side_by_side" --again 3 build/clang
    suite "lab self-test" $python tests/lib/selftest.py
fi

# What was met by whom, from the suite with the build that is shipped.
sed -n '/^Feature  *FRR /,/^$/p' "$out/interop.log" 2>/dev/null

totals="$passed passed, $failed failed, $skipped skipped"
echo "$totals" >"$out/totals"
echo "$totals"
[ "$failed" = 0 ]
