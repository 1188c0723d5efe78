#!/bin/sh
# Install what a level needs, on Debian 12 or a relative: build | check | demo | bench | kubernetes | kube-apiserver. Nothing but
# apt-get is used, nothing is asked, and no daemon is started or left to start at the next boot: the labs start their own, in
# namespaces.
# Returns at once where everything is there.
set -eu

level=${1:-build}
build="gcc libc6-dev make pkg-config libevent-dev libssl-dev libnl-3-dev libnl-route-3-dev libyaml-dev libjansson-dev libsystemd-dev libcap-dev"
labs="python3 iproute2 procps iputils-ping tcpdump"
# A kubectl from elsewhere will do; Debian's own would not go beside it.
kubernetes="etcd-server openssl containernetworking-plugins"
command -v kubectl >/dev/null || kubernetes="$kubernetes kubernetes-client"
case $level in
build) wanted=$build ;;
demo) wanted="$build $labs frr" ;;
bench) wanted="$build $labs frr bird2 gobgpd openbgpd" ;;
kubernetes) wanted="$build $labs $kubernetes frr" ;;
kube-apiserver) wanted="make dpkg-dev rsync jq" ;; # what building it needs
check) wanted="$build $labs $kubernetes clang libclang-rt-dev libcunit1-dev frr bird2 gobgpd exabgp openbgpd tshark python3-prometheus-client" ;;
*) echo "usage: $0 build | check | demo | bench | kubernetes | kube-apiserver" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "note: not a Debian system, so nothing is installed for you. Debian names of what is needed: $wanted" >&2
    exit 0
fi

missing=
for package in $wanted; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "missing packages:$missing" >&2
    echo "run this as root (sudo), or install them first: sudo apt-get install$missing" >&2
    exit 1
fi

# invoke-rc.d and deb-systemd-invoke ask policy-rc.d first: 101 means "do not start". Containers often have one already.
policy=/usr/sbin/policy-rc.d
saved=
log=$(mktemp /tmp/underlay-install.XXXXXX)
keep_log=
restore() {
    [ -n "$keep_log" ] || rm -f "$log"
    rm -f "$policy"
    if [ -n "$saved" ]; then mv "$saved" "$policy"; fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    saved=$policy.underlay-saved
    mv "$policy" "$saved"
fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1 </dev/null
}
echo "installing:$missing"
# A stale index of some other source must not stop us: what counts is whether the installation works.
apt update || echo "note: apt-get update had errors" >&2
if ! apt install --no-install-recommends $missing; then
    tail -n 20 "$log" >&2
    echo "could not install:$missing (whole log: $log)" >&2
    keep_log=1
    exit 1
fi

if command -v systemctl >/dev/null; then
    for package in $missing; do
        case $package in
        frr) systemctl disable frr ;;
        bird2) systemctl disable bird ;;
        gobgpd) systemctl disable gobgpd ;;
        exabgp) systemctl disable exabgp ;;
        openbgpd) systemctl disable openbgpd ;;
        etcd-server) systemctl disable etcd ;;
        esac >/dev/null 2>&1 || true
    done
fi
