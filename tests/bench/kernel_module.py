#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our index against elfutils' libdwfl on a real kernel module: random addresses of its text, as if this kernel had loaded it.

Usage: sudo tests/bench/kernel_module.py [-n 10000] [-seed 1] FILE.ko

FILE is the module with its debug information, as in Debian's linux-image-*-dbg. What the kernel would say of it (/sys/module, /proc/kallsyms), and its
place below /usr/lib/debug, are made in a mount namespace of the tool's own. Prints a row, and what differs; status 1 then.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from symbolizer_programs import COMPARE, Comparison

LOADED_AT, PAGE = 0xFFFFFFFFC0C00000, 4096
NAMESPACE = ('mount -t tmpfs none /usr/lib/debug && mkdir -p "$(dirname "$1")" && cp "$0" "$1" && '
             'mount --bind "$2" /sys/module && mount --bind "$3" /proc/kallsyms && shift 3 && exec "$@"')


def tool(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def sections_of(path):
    """{number: (name, address, size, is code)} of what the kernel would keep in memory, each on pages of its own."""
    found, at = {}, LOADED_AT
    for line in tool("readelf", "-SW", path).splitlines():
        number, bracket, rest = line.partition("]")
        words = rest.split()
        if not bracket or not number.strip(" [").isdigit() or len(words) < 8 or "A" not in words[6]:
            continue
        size = int(words[4], 16)
        found[int(number.strip(" ["))] = words[0], at, size, "X" in words[6]
        at += (size + PAGE) // PAGE * PAGE + PAGE
    return found


def write_kernel(folder, path, name, sections):
    """What /sys/module and /proc/kallsyms would say, below `folder`."""
    os.makedirs(f"{folder}/sys/{name}/sections")
    os.makedirs(f"{folder}/sys/{name}/notes")
    for section, addr, _, _ in sections.values():
        with open(f"{folder}/sys/{name}/sections/{section}", "w") as file:
            file.write(f"{addr:#x}\n")
    tool("objcopy", "-O", "binary", "--only-section=.note.gnu.build-id", path, f"{folder}/sys/{name}/notes/.note.gnu.build-id")
    with open("/proc/kallsyms") as file, open(f"{folder}/kallsyms", "w") as out:
        out.writelines(line for line in file if "[" not in line)
        for line in tool("readelf", "-sW", path).splitlines():
            words = line.split()
            if len(words) == 8 and words[6].isdigit() and int(words[6]) in sections and words[3] in ("FUNC", "NOTYPE"):
                out.write(f"{sections[int(words[6])][1] + int(words[1], 16):016x} t {words[7]}\t[{name}]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("-seed", type=int, default=1)
    parser.add_argument("file")
    options = parser.parse_args()
    name = os.path.basename(options.file).split(".ko")[0].replace("-", "_")
    sections = sections_of(options.file)
    chance = random.Random(options.seed)
    code = [(addr, size) for _, addr, size, is_code in sections.values() if is_code and size]
    addresses = [addr + chance.randrange(size) for addr, size in chance.choices(code, [size for _, size in code], k=options.n)]
    with tempfile.TemporaryDirectory(prefix="cprof-bench-") as folder:
        write_kernel(folder, options.file, name, sections)
        place = f"/usr/lib/debug/lib/modules/{os.uname().release}/kernel/{os.path.basename(options.file)}"
        command = ["unshare", "-m", "sh", "-c", NAMESPACE, options.file, place, f"{folder}/sys", f"{folder}/kallsyms", COMPARE, "[kernel]", "0"]
        found = Comparison(options.file, 0, addresses=addresses, timeout=3600, command=command)
    print(found.counts, found.speed, *found.notes, sep="\n")
    left = found.unexplained()
    for address, kind, index, library in left[:10]:
        print(f"  {address} {kind}\n    index   {index}\n    libdwfl {library}")
    print(f"{len(left)} differences of no known kind")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
