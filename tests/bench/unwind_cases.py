#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench/unwind_cases.py [PART_OF_A_NAME...] - the share of samples whose whole frame list is right, case by case:
by our unwinder, which may go on in the live process, and by libdwfl, each on samples of its own.

The cases and their true call chains are those of tests/e2e/test_unwind.py."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
import test_unwind as cases  # noqa: E402

CASES = [["chain_plain"], ["chain_plain", "thread"], ["chain_frames", "touch"], ["chain_frames"], ["chain_tail"],
         ["chain_calls", "plt"], ["chain_calls", "vdso"], ["chain_throw"], ["chain_throw", "loop"], ["chain_signal"],
         ["chain_signal", "alt"], ["chain_deep", "100", "400"], ["chain_deep", "300", "400"],
         ["chain_deep", "2500", "400"], ["chain_debug_frame"], ["chain_no_tables_fp"], ["chain_no_tables"],
         ["chain_asm", "fp"], ["chain_asm", "nofp"], ["chain_asm", "leaf"], ["chain_jit", "fp"], ["chain_jit", "nofp"],
         ["chain_coroutine"], ["chain_switch"], ["chain_static"], ["chain_static_pie"], ["chain_no_pie"],
         ["chain_library", cases.LIB, "deleted"], ["chain_library", cases.LIB, "memfd"],
         ["chain_library", cases.LIB, "many"], ["chain_musl_static"], ["chain_musl_shared"],
         ["chain_musl_signal", "alt"]]


def share(argv, *how):
    with harness.Target(list(argv)) as victim:
        result = harness.run([cases.WALK, str(victim.pid), "200", "32768", "4096", *how])
    chains = [line[6:] for line in victim.said if line.startswith("chain ")]
    expressions = [re.compile(cases.pattern(chain) + f"({cases.TAILS};)?") for chain in chains]
    stacks = cases.Stacks(result.stdout)
    right = sum(count for count, stop, names, _ in stacks.all
                if any(e.fullmatch(";".join(names) + ";") for e in expressions))
    return 100 * right / stacks.total if stacks.total else float("nan")


def main():
    print(f"{'case':32} {'ours':>6} {'libdwfl':>8}")
    for argv in CASES:
        name = " ".join([argv[0][6:], *(part for part in argv[1:] if part != cases.LIB)])
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        if os.path.exists(harness.target_path(argv[0])):
            print(f"{name:32} {share(argv):5.1f}% {share(argv, 'libdwfl'):7.1f}%", flush=True)


if __name__ == "__main__":
    main()
