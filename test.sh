#!/usr/bin/env bash
# Every check there is, from a fresh checkout on Debian 12:  ./test.sh [STEP...]
#
# Installs what building and testing need, builds with gcc and clang (warnings are errors) and with
# AddressSanitizer and UBSan, reads the source with clang-tidy and cppcheck, and runs all tests. The last line is
# "N passed, N failed, N skipped"; each skip says why above it. A run that fails keeps its whole output in a file,
# which the line before names. STEP is one or more of: build style unit e2e asan clang lint cross fuzz valgrind chaos.
set -uo pipefail
cd "$(dirname "$0")"
[[ ${1:-} == -h || ${1:-} == --help ]] && { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0; }
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
jobs=$(nproc)
ended=

count() { grep -cE "^($1) " "$results"; }
result() { echo "$*" | tee -a "$results" "$log" | grep -v '^PASS '; }
note() { echo "$*" | tee -a "$log" >&2; }

# The end of every run, also of one that is interrupted.
finish() {
	local failed
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
	rm -f "$results"
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

e2e() { # BUILD-FOLDER TEST-FILES...
	local build=$1 file since
	shift
	for file in "$@"; do
		since=$SECONDS
		lines "$file" env CPROF_BUILD="$PWD/$build" timeout 900 python3 "$file"
		note "   $file took $((SECONDS - since)) s"
	done
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
	fuzz) lines fuzz tests/fuzz/smoke ;;
	valgrind) lines valgrind tests/valgrind ;;
	chaos) lines chaos timeout 600 tests/chaos/run 1 -rounds 60 -test ;; # the same rounds every time; more by hand
	esac
	note "   $step took $((SECONDS - started)) s"
done
ended=yes
