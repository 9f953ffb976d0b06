# SPDX-License-Identifier: Apache-2.0
# alone: processor time by moments is compared
"""When samples were, and of which threads: -timeline, -threads, -tid, pools, and what cprof makes of times."""

import gzip
import json
import re
import time

import firefox_rules
import harness
import profile_shapes as shapes
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
        # Each phase that lies in the window as a whole took 400 ms of CPU time; the sampler's clock is not the same one, and on a busy
        # machine it is a fifth off. That nothing is in a wrong bucket is shown above.
        last = start + profile.duration_nanos
        whole = [(thread, name, at) for (thread, name), times in phases.items() for at, (begin, end) in enumerate(times)
                 if start + SLACK_NS < begin and end < last - SLACK_NS]
        self.assertGreater(len(whole), 1)
        for place in whole:
            self.assertAlmostEqual(seen.get(place, 0) / 1e6, 400, delta=200, msg=str(place))

    def test_a_file_of_cpu_time_has_times_and_is_not_twice_as_large(self):
        with Target("phases") as target:
            profile = self.record(target.pid, "-hz", 500, ticks=120)
            without = self.record(target.pid, "-hz", 500, "-timeline", "off", ticks=30, name="without.pb.gz")
        told = [re.match(r"time: the label time_ms says when samples were, in buckets of (\d+) ms$", text) for text in profile.comments]
        width = int([match for match in told if match][0].group(1))
        times = {labels["time_ms"] for _, _, labels in profile.samples}
        self.assertTrue(all(time % width == 0 for time in times), times)
        self.assertLessEqual(max(times), profile.duration_nanos / 1e6)
        self.assertTrue(9 < profile.duration_nanos / 1e6 / width <= 1000, width)  # ten, the last of which may be cut short
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
        trees = [re.findall(r'"(?:by|groups|self)":.*', self.cprof("-flamegraph", "-output", "/dev/stdout", self.path(name))) for name in ("cpu.pb.gz", "same.pb.gz")]
        self.assertTrue(any('"by":"thread"' in line for line in trees[0]), trees[0])
        self.assertEqual(*trees)

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
                (("-mode", "threads", "-o", "x.firefox.json.gz"), "a file for the Firefox Profiler is about when samples were, and threads does not say it"),
                (("-timeline", "off", "-o", "x.firefox.json.gz"), "-timeline off does not say it"),
            ):
                done = attach("-p", target.pid, *args)
                self.assertEqual(done.returncode, 2, (args, done.stderr))
                self.assertIn(words, done.stderr)


class Waits(TempDir):
    BUCKET_MS = 100

    def test_no_thread_waits_for_longer_in_a_bucket_than_that_is_long(self):
        with Target("wall") as target:
            before = harness.Footprint(target.pid)
            for method, more in (("auto", ["-rate", "1ns"]), ("perf", []), ("proc", [])):
                with self.subTest(method):
                    out = self.path("waits.pb.gz")
                    done = attach("-p", target.pid, "-mode", "block", "-block-method", method, "-seconds", 0.5, "-timeline",
                                  f"{self.BUCKET_MS}ms", "-f", "-o", out, *more)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    profile, sums = Profile.read(out), {}
                    delays = [i for i, (name, _) in enumerate(profile.sample_types) if name in ("delay", "parked_delay")]
                    for _, values, labels in profile.samples:
                        self.assertTrue(all(value >= 0 for value in values), values)
                        self.assertLess(labels["time_ms"], profile.duration_nanos / 1e6)
                        key = labels["tid"], labels["time_ms"]
                        sums[key] = sums.get(key, 0) + sum(values[i] for i in delays)
                    for who, delay in sums.items():
                        self.assertLessEqual(delay, self.BUCKET_MS * 1_010_000, who)
                    # The threads that wait for nothing do so in every bucket, from the first to the last.
                    waiting = [who for who, delay in sums.items() if delay >= self.BUCKET_MS * 990_000]
                    self.assertGreaterEqual(len({time for _, time in waiting}), 4, sums)
            before.check_unchanged(self)
            self.assertTrue(target.alive())


def made(kinds, samples, period=10_000_000, unit="milliseconds"):
    """A pprof file: sample types, and (stack leaf first, {label: text or number}, values) for each sample."""
    strings, functions, body = shapes.Strings(), {}, b""
    for kind, of in kinds:
        body += shapes.message(1, shapes.integer(1, strings(kind)) + shapes.integer(2, strings(of)))
    for stack, labels, values in samples:
        ids = [functions.setdefault(name, len(functions) + 1) for name in stack]
        inner = shapes.packed(1, ids) + shapes.packed(2, values)
        for key, value in labels.items():
            text = shapes.integer(2, strings(value)) if isinstance(value, str) else \
                shapes.integer(3, value) + shapes.integer(4, strings(unit) if "time" in key else 0)
            inner += shapes.message(3, shapes.integer(1, strings(key)) + text)
        body += shapes.message(2, inner)
    for name, number in functions.items():
        body += shapes.message(4, shapes.integer(1, number) + shapes.message(4, shapes.integer(1, number) + shapes.integer(2, 7)))
        body += shapes.message(5, shapes.integer(1, number) + shapes.integer(2, strings(name)) + shapes.integer(3, strings(name)))
    body += shapes.integer(10, 10**9) + shapes.integer(12, period) + shapes.integer(13, strings("process: made up 7, service my shop"))
    return body + strings.table()


class Viewers(Base):
    """-from and -to, and the forms that have time in them."""

    def test_a_part_of_the_time_is_of_one_phase(self):
        with Target("phases") as target:
            profile = self.record(target.pid, "-hz", 1000, "-threads", "worker-1", "-timeline", "10ms", ticks=350)
            clocks = wall_less_monotonic()
            phases = phases_of(target.close())
        start, end = profile.time_nanos - clocks, profile.time_nanos - clocks + profile.duration_nanos
        begin, last = max((min(last, end) - max(begin, start), begin, last) for begin, last in phases["worker-1", "second_phase"])[1:]
        part = [f"{(max(begin, start) - start + 15_000_000) // 1_000_000}ms", f"{(min(last, end) - start - 15_000_000) // 1_000_000}ms"]
        folded = self.cprof("-folded", "-from", part[0], "-to", part[1], self.path("cpu.pb.gz"))
        self.assertIn("second_phase", folded)
        self.assertNotIn("first_phase", folded)
        same = self.cprof("-folded", f"-tagfocus=time_ms={part[0]}:{part[1]}", self.path("cpu.pb.gz"))
        self.assertNotIn("first_phase", same)
        self.assertIn("Active filters:\n   from=", self.cprof("-top", "-from", part[0], self.path("cpu.pb.gz")))

    def test_files_for_other_viewers_have_the_same_totals_thread_by_thread(self):
        with Target("phases") as target:
            done = attach_while_it_works(target.pid, 120, "-hz", 500, "-o", self.path("x.firefox.json.gz"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.record(target.pid, "-hz", 500, "-timeline", "20ms")
        with gzip.open(self.path("x.firefox.json.gz")) as file:
            firefox = json.load(file)
        self.assertEqual(firefox_rules.problems(firefox), [])
        self.assertLessEqual({"worker-1", "worker-2"}, {thread["name"] for thread in firefox["threads"]})
        self.assertEqual({thread["pid"] for thread in firefox["threads"]}, {str(target.pid)})

        profile = Profile.read(self.path("cpu.pb.gz"))
        self.cprof("-firefox", "-output", self.path("y.firefox.json"), self.path("cpu.pb.gz"))
        with open(self.path("y.firefox.json")) as file:
            firefox = json.load(file)
        self.assertEqual(firefox_rules.problems(firefox), [])
        scope = json.loads(self.cprof("-speedscope", self.path("cpu.pb.gz")))
        self.assertEqual(sum(scope["profiles"][0]["weights"]), profile.total(1))
        for thread in firefox["threads"]:
            mine = [(stack, values, labels) for stack, values, labels in profile.samples if labels["tid"] == thread["tid"]]
            total = sum(values[1] for _, values, _ in mine)
            self.assertAlmostEqual(sum(thread["samples"]["weight"]), total / 1e6, places=3)
            self.assertEqual(sum(thread["samples"]["threadCPUDelta"]), total)
            # What runs in a bucket is what the profile has there.
            for name in ("first_phase", "second_phase"):
                wanted, found = {}, {}
                for stack, values, labels in mine:
                    if name in stack:
                        wanted[labels["time_ms"]] = wanted.get(labels["time_ms"], 0) + values[1] / 1e6
                for time, names, weight in firefox_rules.stacks(firefox, thread):
                    if name in names:
                        bucket = int((time - 1e-4) // 20 * 20)  # a sample stands where it ends
                        found[bucket] = found.get(bucket, 0) + weight
                self.assertEqual({bucket: round(weight, 3) for bucket, weight in found.items()},
                                 {bucket: round(weight, 3) for bucket, weight in wanted.items()})
            own = [one for one in scope["profiles"][1:] if one["name"] == f"{thread['name']} {thread['tid']}"]
            self.assertEqual(len(own), 1)
            self.assertEqual(sum(weight for stack, weight in zip(own[0]["samples"], own[0]["weights"]) if stack), total)
            self.assertEqual(sum(own[0]["weights"]), own[0]["endValue"])

    def test_waits_are_markers_and_off_the_processor(self):
        kinds = [("wall", "nanoseconds"), ("cpu", "nanoseconds"), ("offcpu", "nanoseconds")]
        ms = 1_000_000
        one = {"thread": "io", "tid": 7}
        samples = [(["work", "main"], {**one, "time_ms": 0}, [100 * ms, 100 * ms, 0]),
                   (["work", "main"], {**one, "time_ms": 100}, [40 * ms, 40 * ms, 0]),
                   (["[futex]", "lock", "main"], {**one, "time_ms": 100, "wait": "mutex"}, [60 * ms, 0, 60 * ms]),
                   (["[futex]", "lock", "main"], {**one, "time_ms": 200, "wait": "mutex"}, [100 * ms, 0, 100 * ms]),
                   (["[epoll_wait]", "main"], {"thread": "idle", "tid": 8, "time_ms": 0, "wait": "epoll"}, [100 * ms, 0, 100 * ms])]
        with open(self.path("wall.pb"), "wb") as file:
            file.write(made(kinds, samples))
        self.cprof("-firefox", "-sample_index=wall", "-output", self.path("wall.firefox.json"), self.path("wall.pb"))
        with open(self.path("wall.firefox.json")) as file:
            firefox = json.load(file)
        self.assertEqual(firefox_rules.problems(firefox), [])
        io, idle = firefox["threads"]
        self.assertEqual([(thread["pid"], thread["isMainThread"]) for thread in (io, idle)], [("7", True), ("7", False)])
        self.assertEqual(io["samples"]["time"], [100, 140, 200, 300])
        self.assertEqual(io["samples"]["weight"], [100, 40, 60, 100])
        self.assertEqual(io["samples"]["threadCPUDelta"], [100 * ms, 40 * ms, 0, 0])
        self.assertEqual((io["markers"]["startTime"], io["markers"]["endTime"]), ([140], [300]))  # one wait, over two buckets
        self.assertEqual([data["reason"] for data in io["markers"]["data"] + idle["markers"]["data"]], ["mutex", "epoll"])
        names = [category["name"] for category in firefox["meta"]["categories"]]
        strings = firefox["shared"]["stringArray"]
        self.assertEqual({strings[io["funcTable"]["name"][func]]: names[category] for func, category in
                          zip(io["frameTable"]["func"], io["frameTable"]["category"])},
                         {"work": "User", "main": "User", "[futex]": "Off CPU", "lock": "User"})

    def test_what_has_no_times_is_told_so(self):
        with open(self.path("none.pb"), "wb") as file:
            file.write(made([("cpu", "nanoseconds")], [(["a"], {"tid": 1}, [10])]))
        for args in (("-firefox",), ("-top", "-from", "1s"), ("-top", "-to", "1s")):
            done = run([harness.CPROF, *args, self.path("none.pb")])
            self.assertEqual(done.returncode, 2, (args, done.stderr))
            self.assertIn("no sample of this profile says when it was", done.stderr)
        scope = json.loads(self.cprof("-speedscope", self.path("none.pb")))
        self.assertEqual(len(scope["profiles"]), 1)

    def test_odd_times_make_files_all_the_same(self):
        big = 2**63 - 1
        for times in ([0], [5, 5, 5], [big, 0], [-big - 1, big], [10**18, 10**18 + 1]):
            for key in ("time_ms", "end_timestamp_ns"):
                with open(self.path("odd.pb"), "wb") as file:
                    file.write(made([("cpu", "nanoseconds")], [(["a", "b"], {"tid": 1, key: time}, [big // 4]) for time in times], unit="nanoseconds"))
                self.cprof("-firefox", "-output", self.path("odd.firefox.json"), self.path("odd.pb"))
                with open(self.path("odd.firefox.json")) as file:
                    self.assertEqual(firefox_rules.problems(json.load(file)), [], (key, times))
                json.loads(self.cprof("-speedscope", self.path("odd.pb")))
                self.cprof("-top", "-from", "1s", "-to", "2s", self.path("odd.pb"))


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
