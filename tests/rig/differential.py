#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cprof against the newest `pprof`, much wider than the tests do it: every report and option, on profiles in the shapes of many producers
(tests/e2e/profile_shapes.py), on those that a Go program writes of itself, and on recorded ones.

    tests/rig/differential.py [--pprof FILE] [--sets 60] [--seed 1] [--jobs 2] [--only PART] [--show 3]

Without --pprof the version below is built (needs Go and its module proxy). Each file is reported with `sets` sets of options that are drawn
with the seed. What pprof writes as a file (-proto, -topproto) is compared by pprof's own -raw of both. Exit status 1 where a pair differs and is of
none of the classes that docs/viewer.md lists; they are counted by class.
"""
import argparse
import collections
import concurrent.futures
import glob
import gzip
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import profile_shapes  # noqa: E402

VERSION = "v0.0.0-20261105003125-4bf881d7fb0b"
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
GOLDEN = os.path.join(os.path.dirname(ROOT), "shared", "pprof-golden")
REPORTS = ["-top", "-text", "-tree", "-peek=.", "-peek=main|Main", "-traces", "-raw", "-tags", "-dot", "-callgrind", "-comments", "-list=main",
           "-proto", "-topproto", "-top", "-tree", "-dot", "-traces", "-raw", "-tags"]
CHOICES = [
    ["-functions", "-filefunctions", "-files", "-lines", "-addresses", "-files -lines"],
    ["-noinlines", "-showcolumns", "-all_frames", "-noinlines=false"],
    ["-cum", "-flat", "-cum -flat"],
    ["-nodecount=3", "-nodecount=10", "-nodecount=1", "-nodecount=0", "-nodecount=-1", "-nodecount=100000"],
    ["-nodefraction=0.1", "-nodefraction=0", "-nodefraction=0.5", "-nodefraction=2"],
    ["-edgefraction=0.05", "-edgefraction=0", "-edgefraction=1"],
    ["-trim=false", "-trim=0", "-trim"],
    ["-call_tree"],
    ["-compact_labels"],
    ["-relative_percentages"],
    ["-unit=auto", "-unit=ms", "-unit=kb", "-unit=bytes", "-unit=seconds", "-unit=minimum", "-unit=hrs", "-unit=GCU", "-unit=us", "-unit=MiB",
     "-unit=count", "-unit=h", "-unit=pb"],
    ["-sample_index=0", "-sample_index=1", "-sample_index=2", "-sample_index=cpu", "-sample_index=inuse_space", "-sample_index=samples",
     "-sample_index=nothing", "-inuse_space", "-total_delay", "-mean_delay", "-sample_index=0 -mean", "-sample_index=1 -mean"],
    ["-mean", "-divide_by=3", "-divide_by=0.5", "-divide_by=-1", "-divide_by=1e6"],
    ["-focus=main", "-focus=line[12]|alloc", "-focus=(?i)RUNTIME", "-focus=file1", "-focus=nothing-at-all", "-focus=^$"],
    ["-ignore=malg|line3", "-ignore=runtime\\.", "-ignore=file2", "-ignore=."],
    ["-hide=runtime|line2", "-hide=^main$", "-hide=file3", "-hide=."],
    ["-show=main|line|dict", "-show=file1|main", "-show=nothing-at-all"],
    ["-show_from=main|line2|processCommand", "-show_from=nothing-at-all"],
    ["-prune_from=main|line1", "-prune_from=."],
    ["-tagfocus=1kb:", "-tagfocus=:1kb", "-tagfocus=16b", "-tagfocus=tag[12]", "-tagfocus=bytes=100kb:1mb", "-tagfocus=thread=worker", "-tagfocus=io",
     "-tagfocus=tid=2:3", "-tagfocus=main,io", "-tagfocus=thread=main,tid=1", "-tagfocus=nothing=1", "-tagfocus=-5b:"],
    ["-tagignore=tag3,key", "-tagignore=thread=io", "-tagignore=1kb:4kb", "-tagignore=tid=1"],
    ["-tagshow=bytes", "-tagshow=thread", "-tagshow=t"],
    ["-taghide=key", "-taghide=tid", "-taghide=."],
    ["-tagroot=bytes", "-tagroot=thread", "-tagroot=key1,thread,tid", "-tagroot=nothing"],
    ["-tagleaf=key1,key2", "-tagleaf=tid", "-tagleaf=bytes,thread"],
    ["-drop_negative"],
    ["-trim_path=/src:/usr", "-trim_path=/src/app", "-trim_path=relative"],
    ["-add_comment=said", "-add_comment=a -add_comment=b"],
    ["-buildid=0123abcd"],
    ["-intel_syntax"],
]
BASES = ["-base", "-diff_base", "-base -normalize", "-diff_base -normalize"]
GO_PROGRAM = """package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

var sink [][]byte

func recurse(n int) int {
	if n == 0 {
		return 1
	}
	return recurse(n-1) + recurse(n-1)%3
}

func write(dir, name string) {
	f, _ := os.Create(dir + "/go_" + name + ".pb.gz")
	pprof.Lookup(name).WriteTo(f, 0)
	f.Close()
	f, _ = os.Create(dir + "/go_" + name + ".text")
	pprof.Lookup(name).WriteTo(f, 1)
	f.Close()
}

func main() {
	dir := os.Args[1]
	runtime.MemProfileRate = 4096
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	f, _ := os.Create(dir + "/go_cpu.pb.gz")
	pprof.StartCPUProfile(f)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go pprof.Do(context.Background(), pprof.Labels("worker", string(rune('a'+i)), "kind", "busy"), func(context.Context) {
			defer wg.Done()
			for j := 0; j < 40; j++ {
				mu.Lock()
				recurse(14)
				mu.Unlock()
				sink = append(sink, make([]byte, 1024*(1+j%7)))
			}
		})
	}
	wg.Wait()
	go func() { select {} }()
	time.Sleep(time.Millisecond)
	pprof.StopCPUProfile()
	f.Close()
	for _, name := range []string{"heap", "allocs", "block", "mutex", "goroutine", "threadcreate"} {
		write(dir, name)
	}
}
"""


def build_pprof(folder):
    env = dict(os.environ, GOBIN=folder, GOFLAGS="-mod=mod")
    subprocess.run(["go", "install", f"github.com/google/pprof@{VERSION}"], check=True, env=env, cwd=folder)
    return os.path.join(folder, "pprof")


def go_profiles(folder):
    """Those that Go's runtime writes of a program, as protobuf and as text."""
    if not shutil.which("go"):
        print("no Go here: its own profiles are left out")
        return
    source = os.path.join(folder, "program")
    os.mkdir(source)
    with open(os.path.join(source, "main.go"), "w", encoding="ascii") as out:
        out.write(GO_PROGRAM)
    subprocess.run(["go", "run", "main.go", folder], cwd=source, check=True, env=dict(os.environ, GO111MODULE="off"))
    shutil.rmtree(source)


def gather(folder):
    for name, data in profile_shapes.all_shapes(more=True):
        with open(os.path.join(folder, name + ".pb.gz"), "wb") as out:
            out.write(data)
    go_profiles(folder)
    if os.path.isdir(GOLDEN):
        for path in glob.glob(os.path.join(GOLDEN, "inputs", "*.pb.gz")) + glob.glob(os.path.join(GOLDEN, "profile_testdata", "*")):
            if os.path.isfile(path) and not path.endswith((".string", ".golden", ".md")):
                shutil.copyfile(path, os.path.join(folder, "golden_" + os.path.basename(path)))
    return sorted(name for name in os.listdir(folder))


def draw(rng, files, name):
    arguments = [rng.choice(REPORTS)]
    density = rng.choice([0.04, 0.1, 0.2])
    for choices in CHOICES:
        if rng.random() < density:
            arguments += rng.choice(choices).split()
    if rng.random() < 0.12:
        first, *more = rng.choice(BASES).split()
        arguments += [f"{first}={name}", *more] if rng.random() < 0.6 else [f"{first}={rng.choice(files)}", *more]
    elif rng.random() < 0.06:
        arguments.append(rng.choice([name, rng.choice(files)]))
    return arguments + [name]


def renumbered(text):
    """What -raw prints, with the numbers that locations and mappings would have without gaps: those that cprof writes."""
    head, _, rest = text.partition(b"\nLocations\n")
    locations, _, mappings = rest.partition(b"\nMappings\n")
    number = {}
    for numbers, part in (("location", locations), ("mapping", mappings)):
        found = re.findall(rb"(?m)^ *(\d+): 0x", part)
        number[numbers] = {old: b"%d" % new for new, old in enumerate(found, 1)}

    def stack(match):
        return match[1] + b" ".join(number["location"].get(word, word) for word in match[2].split())
    head = re.sub(rb"(?m)^( *-?\d[- \d]*: )([\d ]*)$", stack, head)
    locations = re.sub(rb"(?m)^ *(\d+): 0x", lambda m: number["location"][m[1]] + b": 0x", locations)
    locations = re.sub(rb" M=(\d+) ", lambda m: b" M=" + number["mapping"].get(m[1], m[1]) + b" ", locations)
    mappings = re.sub(rb"(?m)^ *(\d+): 0x", lambda m: number["mapping"][m[1]] + b": 0x", mappings)
    return b"\n".join((head, locations, mappings))


class Compare:
    def __init__(self, pprof, folder):
        self.pprof, self.folder = [pprof, "-symbolize=none"], folder
        self.cprof = [os.path.join(BUILD, "cprof"), "-symbolize=none"]
        self.env = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nonexist", HOME="/nonexist", PPROF_TMPDIR="/nonexist")

    def run(self, command, arguments):
        extra = [f"-source_path={self.folder}:/"] if any(a.startswith("-list") for a in arguments) else []
        out = None
        if any(a in ("-proto", "-topproto") for a in arguments):
            out = tempfile.NamedTemporaryFile(dir=tempfile.gettempdir(), suffix=".pb.gz")
            extra.append(f"-output={out.name}")
        done = subprocess.run(command + extra + arguments, cwd=self.folder, env=self.env, timeout=300, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        text = done.stdout
        if out:
            with out:
                if done.returncode == 0:
                    text = renumbered(subprocess.run(self.pprof + ["-raw", out.name], env=self.env, check=False, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).stdout)
        return done.returncode == 0, text, done.stderr

    def __call__(self, arguments):
        return arguments, self.run(self.cprof, arguments), self.run(self.pprof, arguments)


def without_callees(text):
    return re.sub(rb"(?m)^(c?fn=).*\n", b"", text)


def without_colours(text):
    return re.sub(rb' (?:fill)?color="#[0-9a-f]{6}"', b"", text)


def classify(compare, arguments, ours, theirs):
    """The class that the pair is of; None where it is of none."""
    if ours[0] != theirs[0]:
        return None
    if not ours[0] or ours[1] == theirs[1]:
        return "same" if ours[0] else "both refuse"
    if b" of 0 total" in theirs[1] and without_colours(ours[1]) == without_colours(theirs[1]):
        return "colours where the total is 0"
    if "-callgrind" in arguments and "-drop_negative" in arguments and without_callees(ours[1]) == without_callees(theirs[1]):
        return "callees that -drop_negative drops have no name in pprof"
    if len({compare.run(compare.pprof, arguments)[1] for _ in range(6)}) > 1:
        return "pprof's own order is chance"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pprof")
    parser.add_argument("--sets", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--show", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as tools:
        compare = Compare(options.pprof or build_pprof(tools), folder)
        files = gather(folder)
        rng = random.Random(options.seed)
        pairs = [draw(rng, files, name) for name in files for _ in range(options.sets)]
        pairs = [pair for pair in pairs if options.only in pair[-1]]
        classes, different = collections.Counter(), []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for arguments, ours, theirs in pool.map(compare, pairs):
                found = classify(compare, arguments, ours, theirs)
                classes[found or "DIFFERENT"] += 1
                if found:
                    continue
                different.append(" ".join(arguments))
                print(f"different: {different[-1]}", flush=True)
                if len(different) <= options.show:
                    for who, done in (("cprof", ours), ("pprof", theirs)):
                        print(f"--- {who} {done[0]}\n{done[1].decode(errors='replace')[:1500]}{done[2].decode(errors='replace')[:300]}")
    print(f"{len(files)} files, {len(pairs)} pairs: " + ", ".join(f"{n} {what}" for what, n in classes.most_common()))
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
