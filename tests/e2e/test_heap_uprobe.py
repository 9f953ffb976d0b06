#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap by uprobes: the same counts, nothing injected, nobody stopped, and nothing left but what the kernel keeps."""

import ctypes
import os
import random
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from heap_harness import Code, Truth, Watching, executable_bytes, shim_pages, sums, tracer, turns, unwatched_bytes

KILLS = int(os.environ.get("CPROF_HEAP_KILLS", "10"))
WAYS = ("uprobe", "uprobe-perf")  # the second puts in and takes out a place at a time: seconds where the machine is busy


@unittest.skipIf(os.geteuid(), "uprobes need root")
class Counting(unittest.TestCase):
    def check_exact(self, target_name, method, *said, before_that=None):
        with Truth(target_name) as target:
            if before_that:
                target.tell(before_that)
            before = executable_bytes(target.pid)
            recording = Watching(target.pid, method, "-rate", 1)
            truth = target.tell("every")
            profile = recording.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            self.assertIn(" 0 lost", recording.stderr)
            self.assertGreater(len(truth), 6)
            for name, want in truth.items():
                with self.subTest(method=method, function=name):
                    self.assertEqual(sums(profile, name), want)
            for words in said:
                self.assertIn(words, recording.stderr)
            self.assertRegex("\n".join(profile.comments), "watched by uprobes")
            target.tell("drop")
            self.close(target)

    def close(self, target):
        target.process.stdin.write("quit\n")
        target.process.stdin.flush()
        self.assertEqual(target.process.wait(timeout=60), 0)

    def test_rate_1_is_exact_to_the_byte_with_glibc(self):
        for way in WAYS:
            self.check_exact("heap_truth", way, "no thread was stopped, nothing was injected")

    def test_rate_1_is_exact_to_the_byte_in_a_static_program(self):
        self.check_exact("heap_truth_static", "uprobe")

    def test_rate_1_is_exact_to_the_byte_with_musl(self):
        if not os.path.exists(harness.target_path("heap_truth_musl")):
            raise unittest.SkipTest("musl-tools is not installed: heap_truth_musl was not built")
        self.check_exact("heap_truth_musl", "uprobe")

    def test_rate_1_is_exact_under_a_seccomp_filter(self):
        for name in ("heap_truth", "heap_truth_static", "heap_truth_stubborn"):
            self.check_exact(name, "uprobe", before_that="filter")

    def test_what_throws_is_seen_by_its_return_instructions(self):
        jemalloc = harness.need_library("libjemalloc.so.2")
        for way in WAYS[:1]:
            with harness.Target(["heap_new"], env=dict(os.environ, LD_PRELOAD=jemalloc)) as target:
                recording = Watching(target.pid, way, "-rate", 65536)
                harness.let_it_work(target.pid, 25)
                profile = recording.stop()
                self.assertRegex(recording.stderr, r"watched by a uprobe \(single-stepped\): _Znwm")
                self.assertIn(" 0 lost", recording.stderr)
                by_new, by_malloc = sums(profile, "by_new"), sums(profile, "by_malloc")
                self.assertGreater(by_malloc[1], 1 << 20)
                self.assertLess(abs(by_new[1] / by_malloc[1] - 1), 0.7)
                self.assertLess(by_new[3], 1 << 18)

    def test_what_cannot_be_patched_is_watched_by_uprobes(self):
        self.check_exact("heap_truth_stubborn", "auto", "because malloc cannot be patched",
                         "it is shorter than a jump")

    def check_told(self, argv, command, *args, env=None):
        with Truth(argv, env=env) as target:
            for way in WAYS[:1]:
                recording = Watching(target.pid, way, "-rate", 1, *args)
                truth = target.tell(command)
                profile = recording.stop()
                self.assertNotIn("not hooked", recording.stderr)
                self.assertIn(" 0 lost", recording.stderr)
                self.assertGreater(len(truth), 6)
                for name, want in truth.items():
                    with self.subTest(allocator=(env or {}).get("LD_PRELOAD"), method=way, function=name):
                        self.assertEqual(sums(profile, name), want)
            target.quit()

    def test_every_function_of_every_allocator(self):
        # Not tcmalloc's: where its operator new returns cannot be told, for it ends by jumps into other objects.
        self.check_told("heap_families", "families")
        for name in ("libjemalloc.so.2", "libmimalloc.so.2.0"):
            with self.subTest(name=name):
                library = harness.need_library(name)
                self.check_told("heap_families", "families", env=dict(os.environ, LD_PRELOAD=library))

    def test_allocators_of_a_programs_own(self):
        specs = ["alloc=pool_take,size=arg2,free=pool_give,ptr=arg2", "alloc=slab_get,size=48,free=slab_put",
                 "alloc=grid_take,size=arg2:32*arg3:32", "alloc=items_take,size=arg1*24",
                 "alloc=hand_on@heap_pools,size=arg1",
                 "alloc=house::arena::take,size=arg2,free=house::arena::give(void*),ptr=arg2",
                 "alloc=pool_move,size=arg3,old=arg2"]
        with Truth("heap_pools") as target:
            region = target.said[1].split()[1]
            for way in WAYS[:1]:
                recording = Watching(target.pid, way, "-rate", 1, *[word for spec in [*specs, f"alloc={region},size=arg2,free=none"]
                                                                    for word in ("-heap-hook", spec)])
                truth = target.tell("pools")
                profile = recording.stop()
                self.assertEqual(len(truth), 9)
                for name, want in truth.items():
                    with self.subTest(method=way, user=name):
                        self.assertEqual(sums(profile, name), want)
            target.quit()

    def test_inline_leaves_out_what_cannot_be_patched_by_name(self):
        with Truth("heap_truth_stubborn") as target:
            recording = Watching(target.pid, "inline", "-rate", 1)
            truth = target.tell("every")
            profile = recording.stop()
            self.assertRegex(recording.stderr, "not hooked: malloc in .*: it is shorter than a jump")
            self.assertRegex("\n".join(profile.comments), "not hooked: malloc in ")
            self.assertEqual(sums(profile, "way_malloc"), (0, 0, 0, 0))
            self.assertEqual(sums(profile, "way_valloc"), truth["way_valloc"])
            self.close(target)

    def test_jumps_in_one_object_and_uprobes_in_another(self):
        with Truth("heap_truth_stubborn") as target:
            recording = Watching(target.pid, "auto", "-rate", 1)
            target.tell("load")
            code = lambda: {k: v for k, v in executable_bytes(target.pid).items() if "heap_pool" in k[1]}
            before = unwatched_bytes(target.pid, "heap_pool")  # it may be hooked already
            self.assertTrue(before)
            deadline = time.monotonic() + 60
            while code() == before:  # cprof-attach looks once a second
                self.assertLess(time.monotonic(), deadline, "it was not hooked")
                time.sleep(0.01)
            while tracer(target.pid):
                time.sleep(0.001)
            truth = target.tell("pool") | target.tell("every")
            profile = recording.stop()
            self.assertRegex(recording.stderr, r"[1-9]\d* entry points hooked")
            for name, want in truth.items():
                with self.subTest(function=name):
                    self.assertEqual(sums(profile, name), want)
            self.assertEqual(code(), before)
            self.close(target)

    def test_an_allocator_that_is_loaded_later_is_watched_too(self):
        with Truth("heap_truth") as target:
            recording = Watching(target.pid, "uprobe", "-rate", 1)
            target.tell("load")
            code = lambda: {k: v for k, v in executable_bytes(target.pid).items() if "heap_pool" in k[1]}
            before, deadline = unwatched_bytes(target.pid, "heap_pool"), time.monotonic() + 60  # it may be watched already
            self.assertEqual(before.keys(), code().keys())
            while sum(a != b for a, b in zip(b"".join(before.values()), b"".join(code().values()))) < 2:
                self.assertLess(time.monotonic(), deadline, "it was not watched")
                time.sleep(0.01)
            while not harness.in_system_call(recording.process.pid, harness.POLLS):
                time.sleep(0.001)
            truth = target.tell("pool")
            profile = recording.stop()
            self.assertEqual(sums(profile, "way_pool"), truth["way_pool"])
            self.assertEqual(code(), before)
            self.close(target)

    def test_a_sampled_profile_is_within_its_error(self):
        for way in WAYS[:1]:
            with Truth("heap_truth") as target:
                recording = Watching(target.pid, way, "-rate", 1 << 20)
                truth = target.tell("mixed 60000 7")
                profile = recording.stop()
                self.assertIn(" 0 lost", recording.stderr)
                want = sum(t[1] for t in truth.values())
                live = sum(t[3] for t in truth.values())
                # 1 / sqrt(samples), five times over
                self.assertLess(abs(profile.total(1) / want - 1), 5 / (want / (1 << 20)) ** 0.5)
                self.assertLess(abs(profile.total(3) / live - 1), 5 / (live / (1 << 20)) ** 0.5)
                self.close(target)

    def test_a_forked_child_runs_on_and_can_free_what_was_sampled(self):
        for way in WAYS:
            with Truth("heap_truth") as target:
                recording = Watching(target.pid, way, "-rate", 4096)
                target.tell("mixed 5000 3")
                _, said = target.tell("fork")
                self.assertEqual(said, ["child 0"])
                profile = recording.stop()
                self.assertEqual([stack for stack, _, _ in profile.samples if "fork_child" in stack], [])
                self.close(target)


@unittest.skipIf(os.geteuid(), "uprobes need root")
class Guest(unittest.TestCase):
    def churn(self, *argv):
        target = harness.Target(list(argv) or ["heap_churn", "2"])
        self.addCleanup(target.close, check=False)  # a test that fails leaves nobody behind
        return target

    def end(self, target):
        self.assertRegex(target.close(), r"rounds \d+ bad 0")

    def attach(self, pid, *args, seconds="0.3"):
        return harness.attach("-p", pid, "-mode", "heap", "-heap-method", "uprobe", "-seconds", seconds, "-o", os.devnull,
                              "-f", *args)

    def leave_breakpoint(self, target):
        """On a function that nobody calls. What the kernel leaves when a tracer is killed while it closes its uprobes looks
        the same, but that cannot be had at will."""
        function = ctypes.cast(ctypes.CDLL(None).pvalloc, ctypes.c_void_p).value

        def libc(pid):
            with open(f"/proc/{pid}/maps") as maps:
                return next(int(line.split("-")[0], 16) for line in maps if "libc.so" in line and " r-xp " in line)

        with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as mem:
            mem.seek(libc(target.pid) + function - libc("self"))
            mem.write(b"\xcc")

    def test_breakpoints_that_nobody_holds_any_more_are_taken_out(self):
        target = self.churn()
        before = executable_bytes(target.pid)
        self.leave_breakpoint(target)
        self.assertNotEqual(executable_bytes(target.pid), before)
        result = harness.attach("-repair", target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("took out 1 breakpoint that nobody held", result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("nothing of a heap profile is left", harness.attach("-repair", target.pid).stderr)

        self.leave_breakpoint(target)
        self.assertNotEqual(executable_bytes(target.pid), before)
        result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.2", "-v", "-o", os.devnull, "-f")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("took out 1 breakpoint first", result.stderr)
        self.assertNotIn("watched by uprobes", result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.end(target)

    def test_breakpoints_that_somebody_holds_stay(self):
        target = self.churn()
        before = executable_bytes(target.pid)
        for way in WAYS:
            recording = Watching(target.pid, way)
            during = executable_bytes(target.pid)
            self.assertNotEqual(during, before)
            result = harness.attach("-repair", target.pid)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr, r"\d+ breakpoints of another tool left alone, in /.*libc")
            self.assertEqual(executable_bytes(target.pid), during)
            recording.stop()
            self.assertEqual(executable_bytes(target.pid), before)
        self.end(target)

    def test_a_killed_profiler_leaves_nothing_that_repair_does_not_find(self):
        random.seed(21)
        target = self.churn()
        before = executable_bytes(target.pid)
        for kill in range(KILLS):
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-method",
                                        WAYS[kill % 2], "-seconds", "0.1", "-o", "/dev/null", "-f", "-q"],
                                       stderr=subprocess.DEVNULL)
            time.sleep(random.random() * 0.4)
            process.kill()
            process.wait()
            self.assertTrue(target.alive(), "the target died with its profiler")
        # Whoever puts breakpoints in or takes them out for it ends by itself.
        deadline = time.monotonic() + 60
        while executable_bytes(target.pid) != before:
            self.assertLess(time.monotonic(), deadline, "a breakpoint was left")
            time.sleep(0.05)
        result = harness.attach("-repair", target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertEqual(shim_pages(target.pid), [])
        self.end(target)

    def test_nothing_is_left_after_many_cycles(self):
        target = self.churn()
        before, footprint = executable_bytes(target.pid), harness.Footprint(target.pid)
        for _ in range(6):
            result = self.attach(target.pid, seconds="0.05")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        footprint.check_unchanged(self)
        self.end(target)

    def test_a_traced_target_can_be_watched(self):
        harness.need("strace")
        target = self.churn()
        strace = subprocess.Popen(["strace", "-f", "-e", "trace=none", "-p", str(target.pid)],
                                  stderr=subprocess.DEVNULL)
        while tracer(target.pid) == 0:
            time.sleep(0.01)
        inline = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "1", "-o", "-")
        self.assertEqual(inline.returncode, 4)
        self.assertIn("-heap-method uprobe", inline.stderr)
        result = self.attach(target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"in [1-9]\d* sampled calls")
        strace.terminate()
        strace.wait()
        self.end(target)

    def test_a_target_under_a_seccomp_filter_that_kills_can_be_watched(self):
        target = harness.Target(["heap_seccomp", "kill"])
        inline = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.2", "-o", os.devnull, "-f")
        self.assertEqual(inline.returncode, 1)
        self.assertIn("-heap-method uprobe", inline.stderr)
        for rate in (4096, 1):
            result = self.attach(target.pid, "-rate", rate)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("all well", target.close())

    def test_threads_forks_exceptions_signals_and_coroutines_go_on(self):
        self.check_guest()

    def test_threads_forks_exceptions_signals_and_coroutines_go_on_with_jemalloc(self):
        self.check_guest(LD_PRELOAD=harness.need_library("libjemalloc.so.2"))

    def check_guest(self, **env):
        target = harness.Target(["heap_guest"], env=dict(os.environ, **env))
        before = executable_bytes(target.pid)
        for way in WAYS:
            for rate in (524288, 1):
                result = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", way, "-rate", rate,
                                        "-seconds", "0.3", "-o", os.devnull, "-f")
                self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("all well", target.close())

    def test_an_exec_ends_the_run(self):
        for way in WAYS:
            target = subprocess.Popen(["sh", "-c", "read line; exec python3 -c 'import time; time.sleep(600)'"],
                                      stdin=subprocess.PIPE)
            self.addCleanup(target.kill)
            while not harness.in_system_call(target.pid, harness.READ):
                time.sleep(0.001)  # its libraries are there when it reads
            recording = Watching(target.pid, way, "-rate", 1)
            target.stdin.write(b"go\n")
            target.stdin.flush()
            _, stderr = recording.process.communicate(timeout=60)
            self.assertEqual(recording.process.returncode, 0, stderr)
            self.assertIn("ran another program", stderr)
            target.kill()
            target.wait()
            target.stdin.close()

    def test_a_target_that_dies_ends_the_run(self):
        target = self.churn()
        recording = Watching(target.pid, "uprobe")
        target.process.kill()
        target.process.wait()
        _, stderr = recording.process.communicate(timeout=60)
        self.assertEqual(recording.process.returncode, 0, stderr)

    def test_who_may_not_is_told_what_it_takes(self):
        harness.need("setpriv")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        with harness.Target(["heap_churn", "1"]) as mine, tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            with subprocess.Popen([*nobody, harness.target_path("heap_churn"), "1"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True) as target:
                harness.await_line(target.stdout, "ready")
                result = harness.run([*nobody, harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-method",
                                      "uprobe", "-seconds", "0.1", "-o", f"{folder}/h.pb.gz"])
                target.kill()
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn("CAP_BPF and CAP_PERFMON", result.stderr)
            self.assertTrue(mine.alive())

    def test_auto_without_permission_says_what_is_missing(self):
        harness.need("setpriv")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        target = subprocess.Popen([*nobody, harness.target_path("heap_truth_stubborn")], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        harness.await_line(target.stdout, "ready")
        result = harness.run([*nobody, harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-seconds", "0.1", "-f",
                              "-o", "/dev/null"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, "not hooked: malloc in .*: it is shorter than a jump")
        self.assertRegex(result.stderr, "not watched by uprobes either: .*CAP_BPF and CAP_PERFMON")
        target.communicate("quit\n")

    def test_other_processes_keep_their_code(self):
        """They map the same C library; the breakpoints are in the target's copy of it only."""
        with harness.Target(["heap_churn", "1"]) as other, harness.Target(["heap_churn", "1"]) as target:
            before = executable_bytes(other.pid), executable_bytes(target.pid)
            for way in WAYS:
                recording = Watching(target.pid, way)
                self.assertEqual(executable_bytes(other.pid), before[0])
                self.assertNotEqual(executable_bytes(target.pid), before[1])
                recording.stop()
            self.assertEqual((executable_bytes(other.pid), executable_bytes(target.pid)), before)

    def end_first_thread(self, target):
        os.kill(target.pid, signal.SIGALRM)
        while target.state() != "Z":
            time.sleep(0.01)

    def test_a_process_whose_first_thread_has_ended(self):
        target = self.churn("heap_churn", "1", "orphan")
        self.end_first_thread(target)
        result = self.attach(target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"in [1-9]\d* sampled calls")
        target.process.kill()

    def test_the_first_thread_may_end_meanwhile(self):
        for way in WAYS:
            target = self.churn("heap_churn", "1", "orphan")
            self.addCleanup(target.process.kill)  # the thread that signals are for has ended
            clean = executable_bytes(target.pid)
            recording = Watching(target.pid, way, "-rate", 1 << 40)
            self.end_first_thread(target)
            other = int(os.listdir(f"/proc/{target.pid}/task")[-1])  # the first has no memory any more
            time.sleep(2.5)  # cprof-attach looks once a second, and later where the machine is busy:
            before = turns(recording.process)  # it does so in a turn that begins now
            harness.wait_until(lambda: turns(recording.process) > before + 2, "it looks again")
            deadline = time.monotonic() + 60
            code = lambda: Code((where, content) for where, content in executable_bytes(other).items() if where in clean)
            # Whoever else takes a uprobe out of the C library now takes those of a first thread that has ended, too.
            lost = way == "uprobe" and code() == clean
            while code() == clean and not lost:  # a thread that ends by pthread_exit brings libgcc_s along, which is none of ours
                self.assertLess(time.monotonic(), deadline, "the probes went with the first thread and did not come back")
                time.sleep(0.1)
            recording.stop()
            self.assertEqual(code(), clean)
            self.assertRegex(recording.stderr, r"each of [1-9]\d* calls")
            if lost:
                self.assertIn("another tool took uprobes out of the same functions", recording.stderr)
            self.assertEqual("attached by ended" in recording.stderr, way == "uprobe-perf")
            target.process.kill()

    def test_a_method_that_is_none_is_named(self):
        with harness.Target(["heap_churn", "1"]) as target:
            result = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", "magic", "-seconds", "0.1")
            self.assertEqual(result.returncode, 2)
            self.assertIn("auto, inline, uprobe or usdt", result.stderr)


if __name__ == "__main__":
    harness.main()
