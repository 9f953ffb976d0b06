# SPDX-License-Identifier: Apache-2.0
# alone: waits are compared with time passed
"""Waits that are easily told wrong: idle pools that look like locks, locks that look like pools, owners in other processes."""

import os
import re
import signal
import subprocess
import time
import unittest

import harness

IS_ROOT = os.geteuid() == 0
METHODS = ("bpf", "perf") if IS_ROOT else ("perf",)


def kinds_of(profile):
    """{kind: (contention ns, parked ns)} of all samples but those of the pair with the pthread mutex."""
    kinds = {}
    for stack, values, labels in profile.samples:
        if not stack[0].endswith("pthread_mutex_lock"):
            had = kinds.get(labels["kind"], (0, 0))
            kinds[labels["kind"]] = (had[0] + values[1], had[1] + values[3])
    return kinds


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def slept(pid):
    """How often the process's threads have gone to sleep."""
    total = 0
    for tid in threads(pid):
        with open(f"/proc/{pid}/task/{tid}/status") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
    return total


class Rests:
    """How often a thread of the process, its first one left out, was seen to go to sleep on a futex."""

    def __init__(self, pid):
        self.pid, self.asleep, self.seen = pid, set(), 0

    def count(self):
        now = set()
        for tid in threads(self.pid):
            with open(f"/proc/{self.pid}/task/{tid}/syscall") as file:
                if file.read().split()[0] == harness.FUTEX and int(tid) != self.pid:
                    now.add(tid)
        self.seen += len(now - self.asleep)
        self.asleep = now
        return self.seen


class Pools(harness.TempDir):
    """pools.c: who waits for work is not in the default view, who waits for a lock is, whatever futexes they are made of."""

    def attach_until(self, count, times, *args, pid):
        """Until what `count` counts has happened so often in the window, however long that takes on a busy machine."""
        process = harness.Process([harness.ATTACH, "-p", str(pid), "-seconds", "0", *args], stderr=subprocess.PIPE, text=True)
        harness.wait_for_window(process)
        enough, deadline = count() + times, time.monotonic() + 60
        while count() < enough and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def profile(self, argv, method, mode="block", seconds=0.4, switches=0, rests=0):
        """The profile of a program that goes on working afterwards."""
        out = self.path("pools.pb.gz")
        target = harness.Target(argv)
        try:
            before = harness.Footprint(target.pid)
            how = "-mode", mode, "-block-method", method, "-f", "-o", out
            if switches:
                result = self.attach_until(lambda: slept(target.pid), switches, *how, pid=target.pid)
            elif rests:
                result = self.attach_until(Rests(target.pid).count, rests, *how, pid=target.pid)
            else:
                result = harness.attach("-p", target.pid, "-seconds", seconds, *how)
            self.assertEqual(result.returncode, 0, result.stderr)
            before.check_unchanged(self)
        except BaseException:
            target.close(check=False)
            raise
        jobs = int(re.search(r"jobs (\d+)", target.close()).group(1))
        self.assertGreater(jobs, 0)
        return harness.Profile.read(out), result.stderr

    def contends(self, argv, method, kind, switches=0):
        profile, _ = self.profile(argv, method, switches=switches)
        kinds = kinds_of(profile)
        self.assertIn(kind, kinds)
        contention, parked = kinds[kind]
        self.assertGreater(contention, 9 * parked, kinds)

    def parks(self, argv, method, kind, beside=True, rests=0):
        profile, said = self.profile(argv, method, rests=rests)
        kinds = kinds_of(profile)
        self.assertIn(kind, kinds)
        contention, parked = map(sum, zip(*kinds.values()))
        self.assertGreater(parked, 99 * contention, kinds)
        self.assertNotIn("futex", kinds)
        told = re.search(r"([\d.]+) s in (\d+) waits for work \((.*)\) are not in the default view: .* parked_delay", said)
        self.assertTrue(told, said)
        self.assertAlmostEqual(float(told.group(1)) * 1e9, profile.total(3), delta=1e7)
        self.assertIn(kind, told.group(3))
        self.assertIn(told.group(0), " ".join(profile.comments))
        if beside:  # the one real lock is what the default view shows
            self.assertGreater(profile.share(lambda stack, labels: "waiter" in stack, 1), 0.9)

    def test_idle_pools_are_parked(self):
        for method in METHODS:
            for shape, kind in (("epoch", "park"), ("flag", "park"), ("sem", "semaphore")):
                with self.subTest(method=method, shape=shape):
                    self.parks(["pools", shape], method, kind)

    @unittest.skipUnless(IS_ROOT, "the BPF tier needs root")
    def test_a_counter_with_the_value_of_a_lock_is_none(self):
        self.parks([harness.target_path("pools_nameless"), "two"], "bpf", "park", beside=False)

    def test_glib(self):
        harness.need_library("libglib-2.0.so.0")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks(["pools", "glib"], method, "condvar")

    def test_locks_of_futexes_contend(self):
        for method in METHODS:
            for shape in ("drepper", "parked"):
                with self.subTest(method=method, shape=shape):
                    self.contends([harness.target_path("pools_nameless"), shape], method, "mutex")
            with self.subTest(method=method, shape="ticket"):
                self.contends(["pools", "ticket"], method, "mutex")

    def test_a_semaphore_that_limits_contends(self):
        for method in METHODS:
            with self.subTest(method=method):
                # Where nobody posts for a while, as may be where the target is not let run, nothing tells it from an idle pool.
                self.contends(["pools", "limit"], method, "semaphore", switches=1000)

    def test_openmp(self):
        program = harness.target_path("pools_openmp")
        if not os.path.exists(program):
            self.skipTest("the compiler has no OpenMP")
        os.environ["OMP_WAIT_POLICY"] = "passive"
        self.addCleanup(os.environ.pop, "OMP_WAIT_POLICY")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks([program], method, "park", beside=False, rests=10)  # which seldom come
        profile, _ = self.profile([program, "critical"], METHODS[0])
        self.assertGreater(kinds_of(profile)["mutex"][0], 0)
        os.environ["OMP_WAIT_POLICY"] = "active"
        self.parks([program], METHODS[0], "park", beside=False)

    def test_tbb(self):
        program = harness.target_path("pools_tbb")
        if not os.path.exists(program):
            self.skipTest("libtbb-dev is not installed")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks([program], method, "park", beside=False, rests=10)  # which seldom come

    def test_in_mutex_mode_who_hands_out_work_is_charged_with_nothing(self):
        for method in METHODS:
            with self.subTest(method=method):
                profile, _ = self.profile(["pools", "epoch"], method, "mutex")
                self.assertEqual(sum(values[1] for stack, values, _ in profile.samples if "holder" not in stack and
                                     "waiter" not in stack), 0)
                profile, _ = self.profile(["pools", "drepper2"], method, "mutex")
                self.assertGreater(sum(values[1] for stack, values, _ in profile.samples if "holds" in stack), 0)


class SharedLocks(harness.TempDir):
    """shared_locks.c: locks of two processes, and who is said to hold them."""

    KINDS = {"normal": "mutex", "recursive": "recursive mutex", "robust": "robust mutex", "pi": "PI mutex",
             "rwlock": "rwlock write"}

    def look(self, *shape, both=False, status=0, more=()):
        """(text, stderr, first process, second, its locker) of one that serves afterwards as before. The numbers are ours."""
        target = harness.Target(["shared_locks", *shape])
        try:
            said = "\n".join(target.said)
            other = int(re.search(r"^other (\d+)$", said, re.M).group(1))
            lockers = list(map(int, re.search(r"^lockers (\d+) (\d+)$", said, re.M).groups()))
            if "newpid" in shape:
                lockers[1] = next(tid for tid in map(int, os.listdir(f"/proc/{other}/task")) if tid != other)
            before = harness.Footprint(target.pid)
            pids = f"{target.pid},{other}" if both else target.pid
            result = harness.attach("-p", pids, "-mode", "threads", "-text", *more)
            self.assertEqual(result.returncode, status, result.stderr)
            before.check_unchanged(self)
        except BaseException:
            target.close(check=False)
            raise
        self.assertIn(f"served {int('gone' not in shape)}", target.close())
        return result.stdout, result.stderr, target.pid, other, lockers

    def means(self):
        return ((), ("-means", "proc")) if IS_ROOT else ((),)

    def test_an_owner_in_another_process_is_named(self):
        for kind, name in self.KINDS.items():
            for more in self.means():
                with self.subTest(kind=kind, more=more):
                    text, said, pid, other, lockers = self.look(kind, more=more)
                    self.assertRegex(text, rf'"locker" \[{name} 0x\w+ held by thread {lockers[1]} of process {other} "second"')
                    self.assertNotIn("has ended", text)
                    self.assertIn(f"-p {pid},{other}", said)

    def test_an_owner_in_another_pid_namespace_is_named_by_our_numbers(self):
        if not IS_ROOT:
            self.skipTest("a PID namespace needs root")
        for kind, name in self.KINDS.items():
            if kind == "pi":  # the kernel knows the owner by the number that it has for the waiter, and refuses
                continue
            with self.subTest(kind=kind):
                text, _, _, other, lockers = self.look(kind, "newpid")
                self.assertRegex(text, rf'{name} 0x\w+ held by thread {lockers[1]} of process {other} "second"')

    def test_an_owner_that_has_ended_is_said_to_have(self):
        for kind in ("normal", "recursive", "rwlock"):
            with self.subTest(kind=kind):
                text, _, _, _, lockers = self.look(kind, "gone")
                self.assertIn(f"held by {lockers[1]}, which has ended", text)

    def test_deadlocks_are_found_across_processes(self):
        for kind in self.KINDS:
            if kind == "pi":  # the kernel sees the cycle and lets nobody wait for the last lock of it
                continue
            for shape in (("abba",), ("abba", "newpid")) if IS_ROOT else (("abba",),):
                with self.subTest(kind=kind, shape=shape):
                    text, said, pid, other, lockers = self.look(kind, *shape, both=True, status=10, more=("-exit-code",))
                    told = text[text.index("deadlock: 2 threads of 2 processes wait for each other"):]
                    self.assertIn(f'thread {lockers[0]} "locker" of process {pid} waits for', told)
                    self.assertIn(f'held by thread {lockers[1]} of process {other} "second"', told)
                    self.assertIn(f"held by thread {lockers[0]} of process {pid}", told)
                    self.assertIn("deadlock: 2 threads of 2 processes", said)

    def test_what_is_no_deadlock_across_processes_is_none(self):
        text, _, _, _, _ = self.look("normal", both=True, more=("-exit-code",))
        self.assertNotIn("deadlock", text)

    def test_the_profile_says_who_holds_it(self):
        out = self.path("threads.pb.gz")
        _, _, _, other, lockers = self.look("normal", more=("-o", out))
        waiting = [labels for _, _, labels in harness.Profile.read(out).samples if "owner_pid" in labels]
        self.assertEqual([(labels["owner_pid"], labels["owner_tid"]) for labels in waiting], [(other, lockers[1])])


@unittest.skipUnless(IS_ROOT, "a heap profile needs root")
class Losses(harness.TempDir):
    """heap_burst.c at -rate 1, with a reader that is held up: what is not in the profile is counted, not guessed."""

    def burst(self, threads, count, size, held_up):
        """(objects, bytes, inuse objects, samples lost, their bytes, pauses, bytes that went by) of so many allocations."""
        out = self.path("burst.pb.gz")
        target = harness.Target(["heap_burst", str(threads), str(count), str(size)])
        command = [harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-method", "inline", "-rate", "1",
                   "-seconds", "0", "-f", "-o", out]
        process = harness.Process(command, stderr=subprocess.PIPE, text=True)
        try:
            said = []
            while not said or ("profiling" not in said[-1] and said[-1]):
                said.append(process.stderr.readline())
            harness.wait_for_window(process)
            if held_up:
                process.send_signal(signal.SIGSTOP)
                while state_of(process.pid) != "T":
                    time.sleep(0.001)
            os.kill(target.pid, signal.SIGUSR1)
            self.assertEqual(target.process.stdout.readline().strip(), "done")
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
            _, more = process.communicate(timeout=60)
            said = "".join(said) + more
            self.assertEqual(process.returncode, 0, said)
        except BaseException:
            process.kill()
            target.close(check=False)
            raise
        self.assertIn(f"kept {8 * threads}", target.close())
        profile = harness.Profile.read(out)
        self.assertEqual(said.count("raise -rate"), " ".join(profile.comments).count("raise -rate"))
        lost = re.search(r"(\d+) samples were lost, of blocks of (\d+) bytes", said)
        paused = re.search(r"sampling paused (\d+) times: blocks of at most (\d+) bytes", said)
        summary = int(re.search(r"([\d,]+) lost", said).group(1).replace(",", ""))
        lost = tuple(map(int, lost.groups())) if lost else (0, 0)
        self.assertEqual(summary, lost[0], said)
        of_burst = [values for stack, values, _ in profile.samples if "burst" in stack]
        return (*map(sum, zip(*[values[:3] for values in of_burst])), *lost, *(map(int, paused.groups()) if paused else (0, 0)))

    def test_nothing_is_lost_from_a_reader_that_keeps_up(self):
        objects, space, inuse, lost, _, pauses, _ = self.burst(2, 400, 48, False)
        self.assertEqual((objects, space, inuse, lost, pauses), (800, 800 * 48, 16, 0, 0))

    def test_what_a_held_up_reader_loses_is_counted_one_by_one(self):
        count, size = 200_000, 56
        objects, space, inuse, lost, lost_bytes, pauses, _ = self.burst(2, count, size, True)
        self.assertGreater(lost, 0)
        self.assertEqual((objects + lost, space + lost_bytes, pauses), (2 * count, 2 * count * size, 0))
        self.assertLessEqual(inuse, 16)  # one that was freed while nobody read is not in use

    def test_what_goes_by_in_a_pause_is_counted_in_bytes(self):
        count, size = 3_000_000, 40
        objects, space, inuse, lost, lost_bytes, pauses, went_by = self.burst(2, count, size, True)
        self.assertEqual(pauses, 1)
        self.assertLess(objects + lost, 2 * count)
        self.assertEqual(space + lost_bytes + went_by, 2 * count * size)
        self.assertLessEqual(inuse, 16)  # one that was freed while nobody read is not in use


class AlternateStack(harness.TempDir):
    """alt_ticks.c: a handler on a stack of its own takes a third of the time or more; what it has interrupted is on another."""

    SAMPLES = 100

    def stacks(self, *shape):
        """Of all samples, innermost first; the target goes on ticking."""
        out = self.path("alt.pb.gz")
        with harness.Target(["alt_ticks", *shape]) as target:
            before = harness.Footprint(target.pid)
            before.blocked = None  # in the handler the signal is, outside it is not
            stacks = []
            while not any("on_tick" in stack for stack, _ in stacks):  # a busy machine may be late with its ticks
                result = harness.attach_while_it_works(target.pid, self.SAMPLES // 2, "-hz", 500, "-f", "-o", out)
                self.assertEqual(result.returncode, 0, result.stderr)
                before.check_unchanged(self)
                stacks += [(stack, values[0]) for stack, values, _ in harness.Profile.read(out).samples]
                self.assertLess(len(stacks), 100 * self.SAMPLES)
            self.assertGreater(int(re.search(r"ticks (\d+)", target.close()).group(1)), 0)
        self.assertGreaterEqual(sum(count for _, count in stacks), self.SAMPLES)
        return stacks

    def check_whole(self, stacks, root):
        """Every stack goes to its root, through what was interrupted."""
        ticks = 0
        for stack, count in stacks:
            self.assertNotIn("[truncated]", stack)
            if "on_tick" in stack:
                ticks += count
            if "work" in stack:
                self.assertIn("outer", stack)
                self.assertIn(root, stack)
        self.assertGreater(ticks, 0)

    def test_every_stack_goes_on_to_what_was_interrupted(self):
        self.check_whole(self.stacks(), "main")
        self.check_whole(self.stacks("3"), "run")

    def test_callers_that_take_turns_are_told_apart_as_they_ran(self):
        """Two callers of equal cost: each has half of the interrupted stacks, to five standard deviations."""
        stacks = self.stacks("0", "shallow")
        counts = [sum(count for stack, count in stacks if name in stack) for name in ("middle", "other_middle")]
        n = sum(counts)
        for stack, count in stacks:
            self.assertFalse("middle" in stack and "other_middle" in stack, stack)
        self.assertLess(abs(counts[0] - counts[1]), 5 * n**0.5 + 1, counts)


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


if __name__ == "__main__":
    harness.main()
