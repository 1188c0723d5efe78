#!/bin/sh
# What `make check` runs: three builds (gcc, clang, ASan+UBSan), and every suite on the builds it belongs to. Each suite
# ends with "N passed, N failed, N skipped"; this script adds them up and ends with the same line over everything. A suite
# that dies before its totals, or exits non-zero without a failure to show for it, is a failure of its own.
#
# usage: tests/check.sh [all]      all: also the suites too slow for every day (the lab's self-test)
set -u
cd "$(dirname "$0")/.." || exit 3
unset MAKEFLAGS MFLAGS MAKELEVEL BUILD SAN
export LC_ALL=C
export ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1

jobs=$(nproc 2>/dev/null || echo 2)
[ "$jobs" -le 4 ] || jobs=4
out=build/check
python=/usr/bin/python3
passed=0 failed=0 skipped=0
began=$(date +%s)

if [ "$(id -u)" != 0 ]; then
    echo "the network labs need root: run sudo make check" >&2
    exit 3
fi
sh tests/install-deps.sh check || exit 3
rm -rf "$out"
mkdir -p "$out"

seconds() { echo $(($(date +%s) - began)); }

# say NAME WORD...: one line, with the time since the start
say() {
    name=$1
    shift
    printf '[%3ds] %-24s %s\n' "$(seconds)" "$name" "$*"
}

# build NAME MAKE-VARIABLE...: everything and the unit tests, warnings as errors
build() {
    name=$1
    shift
    log=$out/build-$name.log
    if make -k -j"$jobs" "$@" all units >"$log" 2>&1; then
        passed=$((passed + 1))
        say "build $name" ok
    else
        failed=$((failed + 1))
        say "build $name" FAIL
        grep -nE 'error|undefined|\*\*\*' "$log" | head -n 20
        echo "      whole log: $log"
    fi
}

# suite NAME COMMAND...: run it, show its failures, add its totals up
suite() {
    name=$1
    shift
    log=$out/$(echo "$name" | tr ' /' '--').log
    "$@" >"$log" 2>&1
    status=$?
    totals=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    if [ -z "$totals" ]; then
        failed=$((failed + 1))
        say "$name" "FAIL (no totals, exit status $status)"
        tail -n 20 "$log"
        return
    fi
    set -- $totals
    passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
    say "$name" "$totals"
    if [ "$3" != 0 ]; then
        # Up to the daemons' logs, which are in the whole log.
        awk '/^(ok|SKIP|[0-9]+ passed)/ { on = 0 } /^FAIL/ { on = 1 } /^ *--- / { on = 0 } on' "$log" | head -n 60
        echo "      whole log: $log"
    elif [ "$status" != 0 ]; then
        failed=$((failed + 1))
        say "$name" "FAIL (exit status $status)"
        tail -n 20 "$log"
    fi
    grep '^SKIP' "$log" | head -n 10
}

# units NAME BUILD-DIRECTORY: every unit test program of a build, as one suite
units() {
    suite "unit $1" sh -c '
        p=0 f=0 s=0
        for source in tests/unit/test_*.c; do
            t='"$2"'/tests/$(basename "$source" .c)
            timeout 300 "$t" >"$t.log" 2>&1; status=$?
            grep -vE "^[0-9]+ passed" "$t.log"
            set -- $(grep -E "^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped\$" "$t.log" | tail -n 1)
            p=$((p + ${1:-0})) f=$((f + ${3:-0})) s=$((s + ${5:-0}))
            if [ $status != 0 ] && [ "${3:-0}" = 0 ]; then
                echo "FAIL  $t: exit status $status"; f=$((f + 1))
            fi
        done
        echo "$p passed, $f failed, $s skipped"
        [ $f = 0 ]'
}

build gcc CC=gcc BUILD=build
build clang CC=clang BUILD=build/clang
build asan CC=clang BUILD=build/asan SAN=address,undefined

units gcc build
units clang build/clang
units asan build/asan

export UNDERLAYD=$PWD/build/underlayd UNDERLAYCTL=$PWD/build/underlayctl
suite config sh tests/config/run.sh
suite cli $python tests/cli/run.py
suite interop $python tests/interop/run.py -j "$jobs"

export UNDERLAYD=$PWD/build/asan/underlayd UNDERLAYCTL=$PWD/build/asan/underlayctl LAB_SLOW=2
suite "config asan" sh tests/config/run.sh
suite "cli asan" $python tests/cli/run.py
suite "interop asan" $python tests/interop/run.py -j "$jobs"

if [ "${1:-}" = all ]; then
    suite "lab self-test" $python tests/lib/selftest.py
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
