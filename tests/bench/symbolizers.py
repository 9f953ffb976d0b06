#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our index of debug information against elfutils' libdwfl, 10,000 random addresses of each program: do they say the same, and how fast?

Usage: tests/bench/symbolizers.py [-n 10000] [-seed 1] [FILE...]

Without FILE: programs of its own (C++ by gcc and clang in 27 ways, Rust, Go) and what Debian ships here (python3.11, libc, libstdc++; with their debug
packages, if installed). Prints a row for each, and every difference that is of no kind which docs/names.md lists: status 1 then.
"""

import argparse
import glob
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import symbolizer_programs
from symbolizer_programs import Comparison

KINDS = ("same", "alias", "nameless", "symbol", "function", "chain", "file", "line", "column", "start-line")
SHIPPED = ("/usr/bin/python3.11", "/usr/bin/redis-server", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6")


def row(name, found):
    print(f"| {name} | " + " | ".join(str(found.counts[kind]) for kind in KINDS) + f" | {found.speed} |", flush=True)


def compare(name, path, options, flags=""):
    """How many differences nobody can explain."""
    found = Comparison(path, options.n, options.seed, timeout=7200)
    row(name, found)
    for note in found.notes:
        print(f"  {note}")
    left = found.unexplained(flags)
    for address, kind, index, library in left[:10]:
        print(f"  {address} {kind}\n    index   {index}\n    libdwfl {library}")
    return len(left)


def programs(folder):
    """(name, path, flags) of programs that are made."""
    for name, compiler, flags in symbolizer_programs.CPP + symbolizer_programs.MORE_CPP:
        where = os.path.join(folder, name)
        os.mkdir(where)
        yield name, symbolizer_programs.build_cpp(where, compiler, flags), flags
    for name, build in (("Rust", symbolizer_programs.build_rust), ("Go", symbolizer_programs.build_go)):
        where = os.path.join(folder, name)
        os.mkdir(where)
        yield name, build(where), ""
    for path in (path for pattern in SHIPPED for path in glob.glob(pattern)):
        yield path, os.path.realpath(path), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("-seed", type=int, default=1)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    left = 0
    print("| program | " + " | ".join(KINDS) + " | us an address |\n" + "|---" * (len(KINDS) + 2) + "|")
    with tempfile.TemporaryDirectory(prefix="cprof-bench-") as folder:
        chosen = ((path, path, "") for path in options.files) if options.files else programs(folder)
        for name, path, flags in chosen:
            if path:
                left += compare(name, path, options, flags)
            else:
                print(f"| {name} | cannot be made here |")
    print(f"{left} differences of no known kind")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
