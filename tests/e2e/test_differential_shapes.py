# SPDX-License-Identifier: Apache-2.0
"""cprof against Debian's `go tool pprof` on profiles in the shapes of other people's programs (profile_shapes.py): sixty of them, with sixty
sets of options. What is known to differ between the versions is left out as in test_differential.py, whose comparison this is;
docs/viewer.md lists the classes.

All pairs: CPROF_SHAPES=all python3 tests/e2e/test_differential_shapes.py. Another pprof: CPROF_ORACLE=/path/to/pprof
"""
import concurrent.futures
import os
import random
import re
import tempfile
import unittest

import harness
import profile_shapes
from harness import CPROF, go_pprof
from test_differential import run, same, without_order

REPORTS = ["-top", "-tree", "-dot", "-peek=.", "-text -cum", "-callgrind", "-comments", "-top -addresses", "-top -lines", "-tree -files",
           "-dot -call_tree", "-traces"]
MORE = ["", "-sample_index=0 -nodecount=5", "-focus=main|render|Main -unit=ms", "-ignore=runtime|GC|memcpy -mean", "-noinlines -relative_percentages"]
COUNT = os.environ.get("CPROF_SHAPES", "120")
OLD = "CPROF_ORACLE" not in os.environ  # what Debian's does not do yet, or does its own way
# Debian's knows no links to documents, and draws what is negative in green.
NEWER = re.compile(rb"(?m)^Doc: .*\n|Doc: [^\\\n]*\\l")
COLOURS = re.compile(rb' (?:fill)?color="#[0-9a-f]{6}"')
NO_TOTAL = b" of 0 total"  # rounded to that by -mean: pprof's colours come from a division by zero then, and its nodes are red


def option_sets():
    for report in REPORTS:
        if OLD and report == "-traces":
            report = "-top -filefunctions"
        for more in MORE:
            if OLD and report == "-callgrind" and "noinlines" in more:
                more = "-relative_percentages"
            yield f"{report} {more}".split()


def known(name, options):
    """Pairs that Debian's prints otherwise: it drops samples without frames."""
    return OLD and "-repeated" in name and "-comments" not in options


def as_both_print(name, done):
    out = NEWER.sub(b"", done[1]) if OLD else done[1]
    plain = (OLD and "-negative" in name) or NO_TOTAL in out
    return done[0], COLOURS.sub(b"", out) if plain else out, done[2]


def by_chance(oracle, arguments, ours, theirs):
    """Whether pprof itself prints something else each time: edges of the same size, one of them negative, have no order there, nor have
    nodes of the same name with -call_tree, and which of them are cut off is chance. Else all the lines are to be the same."""
    return len({run(oracle, arguments)[1] for _ in range(8)}) > 1 and (
        "-callgrind" in arguments or "-call_tree" in arguments or without_order(ours[1]) == without_order(theirs[1]))


class DifferentialShapes(unittest.TestCase):
    def test_sixty_shapes_with_sixty_sets_of_options_print_what_go_tool_pprof_prints(self):
        oracle = ([os.environ["CPROF_ORACLE"]] if not OLD else go_pprof()) + ["-symbolize=none"]
        sets = list(option_sets())
        self.assertGreaterEqual(len(sets), 60)
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name, data in profile_shapes.all_shapes():
                files.append(os.path.join(folder, name + ".pb.gz"))
                with open(files[-1], "wb") as out:
                    out.write(data)
            self.assertGreaterEqual(len(files), 60)
            pairs = [(file, options) for file in files for options in sets if not known(file, options)]
            if COUNT != "all":
                pairs = random.Random(20261128).sample(pairs, int(COUNT))
            self.compare(oracle, pairs)

    def compare(self, oracle, pairs):
        def both(pair):
            arguments = pair[1] + [pair[0]]
            return (arguments, *(as_both_print(pair[0], run(command, arguments)) for command in ([CPROF, "-symbolize=none"], oracle)))

        different, taken = [], 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for arguments, ours, theirs in pool.map(both, pairs):
                taken += theirs[0]
                if not same(arguments, ours, theirs) and not by_chance(oracle, arguments, ours, theirs):
                    different.append(" ".join(arguments[:-1] + [os.path.basename(arguments[-1])]))
                    if len(different) <= 3:
                        print(f"different: {different[-1]}\n--- ours {ours[0]}\n{ours[1].decode(errors='replace')[:1200]}{ours[2].decode()[:200]}"
                              f"\n--- pprof {theirs[0]}\n{theirs[1].decode(errors='replace')[:1200]}{theirs[2].decode()[:200]}")
        self.assertEqual(different, [], f"{len(different)} of {len(pairs)}")
        self.assertGreater(taken, len(pairs) // 2, "too few that pprof takes")


if __name__ == "__main__":
    harness.main()
