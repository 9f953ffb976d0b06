# SPDX-License-Identifier: Apache-2.0
"""Java as HotSpot runs it by default, without frame pointers, agents or maps: whole stacks, and methods' names."""

import concurrent.futures
import glob
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Profile, Target, TempDir, attach_while_it_works, main, need, run  # noqa: E402

# What is called cannot be told from outside; so it calls itself in a known order, and waits for the end of its input.
CHAIN = """
public class Chain {
    static volatile long sink;
    static String one = "a text to be compared with another one", two = "a text to be compared with another one!";
    static long leaf(int n) { long s = n; for (int i = 0; i < 200; i++) s = s * 31 + (s >>> 7) + one.compareTo(two); return s; }
    static long third(int n) { return leaf(n) + 3; }
    static long second(int n) { return third(n + 1) * 5; }
    static long first(int n) { return second(n) ^ n; }
    interface Step { long go(int n); }
    static long round(Step step, int n) { return step.go(n) + 1; }
    public static void main(String[] args) throws Exception {
        Step step = Chain::first;
        for (int i = 0; i < Integer.parseInt(args[0]); i++) sink += round(step, i);
        Thread worker = new Thread(() -> { for (int i = 0; ; i++) sink += round(step, i); }, "worker");
        worker.setDaemon(true);
        worker.start();
        System.out.println("ready");
        while (System.in.read() >= 0) { }
    }
}
"""
VIRTUAL = """
public class Virtual {
    static volatile long sink;
    static long spin(int k) { long s = k; for (int i = 0; i < 200000; i++) s = s * 31 + (s >>> 7); return s; }
    static void deep(int d) throws Exception {
        if (d > 0) deep(d - 1); else { sink += spin(3); Thread.sleep(1); }
        sink += spin(d);
    }
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 8; i++) Thread.startVirtualThread(() -> { try { while (true) deep(10); } catch (Exception e) { } });
        System.out.println("ready");
        while (System.in.read() >= 0) { }
    }
}
"""
WANT = ["Chain.leaf", "Chain.third", "Chain.second", "Chain.first"]
# The compilers, each made to compile at once and not to inline; and none.
WAYS = {
    "C2": ["-Xbatch", "-XX:-TieredCompilation", "20000"],
    "C1": ["-Xbatch", "-XX:TieredStopAtLevel=1", "20000"],
    "interpreter": ["-Xint", "1"],
}
TICKS = 40  # of the program's processor time in a recording: some 80 samples


class Java(TempDir):
    def machines(self):
        """Every JDK here, once: the one of the path, and those where Debian puts them."""
        paths = [need("java"), *sorted(glob.glob("/usr/lib/jvm/*/bin/java"))]
        return list(dict.fromkeys(os.path.realpath(path) for path in paths))

    def build(self):
        with open(self.path("Chain.java"), "w", encoding="utf-8") as file:
            file.write(CHAIN)
        done = run([need("javac"), "--release", "11", "-d", self.dir, self.path("Chain.java")])
        self.assertEqual(done.returncode, 0, done.stderr)

    def look(self, java, way, number):
        """What is wrong with one way to run Java code on one machine, in words."""
        *flags, rounds = WAYS[way]
        out = self.path(f"{number}-{way}.pb.gz")
        target = Target([java, *flags, "-XX:CompileCommand=quiet", "-XX:CompileCommand=dontinline,Chain::*", "-Xmx64m", "-cp", self.dir,
                         "Chain", rounds])
        try:
            result = attach_while_it_works(target.pid, TICKS, "-hz", "200", "-user-only", "-no-cache", "-f", "-o", out)
            if result.returncode != 0:
                return result.stderr
            stacks = [stack for stack, values, labels in Profile.read(out).samples for _ in range(values[0]) if "Chain.leaf" in stack]
        finally:
            target.close(sig=0)  # at the end of its input it still ends as it should
        right = [stack for stack in stacks if stack[stack.index("Chain.leaf"):][:4] == WANT and "Chain.round" in stack and
                 "java.lang.Thread.run" in stack and stack[-1] != "[truncated]"]
        if stacks and len(right) >= 0.9 * len(stacks):
            return ""
        return f"{java}, {way}: {len(right)} of {len(stacks)} stacks are right; {[s for s in stacks if s not in right][:2]}"

    def test_stacks_are_whole_and_named_without_frame_pointers(self):
        machines = self.machines()
        self.build()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            found = [pool.submit(self.look, java, way, number) for number, java in enumerate(machines) for way in WAYS]
            wrong = [future.result() for future in found]
        self.assertFalse("\n".join(filter(None, wrong)))

    def test_a_resumed_virtual_thread_has_a_whole_stack_that_tells_what_is_missing(self):
        machines = [java for java in self.machines() if os.path.exists(java + "c") and
                    run([java + "c", "--release", "21", "-version"]).returncode == 0]
        if not machines:
            self.skipTest("no JDK of 21 or later is installed")
        with open(self.path("Virtual.java"), "w", encoding="utf-8") as file:
            file.write(VIRTUAL)
        self.assertEqual(run([machines[0] + "c", "--release", "21", "-d", self.dir, self.path("Virtual.java")]).returncode, 0)
        for java in machines:
            out = self.path("virtual.pb.gz")
            target = Target([java, "-Xmx64m", "-cp", self.dir, "Virtual"])
            result = attach_while_it_works(target.pid, TICKS, "-hz", "200", "-user-only", "-no-cache", "-f", "-o", out)
            target.close(sig=0)
            self.assertEqual(result.returncode, 0, result.stderr)
            stacks = [stack for stack, values, labels in Profile.read(out).samples for _ in range(values[0]) if "Virtual.spin" in stack]
            carried = [stack for stack in stacks if "java.lang.VirtualThread.runContinuation" in stack]
            self.assertGreater(len(carried), 0.9 * len(stacks), stacks[:3])
            # Asleep and awake again, it has its innermost frames on the stack; the others are where it was suspended.
            self.assertTrue([stack for stack in carried if "[frames on the heap]" in stack])


@unittest.skipUnless(shutil.which("node"), "node is not installed")
class Hints(TempDir):
    SPIN = "function hot(n) { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) % 1000003; return s; }" \
           "console.log('ready'); process.stdin.on('end', () => process.exit(0)).resume();" \
           "(function round() { hot(1e6); setImmediate(round); })();"

    def test_code_without_a_map_is_one_row_and_the_command_for_names_is_told(self):
        out = self.path("node.pb.gz")
        target = Target(["node", "-e", self.SPIN])
        result = attach_while_it_works(target.pid, TICKS, "-user-only", "-f", "-o", out)
        target.close(sig=0)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count("node --perf-basic-prof"), 1, result.stderr)
        profile = Profile.read(out)
        leaves = {stack[0] for stack, values, labels in profile.samples if stack[0].startswith("[")}
        self.assertEqual(leaves, {"[JIT]"})
        self.assertEqual(sum("--perf-basic-prof" in comment for comment in profile.comments), 1)


if __name__ == "__main__":
    main()
