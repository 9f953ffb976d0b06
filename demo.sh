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
say() { echo "demo.sh: $*" >&2; }

# A line for each tenth of the build, out of ninja's "[12/345] Building ..."; the rest is in the log.
progress() {
	awk -v log_file="$1" '{
		print >> log_file
		if (match($0, /^\[[0-9]+\/[0-9]+\]/)) {
			split(substr($0, 2, RLENGTH - 2), steps, "/")
			if (int(10 * steps[1] / steps[2]) > tenths) {
				tenths = int(10 * steps[1] / steps[2])
				print "demo.sh: built " steps[1] " of " steps[2]
				fflush()
			}
		}
	}' >&2
}

# What it profiles is linked statically: the C library's functions have their names then, whether or not libc6-dbg is installed.
say "1/3 Debian packages that are missing are installed"
tests/install-packages build
say "2/3 cprof-attach and cprof are built (minutes the first time, seconds after that)"
log=build-demo.log
cmake -S . -B build -G Ninja -DCPROF_TESTS=ON >"$log" 2>&1 &&
	cmake --build build -j"$(nproc)" --target cprof-attach cprof hot_static 2>&1 | progress "$log" || {
	tail -20 "$log" >&2
	exit 1
}
rm -f "$log"

if [[ -z $pid ]]; then
	said=$(mktemp)
	build/targets/hot_static >"$said" &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -f "$said"' EXIT
	until grep -q '^ready$' "$said"; do
		kill -0 "$pid" || exit 1
		sleep 0.05
	done
	say "the demo program is tests/targets/hot.c, pid $pid"
fi
say "3/3 process $pid is profiled: cprof-attach -p $pid -seconds 5 -o cpu.pb.gz; then: cprof -top cpu.pb.gz"
build/cprof-attach -p "$pid" -seconds 5 -o cpu.pb.gz -f
echo >&2
build/cprof -top -nodecount=10 cpu.pb.gz
