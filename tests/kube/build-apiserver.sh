#!/bin/sh
# Builds kube-apiserver for the tests: 1.20, from the source package of Debian bookworm by bookworm's own Go, whatever Debian this
# runs on. Nothing is installed: packages are fetched with an apt of its own state and unpacked in a directory that goes
# afterwards. About 5 minutes with two processors, 155 MB to fetch, 2.5 GB of room meanwhile.
#
# usage: tests/kube/build-apiserver.sh DIRECTORY      leaves DIRECTORY/kube-apiserver
# MIRROR: of Debian; JOBS: so many compilers side by side; SCRATCH: where the 2.5 GB may be
set -eu

[ $# = 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
for program in apt-get dpkg-source make rsync jq; do
    command -v $program >/dev/null || { echo "$program is not there: tests/install-deps.sh kube-apiserver" >&2; exit 1; }
done
mkdir -p "$1"
out=$(cd "$1" && pwd)
jobs=${JOBS:-$(nproc)}
work=$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/kube-build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# The mirror that this system uses anyway, where it is a Debian.
listed=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\(http[^ ]*\/debian\/\?\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep '/debian/*$' | head -n 1)
mirror=${MIRROR:-${listed:-http://deb.debian.org/debian}}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work"/apt/lists/partial "$work"/apt/archives/partial "$work"/apt/etc/apt.conf.d "$work"/apt/etc/preferences.d "$work"/packages "$work"/unpacked "$work"/home
: >"$work/apt/status"
for type in deb deb-src; do
    echo "$type [signed-by=$keyring] $mirror bookworm main"
done >"$work/apt/etc/sources.list"
cat >"$work/apt/apt.conf" <<END
Dir::Etc "$work/apt/etc";
Dir::Etc::sourcelist "$work/apt/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
Acquire::Languages "none";
$([ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";')
END
export APT_CONFIG="$work/apt/apt.conf"

echo "fetching kubernetes and Go from $mirror"
apt-get -qq update
cd "$work/packages"
apt-get -qq download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
apt-get -qq --download-only source kubernetes
for package in *.deb; do
    dpkg-deb -x "$package" "$work/unpacked"
done
source=$work/kubernetes
dpkg-source --no-check -x kubernetes_*.dsc "$source" >/dev/null

# The copy of reflect2 among the sources predates this Go, and what is built with it crashes; Debian has packaged a newer one.
rm -rf "$source/vendor/github.com/modern-go/reflect2"
cp -r "$work/unpacked/usr/share/gocode/src/github.com/modern-go/reflect2" "$source/vendor/github.com/modern-go/"

echo "building kube-apiserver, which takes some minutes"
go=$work/unpacked/usr/lib/go-1.19
cd "$source"
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
version=$(dpkg-parsechangelog -S Version | sed 's/[+-].*//')
# Without cloud providers, which no test has. Its make asks git for a version where nobody tells it.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL HOME="$work/home" GOROOT="$go" PATH="$go/bin:$PATH" GOPATH="$source/.go" GO111MODULE=off \
    CGO_ENABLED=0 GOFLAGS="-p=$jobs -tags=providerless" GOLDFLAGS="-s -w" \
    KUBE_GIT_COMMIT=0000000000000000000000000000000000000000 KUBE_GIT_TREE_STATE=archive KUBE_GIT_VERSION="v$version" \
    KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR="$(echo "$version" | cut -d. -f2)" make WHAT=cmd/kube-apiserver >"$work/build.log" 2>&1 ||
    { tail -n 30 "$work/build.log" >&2; exit 1; }
install -m 755 _output/bin/kube-apiserver "$out/kube-apiserver"
"$out/kube-apiserver" --version
