# SPDX-License-Identifier: Apache-2.0
# alone: processor time by moments is compared
"""When samples were, and of which threads: -timeline, -threads, -tid, pools, and what cprof makes of times."""

import re
import time

import harness
from harness import Profile, Target, TempDir, attach, attach_while_it_works, run

BUCKET_MS = 50
SLACK_NS = 5_000_000  # between the two clocks, which are not read at one moment


def wall_less_monotonic():
    """The difference of the two clocks: of several readings the one that nobody interrupted."""
    readings = []
    for _ in range(50):
        before = time.monotonic_ns()
        wall = time.time_ns()
        readings.append((time.monotonic_ns() - before, wall - before))
    return min(readings)[1]


class Base(TempDir):
    def record(self, pid, *args, ticks=60, name="cpu.pb.gz"):
        done = attach_while_it_works(pid, ticks, "-o", self.path(name), "-f", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stderr = done.stderr
        return Profile.read(self.path(name))

    def cprof(self, *args):
        done = run([harness.CPROF, *map(str, args)])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


def phases_of(text):
    """{(thread, function): [(begin, end)]} of what the target printed."""
    found = {}
    for name, thread, begin, end in re.findall(r"phase (\w+) (\S+) (\d+) (\d+)", text):
        found.setdefault((thread, name + "_phase"), []).append((int(begin), int(end)))
    return found


class Timeline(Base):
    def test_each_bucket_says_what_the_program_did_then(self):
        with Target("phases") as target:
            profile = self.record(target.pid, "-hz", 1000, "-timeline", f"{BUCKET_MS}ms", ticks=350)
            clocks = wall_less_monotonic()
            phases = phases_of(target.close())
        self.assertEqual(len(phases), 4, phases)
        start = profile.time_nanos - clocks
        seen = {}
        for stack, values, labels in profile.samples:
            self.assertEqual(labels["time_ms"] % BUCKET_MS, 0)
            names = [name for name in stack if name.endswith("_phase")]
            if not names or labels["thread"] not in ("worker-1", "worker-2"):
                continue
            begin = start + labels["time_ms"] * 1_000_000
            end = begin + BUCKET_MS * 1_000_000
            fits = [at for at, (first, last) in enumerate(phases[labels["thread"], names[0]])
                    if first - SLACK_NS < end and begin < last + SLACK_NS]
            self.assertEqual(len(fits), 1, (names, labels, begin, phases))
            place = (labels["thread"], names[0], fits[0])
            seen[place] = seen.get(place, 0) + values[1]
        # Each phase that lies in the window as a whole took 400 ms of CPU time.
        last = start + profile.duration_nanos
        whole = [(thread, name, at) for (thread, name), times in phases.items() for at, (begin, end) in enumerate(times)
                 if start + SLACK_NS < begin and end < last - SLACK_NS]
        self.assertGreater(len(whole), 1)
        for place in whole:
            self.assertAlmostEqual(seen.get(place, 0) / 1e6, 400, delta=80, msg=str(place))

    def test_a_file_of_cpu_time_has_times_and_is_not_twice_as_large(self):
        with Target("phases") as target:
            profile = self.record(target.pid, "-hz", 500, ticks=120)
            without = self.record(target.pid, "-hz", 500, "-timeline", "off", ticks=30, name="without.pb.gz")
        told = [re.match(r"time: the label time_ms says when samples were, in buckets of (\d+) ms$", text) for text in profile.comments]
        width = int([match for match in told if match][0].group(1))
        times = {labels["time_ms"] for _, _, labels in profile.samples}
        self.assertTrue(all(time % width == 0 for time in times), times)
        self.assertLessEqual(max(times), profile.duration_nanos / 1e6)
        self.assertTrue(10 <= profile.duration_nanos / 1e6 / width <= 1000, width)
        self.assertFalse(any("time_ms" in labels for _, _, labels in without.samples))
        # The same profile without its times, as cprof writes it.
        self.cprof("-proto", "-taghide=^time_ms$", "-output", self.path("same.pb.gz"), self.path("cpu.pb.gz"))
        same = Profile.read(self.path("same.pb.gz"))
        self.assertEqual((same.total(), same.total(1)), (profile.total(), profile.total(1)))

    def test_reports_of_a_file_with_times_are_those_of_one_without(self):
        with Target("phases") as target:
            self.record(target.pid, "-timeline", "10ms")
        self.cprof("-proto", "-taghide=^time_ms$", "-output", self.path("same.pb.gz"), self.path("cpu.pb.gz"))
        for report in ("-top", "-tree", "-peek=phase", "-folded", "-list=first_phase", "-callgrind", "-text"):
            self.assertEqual(self.cprof(report, self.path("cpu.pb.gz")), self.cprof(report, self.path("same.pb.gz")), report)

    def test_bad_buckets_and_modes_that_have_no_times_are_refused(self):
        with Target("hot") as target:
            for args, words in (
                (("-timeline", "0"), "not a whole number of milliseconds"),
                (("-timeline", "1500us"), "not a whole number of milliseconds"),
                (("-timeline", "2h"), "not a whole number of milliseconds"),
                (("-timeline=x",), "not a duration"),
                (("-timeline", "-mode", "heap"), "does not say when"),
                (("-timeline", "-http", "127.0.0.1:0"), "does not go with -http"),
                (("-timeline", "-live"), "does not go with -live"),
            ):
                done = attach("-p", target.pid, *args)
                self.assertEqual(done.returncode, 2, (args, done.stderr))
                self.assertIn(words, done.stderr)


class Threads(Base):
    def threads_of(self, profile):
        return {labels["thread"] for _, _, labels in profile.samples}

    def test_a_pattern_or_ids_choose_threads(self):
        with Target("phases") as target:
            profile = self.record(target.pid, "-threads", "er-1$", ticks=40)
            self.assertEqual(self.threads_of(profile), {"worker-1"})
            self.assertIn("only some threads: -threads 'er-1$'", "\n".join(profile.comments))
            tid = {labels["tid"] for _, _, labels in profile.samples}
            self.assertEqual(len(tid), 1)
            profile = self.record(target.pid, "-tid", tid.pop(), ticks=40)
            self.assertEqual(self.threads_of(profile), {"worker-1"})
            profile = self.record(target.pid, "-threads", "^worker-", ticks=40)
            self.assertEqual(self.threads_of(profile), {"worker-1", "worker-2"})
            self.assertEqual({labels.get("pool") for _, _, labels in profile.samples}, {"worker-#"})

    def test_other_modes_choose_too(self):
        with Target("phases") as target:
            everybody = Profile.read(self.snapshot(target.pid))
            self.assertEqual(self.threads_of(everybody), {"phases", "idle", "worker-1", "worker-2"})
            name = "idle"
            only = Profile.read(self.snapshot(target.pid, "-threads", f"^{name}$"))
            self.assertEqual(self.threads_of(only), {name})
            text = attach("-p", target.pid, "-mode", "threads", "-text", "-threads", f"^{name}$").stdout
            self.assertEqual(set(re.findall(r'^thread \d+ "([^"]*)"', text, re.M)), {name})

    def snapshot(self, pid, *args):
        done = attach("-p", pid, "-mode", "threads", "-o", self.path("threads.pb.gz"), "-f", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.path("threads.pb.gz")

    def test_nobody_of_that_name_is_told_at_once_and_in_the_file(self):
        with Target("phases") as target:
            done = attach("-p", target.pid, "-seconds", "0.2", "-threads", "wroker", "-o", self.path("cpu.pb.gz"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, r"-threads wroker matches no thread of phases now.*: there are phases, idle, worker-1, worker-2")
            self.assertIn("-threads wroker: no such thread was seen doing anything", done.stderr)
            self.assertEqual(Profile.read(self.path("cpu.pb.gz")).samples, [])
            done = attach("-p", target.pid, "-tid", 1, "-o", self.path("b.pb.gz"))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(f"phases {target.pid} has no thread 1", done.stderr)

    def test_what_chooses_nobody_is_refused(self):
        with Target("hot") as target:
            for args, words in (
                (("-threads", "("), "missing closing )"),
                (("-threads", ""), "the expression is empty"),
                (("-tid", "1,x"), "is no list of thread ids"),
                (("-tid", "0"), "is no list of thread ids"),
                (("-mode", "heap", "-threads", "x"), "cannot choose threads"),
            ):
                done = attach("-p", target.pid, *args)
                self.assertEqual(done.returncode, 2, (args, done.stderr))
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    harness.main()
