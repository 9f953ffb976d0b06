#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job, from a fresh checkout on Debian 12:  ./demo.sh [PID]
#
# Installs what the build needs, builds, and takes a CPU profile of process PID, or, without PID, of the
# bundled demo program. Leaves the profile in cpu.pb.gz and prints its top 10.
set -euo pipefail
cd "$(dirname "$0")"
case ${1:-} in
-h | --help) sed -n '3,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
'' ) pid= ;;
*[!0-9]*) echo "demo.sh: \"$1\" is no process id" >&2; exit 2 ;;
*) pid=$1 ;;
esac

tests/install-packages build
cmake -S . -B build -G Ninja -DCPROF_TESTS=ON >build-demo.log 2>&1 && cmake --build build -j"$(nproc)" >>build-demo.log 2>&1 || {
	tail -20 build-demo.log >&2
	exit 1
}
rm -f build-demo.log

if [[ -z $pid ]]; then
	said=$(mktemp)
	build/targets/hot >"$said" &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -f "$said"' EXIT
	until grep -q '^ready$' "$said"; do
		kill -0 "$pid" || exit 1
		sleep 0.05
	done
	echo "demo target: build/targets/hot, pid $pid" >&2
fi
build/cprof-attach -p "$pid" -seconds 5 -o cpu.pb.gz -f
echo >&2
build/cprof -top -nodecount=10 cpu.pb.gz
