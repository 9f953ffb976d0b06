# SPDX-License-Identifier: Apache-2.0
"""Programs whose names two readers of debug information are compared by, and what is known of their differences."""

import os
import subprocess

from harness import BUILD

COMPARE = os.path.join(BUILD, "tools", "compare_symbolizers")

UNIT = r"""
#include <algorithm>
#include <string>
#include <vector>
namespace unit_@ {
namespace {
struct Local { int v; bool operator<(const Local &o) const { return v < o.v; } };
int hidden(int x) { return x * 7919 % 1000; }
}
template <class T> struct Box { T t; T get() const { return t; } };
}
long entry_@(int n)
{
	using namespace unit_@;
	std::vector<Local> v;
	for (int i = 0; i < n; i++)
		v.push_back({ hidden(i) });
	std::sort(v.begin(), v.end(), [](const Local &a, const Local &b) { return b < a; });
	std::string s;
	for (auto &x : v)
		s += std::to_string(Box<int>{ x.v }.get());
	return (long)s.size();
}
"""
MAIN = "long entry_1(int); long entry_2(int); int main(int n, char **) { return (int)(entry_1(n) + entry_2(n)); }\n"

RUST = r"""
mod inner {
    #[inline(always)]
    fn small(x: u64) -> u64 { x.wrapping_mul(31).rotate_left(7) }
    #[inline(never)]
    pub fn work(v: &mut Vec<u64>) -> u64 {
        v.sort_by(|a, b| b.cmp(a));
        v.iter().map(|x| small(*x)).fold(0, |a, b| a ^ b)
    }
}
fn main() {
    let mut v: Vec<u64> = (0..std::env::args().count() as u64 * 100).collect();
    println!("{}", inner::work(&mut v));
}
"""

GO = r"""package main

import (
	"fmt"
	"os"
	"sort"
)

//go:noinline
func work(v []int) int {
	sort.Slice(v, func(i, j int) bool { return v[i] > v[j] })
	sum := 0
	for _, x := range v {
		sum += x
	}
	return sum
}

func main() {
	v := make([]int, 100*len(os.Args))
	fmt.Println(work(v))
}
"""

# Name, compiler, its flags. Split: nobody lets libdw open a file that a file names.
CPP = [
    ("gcc, DWARF 4", "g++", "-gdwarf-4"),
    ("gcc, DWARF 5, compressed", "g++", "-gdwarf-5 -gz"),
    ("gcc, LTO", "g++", "-gdwarf-5 -flto"),
    ("gcc, split", "g++", "-gdwarf-5 -gsplit-dwarf"),
    ("gcc, types of their own", "g++", "-gdwarf-4 -fdebug-types-section"),
    ("clang, DWARF 4", "clang++", "-gdwarf-4"),
    ("clang, DWARF 5", "clang++", "-gdwarf-5"),
    ("clang, LTO", "clang++", "-gdwarf-5 -flto"),
    ("clang, split", "clang++", "-gdwarf-5 -gsplit-dwarf"),
    ("clang, lines only", "clang++", "-gline-tables-only"),
]

# What is rarer; benchmarks only.
MORE_CPP = [
    ("gcc, DWARF 2", "g++", "-gdwarf-2 -gstrict-dwarf"),
    ("gcc, DWARF 3", "g++", "-gdwarf-3 -gstrict-dwarf"),
    ("gcc, 64-bit DWARF", "g++", "-gdwarf-5 -gdwarf64"),
    ("gcc, types of their own, DWARF 5", "g++", "-gdwarf-5 -fdebug-types-section"),
    ("gcc, -O0", "g++", "-g -O0"),
    ("gcc, -Og, sections collected", "g++", "-g -Og -ffunction-sections -Wl,--gc-sections"),
    ("gcc, compressed by GNU's old way", "g++", "-g -gz=zlib-gnu"),
    ("gcc, compressed with zstd", "g++", "-g -Wl,--compress-debug-sections=zstd"),
    ("gcc, LTO, DWARF 4, compressed", "g++", "-gdwarf-4 -flto -gz"),
    ("gcc, gold, functions folded", "g++", "-g -ffunction-sections -fuse-ld=gold -Wl,--icf=all"),
    ("clang, DWARF 2", "clang++", "-gdwarf-2"),
    ("clang, DWARF 3", "clang++", "-gdwarf-3"),
    ("clang, 64-bit DWARF", "clang++", "-gdwarf-5 -gdwarf64"),
    ("clang, names short, an index", "clang++", "-gdwarf-5 -gsimple-template-names -gpubnames"),
    ("clang, sources inside", "clang++", "-gdwarf-5 -gembed-source"),
    ("clang, types of their own, compressed", "clang++", "-gdwarf-5 -fdebug-types-section -gz"),
    ("clang, basic blocks in sections", "clang++", "-g -fbasic-block-sections=all -funique-basic-block-section-names"),
]

# Kinds of differences that a way to compile explains.
KNOWN = {
    "-gsplit-dwarf": ("chain", "start-line", "function"),
    "=zstd": ("chain", "file"),
    "--icf=all": ("chain", "file", "function", "line", "start-line"),
    "-gdwarf-2 -gstrict-dwarf": ("chain", "file"),
}


def build_cpp(folder, compiler, flags):
    """The path of the program; None: this compiler cannot do it."""
    for name, text in (("a.cc", UNIT.replace("@", "1")), ("b.cc", UNIT.replace("@", "2")), ("m.cc", MAIN)):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    done = subprocess.run([compiler, "-O2", *flags.split(), "a.cc", "b.cc", "m.cc", "-o", "p"], cwd=folder, capture_output=True)
    return os.path.join(folder, "p") if done.returncode == 0 else None


def build_one(folder, name, text, command):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)
    done = subprocess.run(command, cwd=folder, capture_output=True, env=dict(os.environ, GOCACHE=os.path.join(folder, "gocache"),
                                                                          GOFLAGS="-mod=mod", GO111MODULE="off"))
    return os.path.join(folder, "p") if done.returncode == 0 else None


def build_rust(folder):
    return build_one(folder, "p.rs", RUST, ["rustc", "-O", "-g", "p.rs", "-o", "p"])


def build_go(folder):
    return build_one(folder, "p.go", GO, ["go", "build", "-o", "p", "p.go"])


class Comparison:
    """What compare_symbolizers says of a file."""

    def __init__(self, path, n, seed=1, addresses=None, timeout=600, command=None):
        done = subprocess.run(command or [COMPARE, path, str(0 if addresses else n), str(seed)], capture_output=True, text=True, timeout=timeout,
                              input="".join(f"{address:x}\n" for address in addresses or []))
        if done.returncode:
            raise AssertionError(f"{path}: {done.stderr}")
        lines = done.stdout.split("\n")
        last = next(i for i, line in enumerate(lines) if line.startswith("addresses "))
        words = lines[last].split()
        self.path = path
        self.counts = {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}
        self.speed = lines[last + 1]
        self.notes = [line for line in lines[last + 2:] if line]
        self.differences = [(lines[i].split()[0], lines[i].split()[1], self._frames(lines[i + 1]), self._frames(lines[i + 2]))
                            for i in range(0, last, 3)]

    @staticmethod
    def _frames(line):
        """(name, rest) of each frame, innermost first."""
        return [tuple(frame.split(" ", 1)) for frame in line[10:].split(" < ")]

    def _symbols(self):
        """Names of symbols that do not say how long they are; of data."""
        done = subprocess.run(["nm", self.path], capture_output=True, text=True)
        sized = subprocess.run(["nm", "-S", self.path], capture_output=True, text=True)
        lines = [line.split() for line in done.stdout.split("\n") if line]
        sizeless = {words[-1] for words in lines} - {words[3] for words in map(str.split, sized.stdout.split("\n")) if len(words) == 4}
        return sizeless, {words[-1] for words in lines if words[-2] not in "tTwWi"}

    def unexplained(self, flags=""):
        """Differences that are of no kind that docs/names.md lists; `flags` is how it was compiled."""
        sizeless, data = self._symbols()
        by_flags = {kind for flag, kinds in KNOWN.items() if flag in flags for kind in kinds}
        left = []
        for address, kind, index, library in self.differences:
            is_plt = index[-1][0].endswith("@plt")
            behind_the_end = kind == "nameless" and library[-1][0] in sizeless | data
            twins = kind == "function" and index[-1][0] == library[-1][0]
            if kind != "alias" and kind not in by_flags and not is_plt and not behind_the_end and not twins:
                left.append((address, kind, index, library))
        return left
