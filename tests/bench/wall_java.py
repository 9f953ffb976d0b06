#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a wall-clock profile costs a Java program, beside async-profiler's wall mode: wall_java.py ASPROF [ROUNDS].

ASPROF is the program `asprof` of async-profiler, which has its library in ../lib. The Java program has pairs of threads that hand a number
to and fro, and two threads that work; it says how many times that was. Each row: hand-overs a second and work done while the tool watches, as a share
of the mean of the two bare spells around it, and the process's processor time per hand-over in the same way: median of the rounds, lowest, highest."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness

SPELL_S = 5
PROGRAM = """
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.atomic.LongAdder;

public class Handing {
    static final LongAdder handed = new LongAdder(), worked = new LongAdder();

    static void hand(ArrayBlockingQueue<Integer> from, ArrayBlockingQueue<Integer> to, boolean first) {
        try {
            double x = 1;
            for (int i = 0;; i++) {
                for (int j = 0; j < 4000; j++)
                    x = Math.sqrt(x + j);
                if (first) {
                    to.put(i);
                    from.take();
                } else {
                    to.put(from.take());
                }
                if (x > 0)
                    handed.increment();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    static void work() {
        double x = 1;
        for (;;) {
            for (int i = 0; i < 10000; i++)
                x = Math.sqrt(x + i);
            if (x > 0)
                worked.increment();
        }
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 4; i++) {
            ArrayBlockingQueue<Integer> a = new ArrayBlockingQueue<>(1), b = new ArrayBlockingQueue<>(1);
            new Thread(() -> hand(a, b, true), "hand-" + i).start();
            new Thread(() -> hand(b, a, false), "back-" + i).start();
        }
        new Thread(Handing::work, "work").start();
        System.out.println("ready");
        while (System.in.read() >= 0)
            System.out.println(System.nanoTime() + " " + handed.sum() + " " + worked.sum());
        System.exit(0);
    }
}
"""


def tools(asprof, out):
    """(name, what goes on until it is ended, what ends it; None: a signal)"""
    ours = [harness.ATTACH, "-mode", "wall", "-seconds", "0", "-q", "-f", "-o", out + ".pb.gz"]
    ends = [asprof, "stop", "-o", "collapsed", "-f", out + ".collapsed"]
    return (
        ("nothing (noise)", None, None),
        ("cprof-attach -mode wall", [*ours, "-p"], None),
        ("the same, -wall-method perf", [*ours, "-wall-method", "perf", "-p"], None),
        ("asprof -e wall", [asprof, "start", "-e", "wall"], ends),
        ("asprof -e wall -i 10ms", [asprof, "start", "-e", "wall", "-i", "10ms"], ends),
    )


class Program:
    def __init__(self, folder):
        with open(f"{folder}/Handing.java", "w") as file:
            file.write(PROGRAM)
        subprocess.run(["javac", "-d", folder, f"{folder}/Handing.java"], check=True)
        self.process = subprocess.Popen(["java", "-XX:+PreserveFramePointer", "-cp", folder, "Handing"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def look(self):
        """(ns, hand-overs, work, processor ns)"""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        said = tuple(map(int, self.process.stdout.readline().split()))
        ns = 0
        for tid in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{tid}/schedstat") as file:
                ns += int(file.read().split()[0])
        return *said, ns

    def waits(self):
        """How often its threads have gone to sleep so far."""
        n = 0
        for tid in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{tid}/status") as file:
                n += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))
        return n

    def spell(self):
        """(hand-overs a second, work a second, processor ns a hand-over)"""
        before = self.look()
        time.sleep(SPELL_S)
        ns, handed, worked, cpu = (after - was for after, was in zip(self.look(), before))
        return handed / ns * 1e9, worked / ns * 1e9, cpu / handed


def watched(program, begins, ends):
    if not begins:
        return program.spell()
    pid = str(program.process.pid)
    tool = subprocess.Popen([*begins, pid], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)  # it has begun by then
    if tool.poll():
        raise SystemExit(f"{' '.join(begins)} ended with {tool.returncode}")
    got = program.spell()
    if ends:
        subprocess.run([*ends, pid], stdout=subprocess.DEVNULL, check=True)
    else:
        tool.terminate()
    tool.wait()
    time.sleep(1)
    return got


def main():
    if len(sys.argv) < 2 or not shutil.which("javac"):
        raise SystemExit(__doc__ if len(sys.argv) < 2 else "javac is not installed")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="cprof-bench-") as folder:
        program = Program(folder)
        time.sleep(5)  # the compilers have done their work
        table = tools(os.path.abspath(sys.argv[1]), f"{folder}/out")
        ratios = {name: [] for name, _, _ in table}
        waits, bare = program.waits(), program.spell()
        print(f"bare: {bare[0]:,.0f} hand-overs and {(program.waits() - waits) / SPELL_S:,.0f} waits a second", flush=True)
        for _ in range(rounds):
            for name, begins, ends in table:
                got = watched(program, begins, ends)
                after = program.spell()
                ratios[name].append([mine / ((one + other) / 2) for mine, one, other in zip(got, bare, after)])
                bare = after
        program.process.kill()
    print(f"\n{'tool':32}{'hand-overs':>11}{'lowest':>8}{'highest':>9}{'work':>7}{'cpu each':>10}")
    for name, rows in ratios.items():
        handed, worked, cpu = zip(*rows)
        print(f"{name:32}{statistics.median(handed):11.2f}{min(handed):8.2f}{max(handed):9.2f}{statistics.median(worked):7.2f}{statistics.median(cpu):10.2f}")


main()
