#!/usr/bin/env bash
# Every check there is, from a fresh checkout on Debian 12:  ./test.sh [STEP...]
#
# Installs what building and testing need, builds with gcc and clang (warnings are errors) and with
# AddressSanitizer and UBSan, and runs all tests. The last line is "N passed, N failed, N skipped"; each
# skip says why above it. STEP is one or more of: build unit e2e asan clang cross style fuzz valgrind.
set -uo pipefail
cd "$(dirname "$0")"
[[ ${1:-} == -h || ${1:-} == --help ]] && { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0; }
tests/install-packages test || exit 1

steps=("$@")
[[ ${#steps[@]} -eq 0 ]] && steps=(build style unit e2e asan clang cross fuzz valgrind)
results=$(mktemp)
trap 'rm -f "$results"' EXIT
jobs=$(nproc)

# Run a command whose output has PASS, FAIL and SKIP lines; they are shown and kept for the count. A command
# that fails without saying FAIL (a crash, a time-out) counts as one failure of its own.
lines() {
	local name=$1 before after status
	shift
	before=$(grep -c '^FAIL' "$results")
	"$@" 2>&1 | tee -a "$results" | grep -v '^PASS'
	status=${PIPESTATUS[0]}
	after=$(grep -c '^FAIL' "$results")
	if [[ $status -ne 0 && $before -eq $after ]]; then
		echo "FAIL $name (exit status $status)" | tee -a "$results"
	fi
}

# A command that passes or fails as a whole; its output is shown only when it fails.
whole() {
	local name=$1 log
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		echo "PASS $name" >>"$results"
	else
		tail -60 "$log"
		echo "FAIL $name" | tee -a "$results"
	fi
	rm -f "$log"
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
		echo "   $file took $((SECONDS - since)) s" >&2
	done
}

for step in "${steps[@]}"; do
	started=$SECONDS
	echo "== $step" >&2
	case $step in
	build) whole "build with gcc, warnings are errors" cmake_build build ;;
	style) lines style tests/style ;;
	unit) lines unit_tests timeout 300 build/tests/unit/unit_tests ;;
	e2e) e2e build tests/e2e/test_*.py ;;
	asan)
		whole "build with AddressSanitizer and UBSan" cmake_build build-asan -DCPROF_SANITIZE=address,undefined
		lines unit_tests-asan timeout 600 build-asan/tests/unit/unit_tests
		# The whole way once more, from process to report, with the sanitizers watching.
		for file in $(grep -l '^# asan: yes' tests/e2e/test_*.py); do
			e2e build-asan "$file"
		done
		;;
	clang) whole "build with clang, warnings are errors" cmake_build build-clang \
		-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ ;;
	cross) lines cross tests/cross ;;
	fuzz) lines fuzz tests/fuzz/smoke ;;
	valgrind) lines valgrind tests/valgrind ;;
	*) echo "test.sh: no step \"$step\"" >&2; exit 2 ;;
	esac
	echo "   $step took $((SECONDS - started)) s" >&2
done

count() { grep -c "^$1" "$results"; }
failed=$(count FAIL)
[[ $failed -gt 0 ]] && grep '^FAIL' "$results"
echo "$(count PASS) passed, $failed failed, $(count SKIP) skipped"
[[ $failed -eq 0 && $(count PASS) -gt 0 ]]
