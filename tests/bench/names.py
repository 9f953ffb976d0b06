#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Naming addresses: ours against llvm-symbolizer, addr2line, eu-addr2line and go tool pprof, same addresses, one run.

Usage: tests/bench/names.py [-n 10000] [-runs 5] [-no-go] FILE...     FILE: a program with debug information
       tests/bench/names.py -make-redis DIR                   build redis-server (-O2 -g) from Debian's source package
       tests/bench/names.py -make-big DIR [-units 100]         generate a C++ program with > 100 MB of debug information, plain and
                                                               compressed

Prints a table for each FILE: median seconds, processor time and its ratio to ours, peak memory. Nothing passes or fails here; the numbers that
were measured stand in docs/names.md. Take a quiet machine.
"""

import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
NAMES = os.path.join(BUILD, "tests", "bench", "names")
GO = "/usr/lib/go-1.19/bin/go"

UNIT = r"""
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
namespace unit_@ {
template <class K, class V> struct Box {
	std::map<K, V> m;
	V get(const K &k) const { auto i = m.find(k); return i == m.end() ? V() : i->second; }
};
struct Local { int v; bool operator<(const Local &o) const { return v < o.v; } };
}
long entry_@(int n)
{
	using namespace unit_@;
	std::vector<Local> v;
	for (int i = 0; i < n; i++)
		v.push_back({ i * 7919 % 1000 });
	std::sort(v.begin(), v.end(), [](const Local &a, const Local &b) { return b < a; });
	Box<std::string, Local> b;
	for (auto &x : v)
		b.m[std::to_string(x.v)] = x;
	std::unordered_map<std::string, std::shared_ptr<Local>> u;
	for (auto &x : v)
		u[std::to_string(x.v)] = std::make_shared<Local>(x);
	std::function<int(int)> f = [&](int x) { return b.get(std::to_string(x)).v; };
	std::regex re("([0-9]+)x");
	std::smatch m;
	std::string s = "123x";
	long t = std::regex_search(s, m, re);
	for (int i = 0; i < n; i++)
		t += f(i);
	return t + (long)u.size();
}
"""


def make_redis(folder):
    """Debian's source package, without touching the system's list of sources."""
    os.makedirs(os.path.join(folder, "lists/partial"), exist_ok=True)
    os.makedirs(os.path.join(folder, "cache/archives/partial"), exist_ok=True)
    with open("/etc/apt/sources.list.d/debian.sources") as file:
        sources = re.sub(r"^Types:.*$", "Types: deb-src", file.read(), flags=re.M)
    with open(os.path.join(folder, "src.sources"), "w") as file:
        file.write(sources)
    options = []
    for key, value in (("Dir::Etc::SourceList", "src.sources"), ("Dir::Etc::SourceParts", "none"),
                       ("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")):
        options += ["-o", f"{key}={os.path.join(folder, value)}"]
    subprocess.run(["apt-get", *options, "update"], check=True)
    subprocess.run(["apt-get", *options, "source", "--download-only", "redis"], check=True, cwd=folder)
    archive = next(name for name in os.listdir(folder) if name.endswith(".orig.tar.gz"))
    subprocess.run(["tar", "xf", archive], check=True, cwd=folder)
    tree = next(os.path.join(folder, name) for name in os.listdir(folder)
                if os.path.isdir(os.path.join(folder, name, "src")))
    subprocess.run(["make", "-j2", "MALLOC=libc", "OPTIMIZATION=-O2", "CFLAGS=-g", "redis-server"], check=True, cwd=tree)
    print(os.path.join(tree, "src", "redis-server"))


MAIN = """#include <stdio.h>
#include <unistd.h>
extern "C" {
%s
}
int main()
{
	static long (*const all[])(int) = { %s };
	printf("%%d\\nready\\n", getpid());
	fflush(stdout);
	for (volatile long t = 0;;)
		for (auto f : all)
			t = t + f(60);
}
"""


def make_big(folder, units):
    """One C++ unit is compiled, and its object copied under other symbol names: many units for the time of one. The
    program prints its pid and goes round through all units until it is killed, so it can be profiled as well."""
    os.makedirs(folder, exist_ok=True)
    source, first = os.path.join(folder, "unit.cc"), os.path.join(folder, "unit.o")
    with open(source, "w") as file:
        file.write(UNIT.replace("@", "0"))
    subprocess.run(["g++", "-g", "-O2", "-c", source, "-o", first], check=True)
    listed = subprocess.run(["nm", "-u", first], capture_output=True, text=True, check=True).stdout
    outside = [line.split()[-1] for line in listed.splitlines()]
    objects, renamed, back = [], os.path.join(folder, "renamed.o"), os.path.join(folder, "outside")
    for i in range(units):
        objects.append(os.path.join(folder, f"u{i}.o"))
        with open(back, "w") as file:
            file.writelines(f"u{i}_{name} {name}\n" for name in outside)
        subprocess.run(["objcopy", f"--prefix-symbols=u{i}_", first, renamed], check=True)
        subprocess.run(["objcopy", f"--redefine-syms={back}", renamed, objects[-1]], check=True)
    main = os.path.join(folder, "main.cc")
    names = [f"u{i}__Z7entry_0i" for i in range(units)]
    with open(main, "w") as file:
        file.write(MAIN % ("\n".join(f"long {name}(int);" for name in names), ", ".join(names)))
    out = os.path.join(folder, "big")
    subprocess.run(["g++", "-g", main, *objects, "-o", out], check=True)
    subprocess.run(["objcopy", "--compress-debug-sections=zlib", out, out + "-packed"], check=True)
    print(out)


def debug_bytes(path):
    done = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True)
    return sum(int(m.group(1), 16) for m in re.finditer(r"\.debug_\S+\s+PROGBITS\s+\S+ \S+ (\S+)", done.stdout))


def addresses(path, n):
    """Of instructions, not of padding between functions."""
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", path], capture_output=True, text=True)
    all_of_them = [m.group(1) for m in re.finditer(r"^ +([0-9a-f]+):\t(?!nop|xchg +%ax,%ax|data16|int3|cs nop)", done.stdout, re.M)]
    random.seed(1)
    return ["0x" + a for a in random.sample(all_of_them, min(n, len(all_of_them)))]


LIMIT_S = 60  # nobody waits longer for a tool

# A small process between us and the program: the peak memory that the kernel reports for a child counts what the parent
# had when it forked.
LAUNCHER = ("import os,sys,time;t=time.monotonic();p=os.posix_spawnp(sys.argv[1],sys.argv[1:],os.environ);"
            "_,s,u=os.wait4(p,0);"
            "print(time.monotonic()-t,u.ru_utime+u.ru_stime,u.ru_maxrss/1024,s,file=sys.stderr)")


def measure(argv, text):
    """Seconds, seconds of processor time, peak MB, exit status."""
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, "timeout", str(LIMIT_S), *argv], input=text.encode(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wall, cpu, peak, status = done.stderr.decode().strip().splitlines()[-1].split()
    return float(wall), float(cpu), float(peak), int(status)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


BASE = 0x555555554000


def code_segment(path):
    """(address, offset, size) of the program header that holds the code."""
    done = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        words = line.split()
        if words[:1] == ["LOAD"] and "E" in words[6:8]:
            return int(words[2], 16), int(words[1], 16), int(words[4], 16)
    raise SystemExit(f"{path} has no code")


def bare_profile(path, addrs):
    """A profile of these addresses without names, for go tool pprof: one mapping, as the kernel would have made it."""
    addr, offset, size = code_segment(path)
    start = BASE + (addr & ~4095)
    end = (BASE + addr + size + 4095) & ~4095
    strings = [b"", b"samples", b"count", path.encode()]
    out = field(1, field(1, 1) + field(2, 2))
    out += field(3, field(1, 1) + field(2, start) + field(3, end) + field(4, offset & ~4095) + field(5, 3))
    for i, text in enumerate(addrs, 1):
        out += field(4, field(1, i) + field(2, 1) + field(3, BASE + int(text, 16)))
        out += field(2, field(1, i) + field(2, 1))
    return out + b"".join(field(6, s) for s in strings)


def bench(path, n, runs, with_go):
    addrs = addresses(path, n)
    text = "".join(a + "\n" for a in addrs)
    work = tempfile.mkdtemp(prefix="cprof-bench-")
    cache = os.path.join(work, "cache")
    pb = os.path.join(work, "bare.pb")
    with open(pb, "wb") as file:
        file.write(bare_profile(path, addrs))
    go = [GO, "tool", "pprof", "-symbolize=local", "-top", path, pb]
    peers = [
        ("ours, cold", [NAMES, path]),
        ("ours, from the cache", [NAMES, path, "-cache", cache]),
        ("llvm-symbolizer -i", ["llvm-symbolizer", "--output-style=LLVM", "-f", "-i", f"--obj={path}"]),
        ("addr2line -fi", ["addr2line", "-f", "-i", "-C", "-e", path]),
        ("eu-addr2line -fi", ["eu-addr2line", "-f", "-i", "-e", path]),
    ]
    if with_go and os.path.exists(GO):
        peers.append(("go tool pprof -top", go))
    measure([NAMES, path, "-cache", cache], text)
    print(f"\n{path}: {len(addrs)} addresses, {debug_bytes(path) / 1e6:.0f} MB of debug sections, median of {runs}")
    print(f"  {'':24} {'seconds':>9} {'cpu s':>9} {'ratio':>7} {'peak MB':>8}")
    ours = None
    for name, argv in peers:
        results = [measure(argv, text) for _ in range(1 if "eu-" in name or "go " in name else runs)]
        if any(r[3] for r in results):
            print(f"  {name:24} failed, or took more than {LIMIT_S} s")
            continue
        wall, cpu = (statistics.median(r[i] for r in results) for i in (0, 1))
        ours = ours or cpu
        print(f"  {name:24} {wall:9.3f} {cpu:9.3f} {cpu / ours:7.2f} {max(r[2] for r in results):8.0f}")
    warm = subprocess.run([NAMES, path], input=text, capture_output=True, text=True).stderr
    print("  ours, asked again: %s ns an address" % re.search(r"warm_ns (\S+)", warm).group(1))
    subprocess.run(["rm", "-rf", work])


def main(args):
    n, runs, files, units, go = 10000, 5, [], 100, True
    while args:
        arg = args.pop(0)
        if arg == "-n":
            n = int(args.pop(0))
        elif arg == "-no-go":
            go = False
        elif arg == "-runs":
            runs = int(args.pop(0))
        elif arg == "-units":
            units = int(args.pop(0))
        elif arg == "-make-redis":
            return make_redis(os.path.abspath(args.pop(0)))
        elif arg == "-make-big":
            folder = os.path.abspath(args.pop(0))
            if args[:1] == ["-units"]:
                units = int(args[1])
            return make_big(folder, units)
        else:
            files.append(os.path.abspath(arg))
    if not files:
        sys.exit(__doc__)
    for path in files:
        bench(path, n, runs, go)


if __name__ == "__main__":
    main(sys.argv[1:])
