#!/bin/sh
# Configuration files through `underlayd --check`: every good/*.yaml (and the one we ship) must pass in silence, every
# bad/X.yaml must exit 1 and say exactly what bad/X.expected says, each line after "FILE:".
#
# usage: tests/config/run.sh      UNDERLAYD=build/underlayd
cd "$(dirname "$0")/../.." || exit 3
daemon=${UNDERLAYD:-build/underlayd}
unset NODE_NAME NODE_IP
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); echo "ok    $1"; }
fail() { failed=$((failed + 1)); echo "FAIL  $1"; printf '%s\n' "$2" | sed 's/^/      /'; }
totals() { echo "$passed passed, $failed failed, $skipped skipped"; }

if ! [ -x "$daemon" ]; then
    skipped=1
    echo "SKIP  config files: no $daemon"
    totals
    exit 0
fi

# accepts NAME FILE: it passes in silence
accepts() {
    said=$("$daemon" --check --config "$2" 2>&1)
    status=$?
    if [ $status = 0 ] && [ -z "$said" ]; then
        ok "$1"
    else
        fail "$1" "exit status $status
$said"
    fi
}

for file in tests/config/good/*.yaml etc/underlay.yaml; do
    accepts "$file" "$file"
done

for file in tests/config/bad/*.yaml; do
    expected=${file%.yaml}.expected
    said=$("$daemon" --check --config "$file" 2>&1)
    status=$?
    difference=$(printf '%s\n' "$said" | sed "s|^$file:||" | diff "$expected" - 2>&1)
    if [ $status = 1 ] && [ -z "$difference" ]; then
        ok "$file"
    else
        fail "$file" "exit status $status, 1 expected
$difference"
    fi
done

# What the documentation shows must be taken as it stands there; a fragment gets the `router` that it lacks.
export NODE_NAME=n1 NODE_IP=10.0.0.11 KUBERNETES_SERVICE_HOST=10.96.0.1 # as in a pod
examples=$(mktemp -d) || exit 3
trap 'rm -rf "$examples"' EXIT
awk -v to="$examples" '
    /^```yaml$/ || /^\.Bd -literal/ { on = 1; n++; next }
    /^```$/ || /^\.Ed$/ { on = 0 }
    on { print > (to "/" FILENAME_ "-" n ".yaml") }
    FNR == 1 { FILENAME_ = FILENAME; gsub("/", "-", FILENAME_) }
' README.md etc/man/underlay.yaml.5 etc/man/underlay-kubernetes.7
for file in "$examples"/*; do
    grep -q '^router:' "$file" || sed -i '1i router: {asn: 64512, id: 10.0.0.11}' "$file"
    accepts "example ${file##*/}" "$file"
done

# What is not a file that can be read is a configuration error too.
for file in tests/config/nonexistent.yaml tests/config; do
    said=$("$daemon" --check --config "$file" 2>&1)
    status=$?
    case $status:$said in
    "1:$file"*) ok "$file is refused with the reason" ;;
    *) fail "$file is refused with the reason" "exit status $status
$said" ;;
    esac
done

totals
[ $failed = 0 ]
