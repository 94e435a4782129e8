# What the scripts of the test cluster share. Sourced, not run.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
umask 022

CACHE=${PAUDE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paude-test}   # survives `down`: binaries, base image
STATE=${PAUDE_TEST_STATE:-/var/tmp/paude-cluster}                       # one cluster's life
BIN=$CACHE/bin RUN=$STATE/run LOG=$STATE/log

NODE=node1 NODE_IP=10.77.0.1 NODE_NET=10.77.0.0/16
PODS=10.78.0.0/20 SERVICES=10.96.0.0/16 API_IP=10.96.0.1 DNS_IP=10.96.0.10
# The fake internet (tests/world): addresses that no real network routes, what stands for private networks, its name server.
WORLD=(192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 169.254.169.254/32 10.97.0.0/16 100.64.13.0/24) WORLD_DNS=198.51.100.53
# The same in IPv6, all empty on a machine that has none: then the cluster has one family, and tests of the other fail.
NODE_IP6='' NODE_NET6='' PODS6='' SERVICES6='' DNS_IP6='' WORLD6=()
if [ -e /proc/net/if_inet6 ]; then
  NODE_IP6=fd77::1 NODE_NET6=fd77::/16 PODS6=fd78::/112 SERVICES6=fd96::/112 DNS_IP6=fd96::10
  WORLD6=(2001:db8::/32 fd00:6::/32 fd00:ec2::254/128 fd97::/16)
fi
DNS_IPS="'$DNS_IP'${DNS_IP6:+, '$DNS_IP6'}"
REGISTRY=registry.test:5000
BASE_IMAGE=localhost/paude-base:bookworm
HOSTS_MARK='# paude test cluster'

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }
kc() { "$BIN/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }

# A pid file holds the process's start time too: after a reboot the number may be somebody else's. A zombie has none:
# the first process of a container may be slow to bury.
start_time() { awk '{sub(/.*\) /, ""); if ($1 != "Z") print $20}' "/proc/$1/stat" 2>/dev/null || true; }
alive() { # component
  local pid started
  read -r pid started 2>/dev/null < "$RUN/$1.pid" && [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}
spawn() { # component command...: starts it unless it runs
  local name=$1 pid; shift
  alive "$name" && return
  setsid "$@" >> "$LOG/$name.log" 2>&1 < /dev/null 9>&- &
  pid=$!
  echo "$pid $(start_time $pid)" > "$RUN/$name.pid"
}
ready() { # component command...: waits until the command succeeds, at most a minute
  local name=$1 until=$((SECONDS + 60)); shift
  while [ $SECONDS -lt $until ]; do
    "$@" > /dev/null 2>&1 && return
    if [ "$name" != - ] && ! alive "$name"; then tail -n 5 "$LOG/$name.log" >&2; die "$name ended, see $LOG/$name.log"; fi
    sleep .1
  done
  die "not ready after a minute: $*"
}
end() { # component
  local pid started
  if alive "$1"; then
    read -r pid started < "$RUN/$1.pid"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 30); do alive "$1" || break; sleep .1; done   # the API server lingers, and holds its port
    ! alive "$1" || kill -9 "$pid"
  fi
  rm -f "$RUN/$1.pid"
}
