#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every check there is, from a fresh checkout on Debian 12:  ./test.sh [STEP...]
#
# Installs what building and testing need, builds with gcc and clang (warnings are errors) and with
# AddressSanitizer and UBSan, reads the source with clang-tidy and cppcheck, and runs all tests. The last line is
# "N passed, N failed, N skipped"; each skip says why above it. A run that fails keeps its whole output in a file,
# which the line before names. STEP is one or more of: build style unit e2e asan clang lint cross fuzz valgrind chaos.
set -uo pipefail
cd "$(dirname "$0")"
[[ ${1:-} == -h || ${1:-} == --help ]] && { sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 0; }
all=(build style unit e2e asan clang lint cross fuzz valgrind chaos)
steps=("$@")
[[ ${#steps[@]} -eq 0 ]] && steps=("${all[@]}")
for step in "${steps[@]}"; do
	[[ " ${all[*]} " == *" $step "* ]] || { echo "test.sh: no step \"$step\"; there are: ${all[*]}" >&2; exit 2; }
done
tests/install-packages test || exit 1

mkdir -p build
log=$(mktemp "build/test-$(date +%Y%m%d-%H%M%S)-XXX.log") # all that is said
results=$(mktemp)                                           # its PASS, FAIL and SKIP lines alone
outputs=$(mktemp -d)                                        # of tests that run side by side
jobs=$(nproc)
ended=
declare -A heard # files of e2e tests whose output was counted

count() { grep -cE "^($1) " "$results"; }
result() { echo "$*" | tee -a "$results" "$log" | grep -v '^PASS '; }
note() { echo "$*" | tee -a "$log" >&2; }

# The end of every run, also of one that is interrupted.
finish() {
	local failed job
	for job in $(jobs -p); do pkill -INT -P "$job"; done
	[[ -z $ended ]] && result "FAIL step $step was interrupted"
	[[ $(count 'PASS|FAIL') -eq 0 ]] && result "FAIL nothing was tested"
	failed=$(count FAIL)
	grep '^FAIL ' "$results"
	if [[ $failed -gt 0 ]]; then
		echo "the whole output is in $log"
	else
		rm -f "$log"
	fi
	echo "$(count PASS) passed, $failed failed, $(count SKIP) skipped"
	rm -rf "$results" "$outputs"
	exit $((failed > 0))
}
trap finish EXIT

# Run a command whose output has PASS, FAIL and SKIP lines; what else it says is shown. One that fails without saying
# FAIL (a crash, a time-out), or that tells of no test at all, counts as one failure of its own.
lines() {
	local name=$1 size status said failed
	shift
	size=$(stat -c %s "$log")
	"$@" 2>&1 | tee -a "$log" | grep -v '^PASS '
	status=${PIPESTATUS[0]}
	said=$(tail -c "+$((size + 1))" "$log" | grep -E '^(PASS|FAIL|SKIP) ')
	[[ -n $said ]] && echo "$said" >>"$results"
	failed=$(grep -c '^FAIL ' <<<"$said")
	if [[ $failed -eq 0 && $status -ne 0 && $status -ne 77 ]]; then # 77: all was skipped
		result "FAIL $name (exit status $status)"
	elif [[ -z $said ]]; then
		result "FAIL $name tells of no test"
	fi
}

# A command that passes or fails as a whole; the end of its output is shown when it fails.
whole() {
	local name=$1 size
	shift
	size=$(stat -c %s "$log")
	if "$@" >>"$log" 2>&1; then
		result "PASS $name"
	else
		tail -c "+$((size + 1))" "$log" | tail -60
		result "FAIL $name"
	fi
}

cmake_build() { # FOLDER CMAKE-ARGUMENTS...
	local folder=$1
	shift
	cmake -S . -B "$folder" -G Ninja -DCPROF_WERROR=ON "$@" && cmake --build "$folder" -j"$jobs"
}

# Tests of real processes mostly wait, so one file a processor and one more run at a time; a file with a line "# alone: WHY" runs
# by itself, after the others. What a file says is shown when it has ended.
e2e() { # BUILD-FOLDER TEST-FILES...
	local build=$1 test running=0
	shift
	heard=()
	for test in $(grep -L '^# alone: ' "$@"); do
		[[ $running -le $jobs ]] || e2e_ended
		set -m # or an interruption is ignored in it
		e2e_file "$test" </dev/null &
		set +m
		running=$((running + 1))
	done
	while [[ $running -gt 0 ]]; do e2e_ended; done
	for test in $(grep -l '^# alone: ' "$@"); do
		e2e_file "$test"
		e2e_said
	done
	for test; do
		[[ -n ${heard[$test]:-} ]] || result "FAIL $test has left no output: what ran it has ended"
	done
}

e2e_file() { # TEST-FILE; with $build of e2e
	local output=$outputs/${1##*/} since=$SECONDS status
	CPROF_BUILD="$PWD/$build" timeout 900 python3 "$1" >"$output.running" 2>&1
	status=$?
	echo "   $1 took $((SECONDS - since)) s" >>"$output.running"
	echo "$1 $status" >"$output.status"
	mv "$output.running" "$output.output" # whole, so it may be read
}

e2e_ended() { # with $running of e2e
	wait -n
	running=$((running - 1))
	e2e_said
}

e2e_said() {
	local output test status
	for output in "$outputs"/*.output; do
		[[ -e $output ]] || continue
		read -r test status <"${output%.output}.status"
		heard[$test]=yes
		lines "$test" said_before "$output" "$status"
		rm "$output" "${output%.output}.status"
	done
}

said_before() { # OUTPUT STATUS: a command that has run
	cat "$1"
	return "$2"
}

for step in "${steps[@]}"; do
	started=$SECONDS
	note "== $step"
	case $step in
	build) whole "build with gcc, warnings are errors" cmake_build build ;;
	style) lines style tests/style ;;
	unit) lines unit_tests timeout 300 build/tests/unit/unit_tests ;;
	e2e) e2e build tests/e2e/test_*.py ;;
	asan)
		whole "build with AddressSanitizer and UBSan" cmake_build build-asan -DCPROF_SANITIZE=address,undefined
		lines unit_tests-asan timeout 600 build-asan/tests/unit/unit_tests
		# The whole way once more, from process to report, with the sanitizers watching.
		mapfile -t files < <(grep -l '^# asan: yes' tests/e2e/test_*.py)
		e2e build-asan "${files[@]}"
		;;
	clang) whole "build with clang, warnings are errors" cmake_build build-clang \
		-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ ;;
	lint) lines lint tests/lint ;;
	cross) lines cross tests/cross ;;
	fuzz) lines fuzz tests/fuzz/smoke 3 ;;
	valgrind) lines valgrind tests/valgrind ;;
	chaos) lines chaos timeout 600 tests/chaos/run 1 -rounds 60 -test ;; # the same rounds every time; more by hand
	esac
	note "   $step took $((SECONDS - started)) s"
done
ended=yes
