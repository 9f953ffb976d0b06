# SPDX-License-Identifier: Apache-2.0
"""cprof against Debian's `go tool pprof`: the same report with the same options on the same profile, byte for byte.

Combinations are drawn with a fixed seed, so a failure can be repeated. Left out is only what the two versions are known
to print differently: -raw (columns), -tags (percentages), -showcolumns and -all_frames (newer than Debian's), the form of the "Time:" line,
which is cut, -traces of files with equal stacks in them, which Debian's adds up even in a single file, samples
without any frame (gobench.heap), which it drops, the colours of what is negative, which became blue in 2026, and -callgrind
with -noinlines, of which it takes no notice, and the columns that -addresses shows since 2026. With -call_tree nodes may have the same name; Debian's pprof then orders
them differently from run to run, and only the order-free content is compared.

More combinations: CPROF_DIFFERENTIAL=2000 python3 tests/e2e/test_differential.py
"""
import concurrent.futures
import os
import random
import re
import subprocess
import tempfile
import unittest

import harness
from harness import ATTACH, CPROF, SHARED, Target, attach, go_pprof

GOLDEN = os.path.join(SHARED, "pprof-golden")
COMBINATIONS = int(os.environ.get("CPROF_DIFFERENTIAL", "300"))
SEED = int(os.environ.get("CPROF_SEED", "20261123"))
ENVIRONMENT = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nonexist", HOME="/nonexist")

INPUTS = ["contention", "cpu", "cpu_mangled", "cpusmall", "go_allocs", "go_block", "go_goroutine", "go_heap",
          "go_mutex", "go_profile", "heap", "heap_alloc", "heap_request", "heap_sizetags", "heap_tags",
          "long_name_funcs", "redis_inlines", "unknown"]
LEGACY = ["cppbench.contention", "cppbench.cpu", "cppbench.growth", "cppbench.heap", "cppbench.thread", "go.crc32.cpu",
          "gobench.cpu", "java.contention", "java.cpu", "java.heap"]
REPORTS = ["-top", "-text", "-tree", "-peek=main|line|alloc", "-traces", "-dot", "-callgrind", "-comments", "-list=main",
           "-top", "-dot", "-tree"]
CHOICES = [
    ["", "", "-functions", "-filefunctions", "-files", "-lines", "-addresses"],
    ["", "", "-noinlines"],
    ["", "-cum", "-flat"],
    ["", "", "-nodecount=3", "-nodecount=10", "-nodecount=1"],
    ["", "", "-nodefraction=0.1", "-nodefraction=0"],
    ["", "", "-edgefraction=0.05", "-edgefraction=0"],
    ["", "", "", "-trim=false"],
    ["", "", "-call_tree"],
    ["", "", "-compact_labels"],
    ["", "", "-relative_percentages"],
    ["", "", "-unit=auto", "-unit=ms", "-unit=kb", "-unit=bytes", "-unit=seconds"],
    ["", "", "-sample_index=0", "-sample_index=1"],
    ["", "", "-mean", "-divide_by=3", "-divide_by=0.5"],
    ["", "", "", "-focus=main", "-focus=line[12]|alloc", "-focus=(?i)RUNTIME"],
    ["", "", "", "-ignore=malg|line3", "-ignore=runtime\\."],
    ["", "", "", "-hide=runtime|line2", "-hide=^main$"],
    ["", "", "", "-show=main|line|dict"],
    ["", "", "", "-show_from=main|line2|processCommand"],
    ["", "", "", "-prune_from=main|line1"],
    ["", "", "", "-tagfocus=1kb:", "-tagfocus=tag[12]", "-tagfocus=bytes=100kb:1mb", "-tagignore=tag3,key",
     "-tagfocus=key1=tag."],
    ["", "", "", "-tagshow=bytes", "-taghide=key"],
    ["", "", "", "-tagroot=bytes", "-tagleaf=key1,key2", "-tagroot=key1 -tagleaf=bytes"],
    ["", "", "", "-drop_negative"],
    ["", "", "", "-trim_path=/tmp:/usr", "-source_path=/tmp/redis"],
]
TIME = re.compile(rb"(?m)^Time: .*\n|Time: [^\\\n]*\\l")


def draw(random_source, recorded=()):
    folder, names = random_source.choice([("inputs", INPUTS), ("inputs", INPUTS), ("profile_testdata", LEGACY)])
    name = random_source.choice(names) + (".pb.gz" if folder == "inputs" else "")
    if recorded:
        folder, name = "inputs", random_source.choice(recorded)
    arguments = [random_source.choice(REPORTS)]
    if arguments == ["-traces"] and folder != "inputs":
        arguments = ["-top"]
    for choices in CHOICES:
        if random_source.random() < 0.3:
            arguments += random_source.choice(choices).split()
    if "-callgrind" in arguments and "-noinlines" in arguments:
        arguments.remove("-noinlines")
    if folder == "inputs" and random_source.random() < 0.15:
        arguments.append(random_source.choice(["-base=", "-diff_base="]) + os.path.join(folder, name))
    elif folder == "inputs" and random_source.random() < 0.1:
        arguments.append(os.path.join(folder, name))
    return arguments + [os.path.join(folder, name)]  # a recorded profile's path is absolute and stays as it is


def everywhere(arguments):
    """With sources allowed to be anywhere, which pprof does without being asked; both are given the same."""
    if not any(argument.startswith("-list") for argument in arguments):
        return arguments
    paths = [argument.removeprefix("-source_path=") for argument in arguments if argument.startswith("-source_path=")]
    return [f"-source_path={(paths or [GOLDEN])[-1]}:/"] + [
        argument for argument in arguments if not argument.startswith("-source_path=")]


NEGATIVE = re.compile(rb' color="#(?!b2)[0-9a-f]{6}"(?: fillcolor="#(?!ed)[0-9a-f]{6}")?')


COLUMN = re.compile(rb"(\.\w+:\d+):\d+")


def run(command, arguments):
    done = subprocess.run(command + arguments, cwd=GOLDEN, env=ENVIRONMENT, timeout=120, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = NEGATIVE.sub(b"", TIME.sub(b"", done.stdout))
    return done.returncode == 0, COLUMN.sub(rb"\1", text) if "-addresses" in arguments else text, done.stderr


def without_order(text):
    """The lines of a graph without the numbers that depend on their order, sorted."""
    lines = []
    for line in text.decode(errors="replace").splitlines():
        line = re.sub(r'\bN+\d+|id="[^"]*"', "N", line)
        # Callgrind's addresses and names are relative to the line before; its costs are not.
        lines.append(line if line.startswith("N") else line.split(" ")[-1])
    return sorted(lines)


def same(arguments, ours, theirs):
    if ours[0] != theirs[0] or not ours[0] or ours[1] == theirs[1]:
        return ours[0] == theirs[0]
    return "-call_tree" in arguments and (
        "-callgrind" in arguments and sorted(re.findall(rb"(?m) (\d+)$", ours[1])) == sorted(re.findall(rb"(?m) (\d+)$", theirs[1]))
        or "-dot" in arguments and without_order(ours[1]) == without_order(theirs[1]))


def undecided(oracle, arguments):
    """Whether pprof itself prints something else each time: which of equal nodes it cuts off is chance."""
    return "-call_tree" in arguments and len({run(oracle, arguments)[1] for _ in range(6)}) > 1


@unittest.skipUnless(os.path.isdir(GOLDEN), "no ../shared/pprof-golden here")
class Differential(unittest.TestCase):
    maxDiff = None

    def test_random_combinations_print_what_go_tool_pprof_prints(self):
        source = random.Random(SEED)
        self.compare([draw(source) for _ in range(COMBINATIONS)])

    def test_profiles_that_we_record_ourselves_print_what_go_tool_pprof_prints(self):
        if not os.path.exists(ATTACH):
            self.skipTest("cprof-attach is not built")
        with tempfile.TemporaryDirectory() as scratch, Target(["hot"]) as target:
            recorded = [os.path.join(scratch, name) for name in ("cpu.pb.gz", "threads.pb.gz")]
            for path, options in zip(recorded, (["-seconds", "1"], ["-mode", "threads"])):
                done = attach("-p", target.pid, *options, "-o", path)
                if done.returncode == 4:
                    self.skipTest(f"may not attach here: {done.stderr}")
                self.assertEqual(done.returncode, 0, done.stderr)
            source = random.Random(SEED)
            self.compare([draw(source, recorded) for _ in range(COMBINATIONS // 5)])

    def compare(self, combinations):
        oracle = go_pprof() + ["-symbolize=none"]

        def both(arguments):
            arguments = everywhere(arguments)
            return run([CPROF, "-symbolize=none"], arguments), run(oracle, arguments)

        different, compared = [], 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for arguments, (ours, theirs) in zip(combinations, pool.map(both, combinations)):
                compared += theirs[0]
                if not same(arguments, ours, theirs) and not undecided(oracle, arguments):
                    different.append((" ".join(arguments), ours, theirs))
        for arguments, ours, theirs in different[:5]:
            print(f"different: {arguments}\n--- ours {ours[0]}\n{ours[1].decode(errors='replace')[:1500]}{ours[2].decode()[:300]}"
                  f"\n--- pprof {theirs[0]}\n{theirs[1].decode(errors='replace')[:1500]}{theirs[2].decode()[:300]}")
        self.assertEqual([entry[0] for entry in different], [])
        self.assertGreater(compared, len(combinations) // 2, "too few combinations that pprof takes")


if __name__ == "__main__":
    harness.main()
