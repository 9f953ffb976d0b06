#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules for frames by our reader of call frame information against elfutils' libdw: the same at random addresses of every program and library here?

Usage: tests/bench/cfi.py [-n 10000] [-seed 1] [-jobs 1] [PLACE...]

PLACE: files, and directories with all that is below them; /usr if none. Prints what differs, at most five addresses of a file, and a row of sums; status 1
if anything differs. A file counts once, however many links lead to it.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys

BUILD = os.environ.get("CPROF_BUILD", os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build"))
TOOL = os.path.join(BUILD, "tests", "bench", "cfi")
X86_64, EXEC, DYN = 62, 2, 3
AT_ONCE = 20


def is_code(path):
    """A program or library for x86-64; not the debug file of one."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return False
    return (len(head) == 20 and head[:6] == b"\x7fELF\x02\x01" and int.from_bytes(head[16:18], "little") in (EXEC, DYN) and
            int.from_bytes(head[18:20], "little") == X86_64 and not path.startswith("/usr/lib/debug/"))


def files_below(places):
    seen = set()
    for place in places:
        for folder, folders, names in os.walk(place) if os.path.isdir(place) else ((os.path.dirname(place), [], [os.path.basename(place)]),):
            folders.sort()
            for path in (os.path.join(folder, name) for name in sorted(names)):
                if not os.path.isfile(path):
                    continue
                status = os.stat(path)
                if (status.st_dev, status.st_ino) not in seen and is_code(path):
                    seen.add((status.st_dev, status.st_ino))
                    yield path


def compare(paths, options):
    done = subprocess.run([TOOL, str(options.n), str(options.seed), *paths], capture_output=True, text=True, timeout=7200)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{TOOL} ended with {done.returncode}: {done.stderr} {paths}")
    return done.stdout.splitlines(), done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("-seed", type=int, default=1)
    parser.add_argument("-jobs", type=int, default=1)
    parser.add_argument("places", nargs="*", default=["/usr"])
    options = parser.parse_args()
    paths = list(files_below(options.places))
    batches = [paths[at:at + AT_ONCE] for at in range(0, len(paths), AT_ONCE)]
    rows, differ = [], 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for lines, words in pool.map(lambda batch: compare(batch, options), batches):
            sys.stderr.write(words)
            kept = []
            for line in lines:
                if line.startswith("  "):
                    kept.append(line)
                    continue
                path, *numbers = line.rsplit(" ", 7)
                rows.append((path, *map(int, numbers)))
                if kept:
                    print(f"{path}: {len(kept)} differ\n" + "\n".join(kept[:5]), flush=True)
                    kept = []
    sums = [sum(row[i] for row in rows) for i in range(1, 6)]
    differ = sum(sums[2:])
    print("| files | addresses | same | neither knows | ours alone | theirs alone | different |\n|---|---|---|---|---|---|---|")
    print(f"| {len(rows)} | {sum(sums)} | " + " | ".join(map(str, sums)) + " |")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
