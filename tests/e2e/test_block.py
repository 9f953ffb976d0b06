# SPDX-License-Identifier: Apache-2.0
# alone: waits are compared with what the program measured
"""Block and mutex profiles of programs whose waits are known, by each of the three ways to see them.

waits.c measures its own waits, 13 kinds of primitive; locks.c makes well-known shapes of contention. A launched
command is profiled from its first instruction to its end, so that counts have nothing to do with luck."""

import os
import re
import signal
import subprocess
import time
import typing
import unittest

import harness

MS = 1_000_000


def is_root():
    return os.geteuid() == 0


def go_first():
    """In a child before its exec: run ahead of whatever else the machine does, where that is permitted, because what
    a lock's waiters and a profiler that looks every millisecond do depends on when they are let run. Not as real-time
    threads: the kernel lets those spin for a PI mutex."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except OSError:
        pass


class Delay(typing.NamedTuple):
    """How long `waits` was blocked in sum: between `least` and `most`, which are far apart only where the machine let a thread
    stand between reading the clock and going to sleep."""
    least: int
    most: int

    def check(self, test, got, margin, what):
        test.assertGreaterEqual(got, self.least * (1 - margin), f"{what} delay {got} of {self}")
        test.assertLessEqual(got, self.most * (1 + margin), f"{what} delay {got} of {self}")


def profile_of(test, kind, hold_us, count, method, mode="block", *more, program="waits"):
    """(profile, contentions and Delay that `waits` measured itself) of a run from its start to its end."""
    out = test.path(f"{kind}.{method}.pb.gz")
    result = harness.attach("-mode", mode, "-block-method", method, "-rate", "1ms", "-seconds", 60, "-f", "-o", out,
                            *more, "--", harness.target_path(program), kind, hold_us, count, preexec_fn=go_first)
    test.assertEqual(result.returncode, 0, result.stderr)
    count, least, most = map(int, re.search(r"truth contentions (\d+) .* least_ns (\d+) most_ns (\d+)",
                                            result.stdout).groups())
    return harness.Profile.read(out), count, Delay(least, most)


def footprint(target):
    """sigwait() takes its signals out of the mask while it waits, so look when the main thread is there again."""
    calls = {"128", "137"}  # rt_sigtimedwait on x86-64 and AArch64
    while True:
        with open(f"/proc/{target.pid}/syscall") as file:
            if file.read().split()[0] in calls:
                return harness.Footprint(target.pid)


def attach_to(test, shape, mode, method, seconds, *more):
    """The profile of a running `locks`, which must be as it was afterwards, and what was said."""
    out = test.path(f"{shape}.{mode}.{method}.pb.gz")
    with harness.Target(["locks", *shape.split()], preexec_fn=go_first) as target:
        before = footprint(target)
        result = harness.attach("-p", target.pid, "-mode", mode, "-block-method", method, "-seconds", seconds, "-v",
                                "-f", "-o", out, *more, preexec_fn=go_first)
        test.assertEqual(result.returncode, 0, result.stderr)
        footprint(target)
        before.check_unchanged(test)
    return harness.Profile.read(out), result.stderr


def sums(profile, wanted=lambda stack, labels: True):
    """(contentions, delay, parked, parked delay) of the samples wanted."""
    total = [0, 0, 0, 0]
    for stack, values, labels in profile.samples:
        if wanted(stack, labels):
            for i, value in enumerate(values[:4]):
                total[i] += value
    return total


def in_wait(stack, labels):
    return any(name.startswith("wait_") for name in stack)


# kind of waits.c -> (label, contends, the functions of the C library of which one must be the leaf, but for prefixes)
PRIMITIVES = {
    "mutex": ("mutex", True, "pthread_mutex_lock"),
    "timedlock": ("mutex", True, "pthread_mutex_(clock|timed)lock"),
    "pi": ("pi_mutex", True, "pthread_mutex_lock"),
    "robust": ("robust_mutex", True, "pthread_mutex_lock"),
    "rdlock": ("rwlock", True, "pthread_rwlock_rdlock"),
    "wrlock": ("rwlock", True, "pthread_rwlock_wrlock"),
    "sem": ("semaphore", True, "(new_)?sem_wait"),
    "cond": ("condvar", False, "pthread_cond_wait"),
    "cond_timed": ("condvar", False, "pthread_cond_"),
    "barrier": ("barrier", True, "pthread_barrier_wait"),
    "join": ("join", True, "pthread_(clock)?join"),
    "once": ("once", True, "pthread_once"),
    "futex": ("park", False, "syscall"),  # held by nobody, as far as its word tells
}


def unseen(profile):
    """The part of the time in which the machine did not let the proc tier look; it says so itself from a twentieth on."""
    gaps = re.search(r"([\d.]+) s of the time passed in gaps between two looks", " ".join(profile.comments))
    return float(gaps[1]) * 1e9 / profile.duration_nanos if gaps else 0


def lost(profile):
    """How many waits the profile says it has lost: a ring holds about 127 stacks, and a reader that may not run leaves it full."""
    return int(re.search(r"lost: (\d+)", " ".join(profile.comments))[1])


class Primitives(harness.TempDir):
    """200 waits of 3 ms on each primitive: delays within 2 %, counts within 3 %, kind and stack right."""

    def check(self, kind, method, hold_us=3000, waits=200, count_margin=0.03, delay_margin=0.02):
        label, contends, function = PRIMITIVES[kind]
        profile, count, delay = profile_of(self, kind, hold_us, waits, method)
        contentions, delayed, parked, parked_delay = sums(profile, in_wait)
        missing = unseen(profile) + lost(profile) / count
        count_margin, delay_margin = count_margin + missing, delay_margin + missing
        got = (contentions, delayed) if contends else (parked, parked_delay)
        self.assertEqual((parked, parked_delay) if contends else (contentions, delayed), (0, 0), "in the wrong pair")
        self.assertAlmostEqual(got[0] / count, 1, delta=count_margin, msg=f"{kind} count {got[0]} of {count}")
        # A PI mutex and a join have the kernel at work before they sleep and after they are woken.
        margin = 0.06 + missing if kind in ("pi", "join", "once") else delay_margin
        delay.check(self, got[1], margin, kind)
        for stack, _, labels in profile.samples:
            if in_wait(stack, labels):
                self.assertEqual(labels["kind"], label)
                self.assertRegex(stack[0], f"^_*{function}", stack)
                self.assertIn("clone", stack[-1], f"not rooted: {stack}")
                self.assertEqual(labels["thread"], "waiter")
                if method != "proc" and label in ("mutex", "pi_mutex", "robust_mutex", "rwlock"):
                    self.assertTrue(labels.get("owner", "").startswith("holder ("), labels)
        self.assertIn(f"waits by {method}:", " ".join(profile.comments))

    def each(self, method, kinds, **more):
        for kind in kinds:
            with self.subTest(kind=kind):
                self.check(kind, method, **more)

    @unittest.skipUnless(is_root(), "the BPF tier needs root")
    def test_bpf(self):
        self.each("bpf", PRIMITIVES)

    @unittest.skipUnless(is_root(), "the BPF tier needs root")
    def test_bpf_tells_the_newer_system_call(self):
        """futex_wait (Linux 6.7); nobody's library uses it yet. Told where a thread goes on, which the kernel says since 6.16."""
        if tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) < (6, 16):
            self.skipTest("Linux is older than 6.16")
        profile, count, delay = profile_of(self, "futex_wait", 3000, 100, "bpf")
        _, _, parked, delayed = sums(profile, in_wait)
        missing = lost(profile) / count
        self.assertAlmostEqual(parked / count, 1, delta=0.03 + missing)
        delay.check(self, delayed, 0.02 + missing, "futex_wait")

    def test_perf(self):
        self.each("perf", PRIMITIVES)

    def test_proc(self):
        # Looking every millisecond meets each of these waits ten times, on a machine that lets us look.
        self.each("proc", ["mutex", "cond", "sem", "wrlock"], hold_us=10000, waits=80, count_margin=0.10,
                  delay_margin=0.10)

    def test_proc_finds_frame_pointers_that_it_is_not_told(self):
        """-O0 code finds every frame through rbp, of which /proc/PID/task/TID/syscall says nothing."""
        profile, _, _ = profile_of(self, "mutex", 10000, 40, "proc", program="waits_O0")
        for stack, _, _ in profile.samples:
            self.assertNotIn("[truncated]", stack)
        whole = sums(profile, lambda stack, labels: "wait_mutex" in stack and "clone" in stack[-1])
        self.assertGreater(whole[1], 100 * MS)

    def test_a_command_that_ends_at_once_has_its_stacks(self):
        """12 ms: its mappings are there for as long only. We may be late where the machine is busy, but not always."""
        for method in Shapes.METHODS:
            whole = 0
            for _ in range(20):
                profile, count, _ = profile_of(self, "mutex", 1100, 8, method)
                self.assertEqual(profile.total(0), count)
                whole += sums(profile, in_wait)[0] == count
            self.assertGreaterEqual(whole, 5, f"by {method}")

    def test_short_waits_are_thinned_without_bias(self):
        if not is_root():
            self.skipTest("the BPF tier needs root")
        profile, count, delay = profile_of(self, "mutex", 200, 4000, "bpf")
        contentions, delayed, _, _ = sums(profile, in_wait)
        kept = int(re.search(r"samples: (\d+)", " ".join(profile.comments))[1])
        self.assertLess(kept, count * 0.6)
        missing = lost(profile) / (kept + lost(profile))
        self.assertAlmostEqual(contentions / count, 1, delta=0.15 + missing)
        delay.check(self, delayed, 0.10 + missing, "mutex")


class Moved(harness.TempDir):
    """FUTEX_REQUEUE takes a condition variable's waiter to the lock: from then on it is the lock that it waits for. futex_waitv
    is followed as soon as somebody uses it."""

    ROUNDS, WAITERS, LOCK_MS = 15, 3, 10 + 12 + 14  # what the three wait for the lock at least, in each round

    def run_of(self, kind, mode):
        out = self.path(f"{kind}.{mode}.pb.gz")
        result = harness.attach("-mode", mode, "-block-method", "perf", "-seconds", 60, "-f", "-o", out, "--",
                                harness.target_path("requeue"), kind, self.ROUNDS, preexec_fn=go_first)
        self.assertEqual(result.returncode, 0, result.stderr)
        news, lock = map(int, re.search(r"truth news \d+ ns (\d+) lock \d+ ns (\d+)", result.stdout).groups())
        return harness.Profile.read(out), news, lock

    def test_the_condition_is_waited_for_until_the_news_and_the_lock_after_it(self):
        for kind, lock_kind in (("cond", "mutex"), ("pi", "pi_mutex")):
            with self.subTest(kind=kind):
                profile, news, lock = self.run_of(kind, "block")
                at_lock = sums(profile, lambda stack, labels: "wait_for_news" in stack and labels["kind"] == lock_kind)
                at_news = sums(profile, lambda stack, labels: "wait_for_news" in stack and labels["kind"] != lock_kind)
                self.assertEqual(at_lock[0], self.ROUNDS * self.WAITERS)
                self.assertEqual(at_news[2], self.ROUNDS * self.WAITERS)
                self.assertEqual((at_lock[2:], at_news[:2]), ([0, 0], [0, 0]), "in the wrong pair")
                Delay(self.ROUNDS * self.LOCK_MS * MS, lock).check(self, at_lock[1], 0.05, "lock")
                Delay(news, news).check(self, at_news[3], 0.1, "news")
                locks = {labels["lock"] for stack, values, labels in profile.samples if values[1] and "wait_for_news" in stack}
                self.assertEqual(len(locks), 1, "one lock")

    def test_the_lock_is_paid_for_by_who_releases_it(self):
        for kind in ("cond", "pi"):
            with self.subTest(kind=kind):
                profile, _, lock = self.run_of(kind, "mutex")
                paid = sums(profile, lambda stack, labels: "drop_lock" in stack)
                Delay(self.ROUNDS * self.LOCK_MS * MS, lock).check(self, paid[1], 0.05, kind)

    def sleep_in_waitv(self, pid):
        calls = []
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/syscall") as file:
                calls.append(file.read().split()[0])
        return calls.count("449") == self.WAITERS

    def follow_waitv(self, before, seen):
        """`seen(pid of the tool, its descriptors in the beginning)` says when the call is followed."""
        os.chmod(self.dir, 0o777)
        out = self.path("waitv.pb.gz")
        target = harness.Target([*before, harness.target_path("requeue"), "waitv"])

        def line(answer):
            target.process.stdin.write("\n")
            target.process.stdin.flush()
            self.assertEqual(target.process.stdout.readline() if answer else "", answer)
            harness.wait_until(lambda: self.sleep_in_waitv(target.pid), "three threads sleep in futex_waitv")

        tool = subprocess.Popen([*before, harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", "perf",
                                 "-seconds", "0", "-f", "-o", out], stderr=subprocess.PIPE, text=True)
        harness.wait_for_window(tool)
        descriptors = len(os.listdir(f"/proc/{tool.pid}/fd"))
        line("")
        seen(tool.pid, descriptors)
        for _ in range(5):
            line("told\n")
        tool.send_signal(signal.SIGINT)
        said = tool.communicate(timeout=60)[1]
        self.assertEqual(tool.returncode, 0, said)
        target.process.stdin.close()
        self.assertEqual(target.process.wait(timeout=60), 0)
        return sums(harness.Profile.read(out), lambda stack, labels: "wait_for_news" in stack)[2]

    def test_an_ordinary_user_has_futex_waitv_followed_from_when_it_is_used(self):
        harness.need_another_user()
        more = 2 * (self.WAITERS + 1) * os.cpu_count()  # entry and return of each thread on each processor, at least
        seen = lambda pid, before: harness.wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) >= before + more,
                                                      "it follows the call")
        self.assertGreaterEqual(self.follow_waitv(harness.as_nobody([]), seen), 4 * self.WAITERS)

    @unittest.skipUnless(is_root(), "events of CPUs need CAP_PERFMON")
    def test_futex_waitv_is_always_followed_where_events_are_of_cpus(self):
        # All begin and all but the last end within the window.
        self.assertEqual(self.follow_waitv([], lambda pid, before: None), 6 * self.WAITERS)


class Shapes(harness.TempDir):
    METHODS = ("bpf", "perf") if is_root() else ("perf",)

    def test_mutex_mode_names_the_slow_holder(self):
        for method in self.METHODS:
            with self.subTest(method=method):
                profile, _ = attach_to(self, "slower", "mutex", method, 3)
                self.assertEqual(profile.sample_types, [("contentions", "count"), ("delay", "nanoseconds")])
                share = profile.share(lambda stack, labels: "slow_unlock" in stack, 1)
                if method == "bpf":
                    agreed, named = map(int, re.search(r"; (\d+) of (\d+) mutexes .* were released by the thread that",
                                                       " ".join(profile.comments)).groups())
                    self.assertGreater(named, 0)
                    self.assertGreaterEqual(agreed, named * 0.95 - 1, "released by others than who held them")
                self.assertRegex(profile.samples[0][0][0], "^_*pthread_mutex_unlock")
                # 0.99 and more on a machine with a processor to spare. On a busy one the others are preempted while they hold it,
                # and then they are to blame as well.
                self.assertGreaterEqual(share, 0.6, f"slow_unlock has {share:.4f} of the delay")

    def test_mutex_mode_names_holders_whose_unlock_is_a_tail_call(self):
        with harness.Target("tail_locks") as target:
            mark, out = footprint(target), self.path("tail.pb.gz")
            result = harness.attach("-p", target.pid, "-mode", "mutex", "-seconds", 2, "-f", "-o", out)
            self.assertEqual(result.returncode, 0, result.stderr)
            mark.check_unchanged(self)
            profile = harness.Profile.read(out)
            # glibc's pthread_mutex_unlock() itself leaves by a tail call; the leaf is what the program called.
            stacks = {";".join(stack[1:]) for stack, _, _ in profile.samples if "pthread_mutex_unlock" in stack[0]}
            for line in target.said:
                if line.startswith("stack "):
                    want = line.split()[1]
                    with self.subTest(want=want):
                        self.assertTrue(any(stack.startswith(want + ";") for stack in stacks), sorted(stacks))
            # What nobody can tell is not made up: which of two it was, and what only a pointer leads to.
            told = {name for stack in stacks for name in stack.split(";")}
            self.assertFalse(told & {"release_left", "release_right"}, told)

    def test_block_mode_charges_the_waiters(self):
        for method in self.METHODS:
            with self.subTest(method=method):
                profile, _ = attach_to(self, "slow", "block", method, 1)
                self.assertEqual(profile.sample_types[:2], [("contentions", "count"), ("delay", "nanoseconds")])
                self.assertEqual(profile.default_sample_type, "delay")
                share = profile.share(lambda stack, labels: "fast_lock" in stack, 1)
                self.assertGreaterEqual(share, 0.98)
                # 32 threads wait nearly all of the time; the slow one waits for them now and then.
                fast = sums(profile, lambda stack, labels: labels["thread"] == "fast")[1]
                self.assertLess(fast / (32 * profile.duration_nanos), 1.001)
                self.assertGreater(fast / (32 * profile.duration_nanos), 0.7)

    def test_what_happens_after_the_window_is_not_in_it(self):
        """The profiler is not let run when its window ends, and finds other waits open than were open then."""
        for method in self.METHODS + ("proc",):
            with self.subTest(method=method), harness.Target(["locks", "slow"], preexec_fn=go_first) as target:
                out = self.path(f"late.{method}.pb.gz")
                run = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", method,
                                        "-seconds", "1", "-f", "-o", out], stderr=subprocess.PIPE, text=True)
                run.stderr.readline()
                harness.wait_for_window(run)
                time.sleep(0.8)
                run.send_signal(signal.SIGSTOP)
                time.sleep(0.6)
                run.send_signal(signal.SIGCONT)
                self.assertEqual(run.wait(timeout=60), 0, run.stderr.read())
                run.stderr.close()
                profile = harness.Profile.read(out)
                fast = sums(profile, lambda stack, labels: labels["thread"] == "fast")[1]
                self.assertLess(fast / (32 * profile.duration_nanos), 1.01)
                self.assertGreater(fast / (32 * profile.duration_nanos), 0.5)

    def test_idle_pool_does_not_drown_the_contended_lock(self):
        for method in self.METHODS + ("proc",):
            with self.subTest(method=method):
                profile, _ = attach_to(self, "idle", "block", method, 1)
                share = profile.share(lambda stack, labels: "fast_lock" in stack or "slow_lock" in stack, 1)
                self.assertGreaterEqual(share, 0.99)
                parked = sums(profile, lambda stack, labels: "await_work" in stack)
                self.assertEqual(parked[:2], [0, 0])
                self.assertAlmostEqual(parked[3] / (500 * profile.duration_nanos), 1, delta=0.15)

    def test_an_empty_profile_says_why_and_where_to_look(self):
        with subprocess.Popen(["sleep", "60"]) as target:
            for mode, more in (("mutex", ""), ("block", ", waits in other calls in -mode block -block all")):
                result = harness.attach("-p", target.pid, "-mode", mode, "-seconds", 0.5, "-f", "-o", self.path("e.pb.gz"))
                self.assertIn("no thread waited for a lock in 0.5 s: all of the time is in -mode wall, where the threads are now in "
                              "-mode threads" + more + "\n", result.stderr)
            self.assertIsNone(target.poll())
            target.kill()
        for method in self.METHODS:
            with harness.Target(["waits", "cond", "2000"], preexec_fn=go_first) as target:
                result = harness.attach("-p", target.pid, "-mode", "mutex", "-block-method", method, "-seconds", 0.5, "-f",
                                        "-o", self.path("m.pb.gz"), preexec_fn=go_first)
            self.assertRegex(result.stderr, r"no thread waited for a lock in 0\.5 s; \d+ wake-ups were of threads that waited "
                                            r"for work \(condvar .*\), which is no contention: -mode block shows them")

    def test_a_thread_that_goes_on_while_it_is_looked_at_has_the_stack_of_its_wait(self):
        """By /proc nothing holds it still: half of the stack would be of the nap that follows the wait."""
        profile, _ = attach_to(self, "brief", "block", "proc", 2, "-rate", "1ms")
        waits = [(stack, values) for stack, values, labels in profile.samples if labels["kind"] == "mutex"]
        self.assertFalse([stack for stack, _ in waits if "clock_nanosleep" in stack or "brief_nap" in stack])
        whole = sum(values[1] for stack, values in waits if "brief_lock" in stack)
        self.assertGreater(whole, 100 * MS)
        self.assertGreater(whole / sum(values[1] for _, values in waits), 0.95)

    def test_deadlock_shows_as_open_waits_with_their_owners(self):
        for method in self.METHODS + ("proc",):
            with self.subTest(method=method):
                profile, _ = attach_to(self, "abba", "block", method, 1)
                found = {labels["thread"]: labels for stack, _, labels in profile.samples if "take_second" in stack}
                self.assertEqual(set(found), {"forwards", "backwards"})
                for name, labels in found.items():
                    other = "backwards" if name == "forwards" else "forwards"
                    self.assertEqual(labels["open"], "true")
                    self.assertTrue(labels["owner"].startswith(f"{other} ("), labels)
                    self.assertTrue(labels["lock"].startswith("0x"), labels)

    def test_a_writer_that_holds_a_rwlock_is_told_of_waits_that_had_begun(self):
        with harness.Target(["lockers", "rwlock"]) as target:
            for method in self.METHODS + ("proc",):
                with self.subTest(method=method):
                    out = self.path(f"{method}.pb.gz")
                    result = harness.attach("-p", target.pid, "-mode", "block", "-block-method", method, "-seconds", "0.3",
                                            "-f", "-o", out)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    owners = {labels["thread"]: labels.get("owner", "").split(" (")[0]
                              for _, _, labels in harness.Profile.read(out).samples if "owner" in labels}
                    self.assertEqual(owners, {"writer": "reader", "reader": "writer"})

    def test_thundering_herd_is_told_from_the_wait_that_it_was_woken_from(self):
        """32 threads are woken together and all want the condition's mutex: that part of pthread_cond_wait contends."""
        for method in self.METHODS + ("proc",):
            with self.subTest(method=method):
                profile, _ = attach_to(self, "herd", "block", method, 2)
                contends = [(stack, values, labels) for stack, values, labels in profile.samples if values[1]]
                if method != "proc":  # which seldom meets the few microseconds of it
                    self.assertGreater(sum(values[0] for _, values, _ in contends), 50)
                for stack, values, labels in contends:  # who wakes waits for the last ones woken to have left
                    self.assertEqual(labels["kind"], "futex" if "broadcaster" in stack else "mutex", stack)
                    self.assertEqual(values[2:4], [0, 0])
                parked = sums(profile, lambda stack, labels: labels["kind"] == "condvar" and "await_work" in stack)
                # 0.9 and 0.85 where the machine has time: who broadcasts and who works come late on a busy one.
                waited = parked[3] / (32 * profile.duration_nanos)
                self.assertTrue(0.5 < waited < 1.01, waited)
                if method != "proc":
                    waits = parked[2] / (32 * profile.duration_nanos / (10 * MS))
                    self.assertTrue(0.1 < waits < 1.05, waits)

    def test_the_three_ways_tell_the_same_of_one_target(self):
        """At the same time, but not in quite the same three seconds, so more waits may have been in one of them: how exact each is the
        tests of Primitives tell."""
        methods = self.METHODS + ("proc",)
        with harness.Target(["waits", "mutex", "5000"], preexec_fn=go_first) as target:
            runs = {method: subprocess.Popen(
                [harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", method, "-seconds", "3", "-f",
                 "-o", self.path(f"{method}.pb.gz")], stderr=subprocess.PIPE, text=True, preexec_fn=go_first)
                for method in methods}
            for run in runs.values():
                said = run.communicate(timeout=60)[1]
                self.assertEqual(run.returncode, 0, said)
        rates, stacks, gaps, windows = {}, {}, {}, {}
        for method in methods:
            profile = harness.Profile.read(self.path(f"{method}.pb.gz"))
            found = sums(profile, in_wait)
            self.assertEqual(found[2:], [0, 0])
            gaps[method] = unseen(profile)
            windows[method] = profile.time_nanos, profile.time_nanos + profile.duration_nanos, profile.duration_nanos
            rates[method] = [value / profile.duration_nanos for value in found[:2]]
            stacks[method] = {(tuple(stack), labels["kind"], labels["thread"], labels["lock"], labels.get("owner"))
                              for stack, _, labels in profile.samples if in_wait(stack, labels)}
        for method in methods[1:]:
            (count, delay), (best_count, best_delay) = rates[method], rates[methods[0]]
            # The one waiter may have waited all through what is in one window only, and not at all in what is in the other.
            apart = sum(abs(a - b) for a, b in zip(windows[method][:2], windows[methods[0]][:2])) / windows[method][2]
            about = f"{rates} {gaps} {windows}"
            self.assertAlmostEqual(count / best_count, 1, delta=0.25 + gaps[method], msg=about)
            self.assertAlmostEqual(delay / best_delay, 1,
                                   delta=(0.10 if method == "proc" else 0.05) + gaps[method] + apart / best_delay, msg=about)
            self.assertEqual(stacks[method], stacks[methods[0]])

    def test_forking_and_short_lived_threads(self):
        for method in self.METHODS + ("proc",):
            with self.subTest(shape="fork", method=method):
                profile, _ = attach_to(self, "fork", "block", method, 1)
                self.assertGreater(sums(profile, lambda stack, labels: "fast_lock" in stack)[1], 100 * MS)
                self.assertFalse([s for s, _, _ in profile.samples if "forker" in s], "a child's wait")
            with self.subTest(shape="churn", method=method), harness.Target(["locks", "churn"], preexec_fn=go_first) as target:
                out = self.path(f"churn.{method}.pb.gz")
                run = harness.Process([harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", method,
                                       "-seconds", "0", "-o", out], stderr=subprocess.PIPE, text=True, preexec_fn=go_first)
                harness.wait_for_window(run)
                # How long that takes is up to the machine.
                self.wait_for_waits(target, 3000)
                run.send_signal(signal.SIGINT)
                _, said = run.communicate(timeout=60)
                self.assertEqual(run.returncode, 0, said)
                self.assertGreater(sums(harness.Profile.read(out), lambda stack, labels: "once_lock" in stack)[1], 100 * MS)

    def wait_for_waits(self, target, n):
        """Until `locks` has counted so many more."""
        self.ask_waits(target)
        while n > 0:
            time.sleep(0.05)
            n -= self.ask_waits(target)

    @staticmethod
    def ask_waits(target):
        target.process.send_signal(signal.SIGUSR1)
        return int(target.process.stdout.readline().split()[1])

    def test_the_ways_of_the_cxx_library(self):
        want = {"wait_mutex": "mutex", "wait_recursive": "mutex", "wait_timed": "mutex", "wait_shared": "rwlock",
                "wait_condition": "condvar", "wait_future": "future"}
        out = self.path("cxx.pb.gz")
        with harness.Target("locks_cxx") as target:
            result = harness.attach("-p", target.pid, "-mode", "block", "-seconds", 1, "-f", "-o", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        most = {}
        for stack, values, labels in harness.Profile.read(out).samples:
            for name in stack:
                short = name.split("::")[-1]
                if short in want:
                    kinds = most.setdefault(short, {})
                    kinds[labels["kind"]] = kinds.get(labels["kind"], 0) + values[1] + values[3]
        # A future's wait_ holds the join of its worker as well.
        self.assertEqual({name: max(kinds, key=kinds.get) for name, kinds in most.items()}, want)

    def test_storm_is_bounded_and_losses_are_counted(self):
        for method in self.METHODS:
            with self.subTest(method=method):
                with harness.Target(["locks", "storm"]) as target:
                    out = self.path("storm.pb.gz")
                    command = [harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", method,
                               "-seconds", "2", "-v", "-f", "-o", out]
                    _, said, usage = run_measured(command)
                    profile = harness.Profile.read(out)
                self.assertLess(usage.ru_maxrss, 200 * 1024, "KB of memory")
                samples, lost = map(int, re.search(r"samples: (\d+), lost: (\d+)", " ".join(profile.comments)).groups())
                if method == "bpf":  # counts in the kernel what it hands out, also what comes after the window
                    kept = int(re.search(r"seen, (\d+) kept", said)[1])
                    self.assertLessEqual(samples + lost, kept)
                    self.assertGreaterEqual(samples + lost, kept * 0.5, said)
                else:  # all waits are told, and of some the stack is taken
                    self.assertIn("of one call in", said)
                self.assertGreater(profile.share(lambda stack, labels: "ping_wait" in stack, 2), 0.99)
                # Those who sleep long have their own stacks in the midst of it. The whole time, and less only where all come late.
                rare = sums(profile, lambda stack, labels: "rare_wait" in stack)
                self.assertGreater(rare[1] + rare[3], profile.duration_nanos / 2, said)


def run_measured(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(said)
    return process.returncode, said, usage


class Scope(harness.TempDir):
    @unittest.skipUnless(is_root(), "-block all needs the BPF tier, and that root")
    def test_all_tells_every_blocking_call_by_its_reason(self):
        profile, _, _ = profile_of(self, "mutex", 1000, 200, "bpf", "block", "-block", "all")
        self.assertEqual(profile.sample_types[4:], [("offcpu", "nanoseconds"), ("runqueue", "nanoseconds")])
        self.assertEqual(profile.default_sample_type, "offcpu")
        calls = {labels.get("call") for _, _, labels in profile.samples}
        self.assertLessEqual({"futex", "clock_nanosleep", "sigtimedwait"}, calls)
        for stack, values, labels in profile.samples:
            if labels.get("call") == "clock_nanosleep":
                self.assertEqual(labels["kind"], "sleep")
                self.assertEqual(values[:2], [0, 0], "a sleep is no contention")
        self.assertGreater(profile.total(5), 0, "nobody ever waited for a CPU")

    @unittest.skipUnless(is_root(), "-block all needs the BPF tier, and that root")
    def test_all_tells_page_faults_that_wait_for_the_disk(self):
        out = self.path("faults.pb.gz")
        result = harness.attach("-mode", "block", "-block", "all", "-seconds", 60, "-o", out, "--",
                                harness.target_path("faults"), os.path.join(harness.BUILD, "faults.dat"))
        self.assertEqual(result.returncode, 0, result.stderr)
        major, slept = map(int, re.search(r"major (\d+) slept (\d+)", result.stdout).groups())
        if slept < 100:
            self.skipTest(f"only {slept} of {major} page faults had to wait: that file system keeps everything in memory")
        faults = [(s, v) for s, v, labels in harness.Profile.read(out).samples if labels["kind"] == "page_fault"]
        mine = sum(values[2] for stack, values in faults if "touch_pages" in stack)
        # A reader that was not let run has lost some; each that was told stands for as many.
        told, lost = (int(re.search(rf"([\d,]+) {what}", result.stderr).group(1).replace(",", "")) for what in ("samples", "lost"))
        self.assertGreater(mine, slept * 0.8 * told / (told + lost), result.stderr)
        self.assertLess(mine, slept * 1.2)

    def test_a_killed_profiler_leaves_the_target_running(self):
        for method in Shapes.METHODS + ("proc",):
            with self.subTest(method=method), harness.Target(["locks", "storm"]) as target:
                before = footprint(target)
                attached = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method",
                                             method, "-seconds", "30", "-o", self.path("never.pb.gz")],
                                            stderr=subprocess.PIPE, text=True)
                attached.stderr.readline()
                harness.wait_for_window(attached)
                target.process.send_signal(signal.SIGUSR1)
                target.process.stdout.readline()
                attached.kill()
                attached.communicate()
                footprint(target)
                before.check_unchanged(self)
                turns = 0
                while not turns:  # a target that stands still makes this test run into its time limit
                    target.process.send_signal(signal.SIGUSR1)
                    turns = int(target.process.stdout.readline().split()[1])

    @unittest.skipUnless(is_root(), "the BPF tier needs root")
    def test_the_bpf_program_hides_nothing_from_other_perf_users(self):
        with harness.Target(["locks", "slow"]) as target:
            out = self.path("bpf.pb.gz")
            beside = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "block", "-block-method", "bpf",
                                       "-seconds", "0", "-f", "-o", out], stderr=subprocess.PIPE, text=True)
            beside.stderr.readline()
            harness.wait_for_window(beside)
            other = self.path("perf.pb.gz")
            result = harness.attach("-p", target.pid, "-mode", "block", "-block-method", "perf", "-seconds", 1, "-f",
                                    "-o", other)
            beside.send_signal(signal.SIGINT)
            beside.communicate(timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("hides futex calls", result.stderr)
        self.assertGreater(sums(harness.Profile.read(other))[0], 50)
        self.assertGreater(sums(harness.Profile.read(out))[0], 50)

    @unittest.skipUnless(is_root(), "becomes another user")
    def test_an_ordinary_user_gets_both_profiles_of_his_own_process(self):
        os.chmod(self.dir, 0o777)
        for mode, types in (("block", 4), ("mutex", 2)):
            with self.subTest(mode=mode):
                out = self.path(f"{mode}.pb.gz")
                result = harness.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                                      harness.ATTACH, "-mode", mode, "-v", "-seconds", "60", "-o", out, "--",
                                      harness.target_path("waits"), "mutex", "3000", "100"])
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("waits by perf", result.stderr)
                self.assertIn("not by bpf", result.stderr)
                profile = harness.Profile.read(out)
                self.assertEqual(len(profile.sample_types), types)
                self.assertAlmostEqual(profile.total(0), 100, delta=3)

    def test_bad_requests_are_refused_by_name(self):
        with harness.Target(["locks", "abba"]) as target:
            for args, words in ((["-block-method", "magic"], "methods are auto, bpf, perf and proc"),
                                (["-block", "some"], "contention"),
                                (["-mode", "mutex", "-block", "all"], "-block all does not go with it"),
                                (["-rate", "soon"], "rate")):
                result = harness.attach("-p", target.pid, "-mode", "block", "-seconds", 1, *args)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(words, result.stderr)
            result = harness.attach("-p", target.pid, "-mode", "mutex", "-seconds", 1, "-block-method", "proc")
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("not who ends a wait", result.stderr)


if __name__ == "__main__":
    harness.main()
