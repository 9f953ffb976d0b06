#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap: what is counted, what is left behind, and what happens when somebody dies."""

import os
import random
import re
import signal
import subprocess
import time
import unittest

import harness
from heap_harness import Recording, Truth, Watching, executable_bytes, kill_at_any_moment, shim_pages, sums, tracer, turns, unwatched_bytes

KILLS = int(os.environ.get("CPROF_HEAP_KILLS", "40"))
CYCLES = int(os.environ.get("CPROF_HEAP_CYCLES", "25"))


class Counting(unittest.TestCase):
    def check_exact(self, target_name):
        with Truth(target_name) as target:
            before = executable_bytes(target.pid)
            recording = Recording(target.pid, "-rate", 1)
            truth = target.tell("every")
            profile = recording.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            self.assertIn(" 0 lost", recording.stderr)
            self.assertEqual(profile.sample_types, [("alloc_objects", "count"), ("alloc_space", "bytes"),
                                                    ("inuse_objects", "count"), ("inuse_space", "bytes")])
            self.assertEqual(profile.default_sample_type, "inuse_space")
            self.assertEqual((profile.period_type, profile.period), ([("space", "bytes")], 1))
            self.assertGreater(len(truth), 6)
            for name, want in truth.items():
                with self.subTest(function=name):
                    self.assertEqual(sums(profile, name), want)
            target.tell("drop")
            self.close(target)

    def close(self, target):
        target.process.stdin.write("quit\n")
        target.process.stdin.flush()
        self.assertEqual(target.process.wait(timeout=60), 0)

    def test_rate_1_is_exact_to_the_byte_with_glibc(self):
        self.check_exact("heap_truth")

    def test_rate_1_is_exact_to_the_byte_in_a_static_program(self):
        self.check_exact("heap_truth_static")

    def test_rate_1_is_exact_to_the_byte_with_musl(self):
        if not os.path.exists(harness.target_path("heap_truth_musl")):
            raise unittest.SkipTest("musl-tools is not installed: heap_truth_musl was not built")
        self.check_exact("heap_truth_musl")

    def check_sizes(self, *method):
        """Each way of heap_truth asks for 32, 64 ... 3200 bytes and keeps every other block; one asks for 24 besides."""
        with Truth("heap_truth") as target:
            before = executable_bytes(target.pid)
            watching = Watching(target.pid, *method, "-rate", 1, "-heap-size", "1024:2048")
            truth = target.tell("every")
            profile = watching.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            wanted = range(1024, 2049, 32)
            for name in truth:
                with self.subTest(function=name):
                    self.assertEqual(sums(profile, name), (33, sum(wanted), 16, sum(wanted[1::2])))
            for _, values, labels in profile.samples:
                self.assertIn(labels["bytes"], wanted)
            self.assertIn("only calls for 1024 to 2048 bytes were sampled", "\n".join(profile.comments))
            target.tell("drop")
            self.close(target)

    def test_some_sizes_only_by_jumps(self):
        self.check_sizes("inline")

    @unittest.skipIf(os.geteuid(), "uprobes need root")
    def test_some_sizes_only_by_uprobes(self):
        self.check_sizes("uprobe")

    def test_bad_sizes_are_refused_before_anything_is_touched(self):
        for size, says in (("4096:4080", "nothing is between"), ("x:2", "is not a size"), (":", "names no size"),
                           ("1:99999999999999999", "no call asks for as much")):
            with self.subTest(size=size):
                done = subprocess.run([harness.ATTACH, "-p", str(os.getpid()), "-mode", "heap", "-heap-size", size],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)

    def test_a_sampled_profile_is_within_its_error(self):
        with Truth("heap_truth") as target:
            # About 550 samples, which have room in the target until their reader gets a processor.
            period = 2 << 20
            recording = Recording(target.pid, "-rate", period)
            truth = target.tell("mixed 60000 7")
            profile = recording.stop()
            self.assertIn(" 0 lost", recording.stderr)
            want = sum(t[1] for t in truth.values())
            live = sum(t[3] for t in truth.values())
            # 1 / sqrt(samples), five times over
            self.assertLess(abs(profile.total(1) / want - 1), 5 / (want / period) ** 0.5)
            self.assertLess(abs(profile.total(3) / live - 1), 5 / (live / period) ** 0.5)
            for _, _, labels in profile.samples:
                self.assertIn("bytes", labels)
            self.close(target)

    def work_while_it_looks(self, process, work, seconds=1.2, enough=30):
        """Until cprof-attach has made enough turns in its window; what `work` returned."""
        harness.wait_for_window(process)
        before, start, done = turns(process), time.monotonic(), []
        while time.monotonic() < start + seconds or turns(process) < before + enough:
            self.assertLess(time.monotonic(), start + 60)
            done.append(work())
            time.sleep(0.2)
        return done

    def test_a_rate_that_changes_midway_stays_right(self):
        with Truth("heap_truth") as target:
            want, got = 0, 0
            for seed in range(1, 9):
                recording = Recording(target.pid, "-rate", 524288, "-overhead", "0.01%")
                truths = [target.tell(f"mixed 20000 {seed}")]
                # The controller looks once a second, and later where the machine is busy. Each look makes the rate fourfold, so
                # that after some hardly anything is sampled: the first time there is work all along, the rest need not change.
                if seed == 1:
                    truths += self.work_while_it_looks(recording.process, lambda: target.tell("mixed 2000 77"))
                else:
                    time.sleep(1.2)
                truths.append(target.tell(f"mixed 20000 {seed + 100}"))
                profile = recording.stop()
                if seed == 1:
                    self.assertRegex("\n".join(profile.comments), "the rate went from 524288 to")
                self.assertIn(" 0 lost", recording.stderr)
                want += sum(t[1] for truth in truths for t in truth.values())
                got += profile.total(1)
                target.tell("drop")
            self.assertLess(abs(got / want - 1), 0.05)
            self.close(target)

    def test_an_allocator_that_is_loaded_later_is_hooked_too(self):
        with Truth("heap_truth") as target:
            recording = Recording(target.pid, "-rate", 1)
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
            truth = target.tell("pool")
            profile = recording.stop()
            self.assertEqual(sums(profile, "way_pool"), truth["way_pool"])
            self.assertEqual(code(), before)
            self.close(target)

    def test_operator_new_of_a_static_program_is_counted(self):
        with harness.Target(["heap_new_static"]) as target:
            recording = Recording(target.pid, "-rate", 65536)
            harness.let_it_work(target.pid, 25)
            profile = recording.stop()
            self.assertNotIn("not hooked", recording.stderr)
            by_new, by_malloc = sums(profile, "by_new")[1], sums(profile, "by_malloc")[1]
            self.assertGreater(by_malloc, 10 << 20)
            self.assertLess(abs(by_new / by_malloc - 1), 0.5)

    def test_what_was_held_before_is_there_when_asked_for(self):
        with Truth("heap_truth") as target:
            before = target.tell("mixed 60000 5").values()
            recording = Watching(target.pid, "auto", "-heap-baseline", "-rate", 4096)
            target.tell("mixed 200 6")
            profile = recording.stop()
            held = sums(profile, "[before attach]")
            self.assertEqual(held[0:2], (0, 0))
            for got, i in (held[2], 2), (held[3], 3):
                want = sum(truth[i] for truth in before)
                self.assertTrue(0.99 * want < got < 1.03 * want, (held, before))
            self.close(target)

    def test_a_forked_child_runs_on_and_can_free_what_was_sampled(self):
        with Truth("heap_truth") as target:
            recording = Recording(target.pid, "-rate", 4096)
            target.tell("mixed 5000 3")
            _, said = target.tell("fork")
            self.assertEqual(said, ["child 0"])
            recording.stop()
            self.close(target)


class Several(unittest.TestCase):
    """-p A,B: each process by itself, in one profile."""

    def of(self, profile, pid, name):
        total = [0, 0, 0, 0]
        for stack, values, labels in profile.samples:
            if name in stack and labels["pid"] == pid:
                total = [a + b for a, b in zip(total, values)]
        return tuple(total)

    def check_truth(self, profile, target, truth):
        self.assertGreater(len(truth), 6)
        for name, want in truth.items():
            with self.subTest(pid=target.pid, function=name):
                self.assertEqual(self.of(profile, target.pid, name), want)

    def test_each_is_counted_to_the_byte_and_told_by_its_label(self):
        with Truth("heap_truth") as one, Truth("heap_truth_static") as other:
            before = executable_bytes(one.pid), executable_bytes(other.pid)
            watching = Watching(f"{one.pid},{other.pid}", "inline", "-rate", 1)
            truths = one.tell("every"), other.tell("every")
            profile = watching.stop()
            self.assertEqual((executable_bytes(one.pid), executable_bytes(other.pid)), before)
            self.check_truth(profile, one, truths[0])
            self.check_truth(profile, other, truths[1])
            for target in (one, other):
                self.assertRegex("\n".join(profile.comments), rf"heap_truth\w* \({target.pid}\): threads stood still \d+ time")
                target.tell("drop")
                target.quit()

    def test_one_that_refuses_and_one_that_ends_do_not_lose_the_third(self):
        harness.need("strace")
        with Truth("heap_truth") as traced, Truth("heap_truth") as ends, Truth("heap_truth") as stays:
            strace = subprocess.Popen(["strace", "-f", "-e", "trace=none", "-p", str(traced.pid)], stderr=subprocess.DEVNULL)
            self.addCleanup(strace.wait)
            self.addCleanup(strace.terminate)
            harness.wait_until(lambda: tracer(traced.pid) or strace.poll() is not None, "strace has attached")
            watching = Watching(f"{traced.pid},{ends.pid},{stays.pid}", "inline", "-rate", 1)
            gone = ends.tell("every")
            ends.quit()
            truth = stays.tell("every")
            profile = watching.stop()
            self.check_truth(profile, stays, truth)
            for name, want in gone.items():  # all that was read before it ended; by then all of it is freed, or none
                self.assertLessEqual(self.of(profile, ends.pid, name)[1], want[1])
            comments = "\n".join(profile.comments)
            self.assertRegex(comments, rf"process {traced.pid} \(heap_truth\) is left out: .* traced by strace \(PID {strace.pid}\)")
            self.assertRegex(comments, rf"heap_truth \({ends.pid}\): the process ended")
            self.assertEqual(watching.process.returncode, 0)
            strace.terminate()
            strace.wait()
            for target in (traced, stays):
                target.tell("every")
                target.quit()

    def test_where_all_refuse_the_first_one_says_why(self):
        with Truth("heap_truth") as one, Truth("heap_truth") as other:
            result = harness.attach("-p", f"{one.pid},{other.pid}", "-mode", "heap", "-seconds", "1", "-o", "-",
                                    "-heap-hook", "alloc=no_such_function,size=arg1")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("no_such_function", result.stderr)
            for target in (one, other):
                target.tell("every")
                target.quit()


class Guest(unittest.TestCase):
    """The target is a guest room."""

    def churn(self):
        return harness.Target(["heap_churn", "2"])

    def end(self, target):
        self.assertRegex(target.close(), r"rounds \d+ bad 0")

    def test_nothing_is_left_after_many_cycles(self):
        target = harness.Target(["heap_churn", os.environ.get("CPROF_HEAP_THREADS", "2")])
        before, footprint = executable_bytes(target.pid), harness.Footprint(target.pid)

        def size():
            with open(f"/proc/{target.pid}/maps") as maps, open(f"/proc/{target.pid}/statm") as statm:
                return len(maps.readlines()), int(statm.read().split()[1]) * 4096

        for cycle in range(CYCLES):
            result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.02", "-o", os.devnull, "-f")
            self.assertEqual(result.returncode, 0, result.stderr)
            if cycle == CYCLES // 4:
                maps, resident = size()
        self.assertEqual(executable_bytes(target.pid), before)
        footprint.check_unchanged(self)
        self.assertLessEqual(size()[0], maps + 4)
        self.assertLess(size()[1], resident * 1.5 + (4 << 20))
        self.end(target)

    def test_a_place_that_is_taken_before_we_are_there_is_no_obstacle(self):
        target = harness.Target(["heap_maps"])
        before = executable_bytes(target.pid)
        for _ in range(20):
            result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.02", "-o", os.devnull, "-f")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertRegex(target.close(), r"maps [1-9]\d*")

    def test_a_killed_profiler_never_harms_and_repair_removes_the_rest(self):
        random.seed(20)
        target = self.churn()
        before = executable_bytes(target.pid)
        argv = [harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-seconds", "0.03", "-o", "/dev/null", "-f", "-q"]
        found = 0
        for _ in range(KILLS):
            process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
            kill_at_any_moment(process, target.pid, 0.1)
            self.assertTrue(target.alive(), "the target died with its profiler")
            left = bool(shim_pages(target.pid))
            result = harness.attach("-repair", target.pid)
            self.assertEqual(result.returncode, 0, result.stderr)
            found += left
            self.assertTrue(target.alive(), "the target died of the repair")
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertGreater(found, 0, "no kill hit while attached: the test shows nothing")
        self.end(target)

    def test_a_killed_run_is_named_by_the_next_one_and_a_living_one_too(self):
        target = self.churn()
        recording = Recording(target.pid)
        second = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "1", "-o", "-")
        self.assertEqual(second.returncode, 4)
        self.assertIn(f"PID {recording.process.pid}", second.stderr)
        repair = harness.attach("-repair", target.pid)
        self.assertEqual(repair.returncode, 4)
        recording.process.kill()
        recording.process.communicate()
        third = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "1", "-o", "-")
        self.assertEqual(third.returncode, 4)
        self.assertIn(f"-repair {target.pid}", third.stderr)
        repair = harness.attach("-repair", target.pid)
        self.assertEqual(repair.returncode, 0, repair.stderr)
        self.assertEqual(shim_pages(target.pid), [])
        repair = harness.attach("-repair", target.pid)
        self.assertIn("nothing", repair.stderr)
        self.end(target)

    def test_a_tracer_is_named(self):
        harness.need("strace")
        target = self.churn()
        strace = subprocess.Popen(["strace", "-f", "-e", "trace=none", "-p", str(target.pid)],
                                  stderr=subprocess.DEVNULL)
        while tracer(target.pid) == 0:
            time.sleep(0.01)
        result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "1", "-o", "-")
        self.assertEqual(result.returncode, 4)
        self.assertIn(f"traced by strace (PID {strace.pid})", result.stderr)
        strace.terminate()
        strace.wait()
        self.end(target)

    def test_a_job_stopped_target_stays_stopped_and_goes_on_afterwards(self):
        target = self.churn()
        before = executable_bytes(target.pid)
        os.kill(target.pid, signal.SIGSTOP)
        while target.state() != "T":
            time.sleep(0.01)
        result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.1", "-o", os.devnull, "-f")
        self.assertEqual(result.returncode, 0, result.stderr)
        # Each thread is told anew to stop when it is let go, which takes a moment; it executes nothing before that.
        deadline = time.monotonic() + 60
        while target.state() != "T" and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertEqual(target.state(), "T")
        self.assertEqual(executable_bytes(target.pid), before)
        os.kill(target.pid, signal.SIGCONT)
        self.end(target)

    def check_guest(self, **env):
        target = harness.Target(["heap_guest"], env=dict(os.environ, **env))
        before = executable_bytes(target.pid)
        for rate in (524288, 20000, 1, 524288, 20000, 4096):
            result = harness.attach("-p", target.pid, "-mode", "heap", "-rate", rate, "-seconds", "0.3", "-o", os.devnull,
                                    "-f")
            self.assertEqual(result.returncode, 0, result.stderr)
        # It gets signals all the time: leftovers of one on the stack of a thread that ended may hold the pages for a while.
        deadline = time.monotonic() + 60
        while shim_pages(target.pid) and time.monotonic() < deadline:
            harness.attach("-repair", target.pid)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("all well", target.close())

    def test_threads_forks_exceptions_signals_and_coroutines_go_on_with_glibc(self):
        self.check_guest()

    def test_threads_forks_exceptions_signals_and_coroutines_go_on_with_jemalloc(self):
        self.check_guest(LD_PRELOAD=harness.need_library("libjemalloc.so.2"))

    def kill_at_each(self, call, target, step, ending):
        harness.need("strace")
        before = executable_bytes(target.pid)
        reached_end = False
        # Few samples: strace stops us at every system call, and walking the stacks of a flood takes seconds then.
        for n in range(1, 1000, step):
            result = harness.run(["strace", "-f", "-o", os.devnull, "-e", f"trace={call}", "-e",
                                  f"inject={call}:signal=KILL:when={n}", harness.ATTACH, "-p", str(target.pid), "-mode",
                                  "heap", "-rate", "64m", "-seconds", "0.02", "-o", os.devnull, "-f", "-q"])
            self.assertTrue(target.alive(), f"killed at {call} number {n}, the target died")
            repair = harness.attach("-repair", target.pid)
            self.assertEqual(repair.returncode, 0, repair.stderr)
            if result.returncode == 0:
                reached_end = True
                break
        self.assertTrue(reached_end)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn(ending, target.close())

    def test_every_system_call_of_the_tracer_may_be_its_last(self):
        """SIGKILL at the n-th ptrace call, for many n: attach, sampling and detach are about 90 of them. And at each write."""
        step = int(os.environ.get("CPROF_HEAP_KILL_STEP", "6"))
        for call, every in (("ptrace", step), ("pwrite64", 1)):
            self.kill_at_each(call, harness.Target(["heap_churn", "4"]), every, "bad 0")

    def test_a_borrowed_thread_keeps_all_that_it_is_when_the_tracer_dies(self):
        """Registers, vector state, rounding mode, signal mask, alternate stack, sleeps: the target checks them itself."""
        for how in ([], ["busy"]):
            self.kill_at_each("ptrace", harness.Target(["heap_registers", *how]),
                              int(os.environ.get("CPROF_HEAP_KILL_STEP", "2")), "all well")

    def test_a_seccomp_filter_that_only_refuses_is_no_obstacle_one_that_kills_is(self):
        for verdict, status in (("errno", 0), ("kill", 1)):
            target = harness.Target(["heap_seccomp", verdict])
            before = executable_bytes(target.pid)
            result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.2", "-o", os.devnull, "-f")
            self.assertEqual(result.returncode, status, result.stderr)
            if status:
                self.assertIn("seccomp filter", result.stderr)
                self.assertIn("prctl", result.stderr)
            self.assertEqual(executable_bytes(target.pid), before)
            self.assertIn("all well", target.close())

    def test_a_process_in_the_same_memory_that_is_no_thread_is_an_obstacle(self):
        target = harness.Target(["heap_shared"])
        before = executable_bytes(target.pid)
        result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.2", "-o", "-")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(f"shares its memory with process {target.said[1].split()[1]}", result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("all well", target.close())

    def test_a_target_may_be_killed_at_any_moment(self):
        """Planning, stopping, sampling, letting go: the run ends at once, well or with "has ended"."""
        random.seed(5)
        for sig in [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV] * int(os.environ.get("CPROF_HEAP_ENDS", "6")):
            target = harness.Target(["heap_churn", "3"])
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-seconds", "0.1", "-o",
                                        os.devnull, "-f"], stderr=subprocess.PIPE, text=True)
            time.sleep(random.random() * 0.3)
            target.process.send_signal(sig)
            _, stderr = process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 3), stderr)
            target.process.communicate(timeout=60)

    def test_a_target_that_dies_ends_the_run(self):
        target = self.churn()
        recording = Recording(target.pid)
        target.process.kill()
        target.process.wait()
        _, stderr = recording.process.communicate(timeout=60)
        self.assertEqual(recording.process.returncode, 0, stderr)


if __name__ == "__main__":
    harness.main()
