# SPDX-License-Identifier: Apache-2.0
"""Labels that a program gives its requests, read from outside: OpenTelemetry's thread context, and Go's pprof labels."""

import glob
import os
import re
import shutil
import subprocess
import unittest
import urllib.request

import harness
from harness import Footprint, Profile, Target, TempDir, attach, attach_while_it_works, run, target_path, wait_for_window

NO_COLLECTOR = "http://127.0.0.1:1/ingest"
LIBRARY = "libotel_gnu_global-dynamic.so"
OWN = {"trace_id", "span_id", "http_route", "letter", "otel.tid"}


def is_root():
    return os.geteuid() == 0


class Base(TempDir):
    def setUp(self):
        super().setUp()
        if not is_root():
            self.skipTest("contexts are read with BPF, which takes root")

    def record(self, pid, *args, ticks=60, name="cpu.pb.gz", **popen):
        done = attach_while_it_works(pid, ticks, "-o", self.path(name), "-f", "-timeline", "off", *args, **popen)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stderr = done.stderr
        return Profile.read(self.path(name))

    def check_contexts(self, profile, letters="ab"):
        """Each sample of a busy thread has its own request, and nothing of another."""
        seen = set()
        for stack, _, labels in profile.samples:
            if "burn" not in stack:
                continue
            self.assertLessEqual(OWN, set(labels), (labels, self.stderr))
            number = 1 + letters.index(labels["letter"])
            self.assertEqual(labels["trace_id"], f"{number:02x}" * 16)
            self.assertEqual(labels["span_id"], f"{number + 0x10:02x}" * 8)
            self.assertEqual(labels["http_route"], "/checkout/\u00e9")
            self.assertEqual(labels["otel.tid"], "mine")
            self.assertIsInstance(labels["tid"], int)
            seen.add(number)
        return seen


class ThreadContext(Base):
    def test_a_program_of_its_own(self):
        for name in "otel_requests_own", "otel_requests_static":
            with self.subTest(name), Target(name) as target:
                footprint = Footprint(target.pid)
                profile = self.record(target.pid)
                self.assertEqual(self.check_contexts(profile), {1, 2})
                self.assertRegex(self.stderr, r"request labels: \d+ of \d+ samples bear .*OpenTelemetry thread context")
                footprint.check_unchanged(self)

    def test_a_library_whatever_way_its_code_gets_at_the_variable(self):
        libraries = sorted(glob.glob(target_path("libotel_gnu*.so")))
        self.assertIn(len(libraries), (3, 6))  # by compiler
        for library in libraries:
            with self.subTest(os.path.basename(library)), Target(["otel_requests", library]) as target:
                self.assertEqual(self.check_contexts(self.record(target.pid)), {1, 2})

    def test_a_library_that_is_loaded_later(self):
        with Target(["otel_requests", target_path(LIBRARY), "late"]) as target:
            tool = harness.Process([harness.ATTACH, "-p", str(target.pid), "-seconds", "0", "-v", "-timeline", "off", "-o",
                                    self.path("late.pb.gz")], stderr=subprocess.PIPE, text=True)
            wait_for_window(tool)
            target.process.stdin.write("x")
            target.process.stdin.flush()
            harness.let_it_work(target.pid, 300)
            tool.send_signal(2)
            _, self.stderr = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 0, self.stderr)
            profile = Profile.read(self.path("late.pb.gz"))
        # It was looked for when the mapping was told, and some samples were taken before.
        borne = [labels for stack, _, labels in profile.samples if "trace_id" in labels]
        self.assertTrue(borne, self.stderr)

    def test_a_context_that_is_rewritten_is_never_a_mixture(self):
        with Target(["otel_requests_own", "own", "rewrite"]) as target:
            profile = self.record(target.pid, "-hz", 1000, ticks=100)
            self.assertTrue(target.alive())
        seen = set()
        for stack, _, labels in profile.samples:
            if "burn" not in stack or "trace_id" not in labels:
                continue
            number = int(labels["trace_id"][:2], 16)
            self.assertEqual(labels["trace_id"], f"{number:02x}" * 16)
            self.assertEqual(labels["span_id"], f"{number + 0x10:02x}" * 8)
            self.assertIn(labels["letter"], "ab" if number < 3 else "y" if number > 4 else "", labels) \
                if labels["letter"] != "x" else self.assertLess(number, 3)
            seen.add(number)
        self.assertGreaterEqual(len(seen), 2, seen)

    def test_hostile_bytes_harm_nobody(self):
        with Target(["otel_requests_own", "own", "hostile"]) as target:
            profile = self.record(target.pid, "-hz", 1000, ticks=60)
            self.assertTrue(target.alive())
        self.assertTrue(profile.samples)
        for _, _, labels in profile.samples:
            for key, value in labels.items():
                self.assertFalse(re.search(r"[\x00-\x1f]", f"{key}{value}"), labels)

    def test_collectors_get_no_ids_unless_asked_for(self):
        with Target("otel_requests_own") as target:
            for more, want in (((), OWN - {"trace_id", "span_id"}), (("-request-labels", "all"), OWN),
                               (("-request-labels", "off"), set()), (("-no-otel-context",), set())):
                profile = self.record(target.pid, "-push", NO_COLLECTOR, "-dry-run", *more, stdout=subprocess.DEVNULL)
                had = set().union(*(labels for stack, _, labels in profile.samples if "burn" in stack))
                self.assertEqual(had & OWN, want, more)
            profile = self.record(target.pid, "-request-labels", "attributes")
            self.assertNotIn("trace_id", set().union(*(labels for _, _, labels in profile.samples)))

    def test_reports_choose_by_request(self):
        with Target("otel_requests_own") as target:
            self.record(target.pid)
        path = self.path("cpu.pb.gz")
        trace = "01" * 16
        tags = run([harness.CPROF, "-tags", path]).stdout
        self.assertIn(f": {trace}\n", tags)
        top = run([harness.CPROF, "-traces", "-tagfocus", f"trace_id={trace}", path]).stdout
        self.assertRegex(top, rf"trace_id:\s+{trace}\n")
        self.assertNotIn("02" * 16, top)
        gotool = run([*harness.go_pprof(), "-tags", path])
        self.assertIn(f": {trace}\n", gotool.stdout, gotool.stderr)

    def test_so_many_requests_are_bounded(self):
        with Target(["otel_requests_own", "own", "many"]) as target:
            profile = self.record(target.pid, "-hz", 1000, ticks=100)
        traces = {labels["trace_id"] for _, _, labels in profile.samples if "trace_id" in labels}
        self.assertGreater(len(traces), 10)

    def test_who_may_not_use_bpf_is_told(self):
        harness.need_another_user()
        with Target("otel_requests_own") as target:
            done = attach("-p", target.pid, "-seconds", "0.2", "-open", "thread", "-f", "-o", self.path("x.pb.gz"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the program offers labels of its requests (OpenTelemetry thread context), which are not read", done.stderr)

    def test_waits_bear_what_their_thread_works_on(self):
        for mode in "block", "mutex":
            with self.subTest(mode), Target("otel_requests_own") as target:
                footprint = Footprint(target.pid)
                done = attach_while_it_works(target.pid, 60, "-mode", mode, "-rate", "1ns", "-o", self.path("x.pb.gz"), "-f", "-v")
                self.assertEqual(done.returncode, 0, done.stderr)
                footprint.check_unchanged(self)
            if "waits by bpf" not in done.stderr:
                self.skipTest("waits are not seen by BPF here")
            seen = set()
            for stack, values, labels in Profile.read(self.path("x.pb.gz")).samples:
                if "sleeper" not in stack:
                    self.assertNotIn("trace_id", labels, stack)
                elif "trace_id" in labels:  # those that are open at the end are not told by their thread
                    self.assertEqual(labels["letter"], "s")
                    self.assertEqual(labels["http_route"], "/checkout/\u00e9")
                    self.assertEqual(labels["kind"], "mutex")
                    self.assertEqual(int(labels["span_id"][:2], 16), int(labels["trace_id"][:2], 16) + 0x10)
                    seen.add(labels["trace_id"])
                else:
                    self.assertEqual(labels.get("open"), "true", labels)
            self.assertEqual(seen, {"03" * 16, "04" * 16})

    def test_all_of_a_threads_time_bears_what_it_works_on(self):
        with Target("otel_requests_own") as target:
            footprint = Footprint(target.pid)
            profile = self.record(target.pid, "-mode", "wall", name="wall.pb.gz")
            footprint.check_unchanged(self)
        if "wall by bpf" not in self.stderr:
            self.skipTest("waits are not seen by BPF here")
        self.assertEqual(self.check_contexts(profile), {1, 2})
        of_thread, of_trace, whose = {}, {}, {}
        for stack, values, labels in profile.samples:
            tid = labels.get("tid")
            of_thread[tid] = of_thread.get(tid, 0) + values[0]
            if "trace_id" in labels:
                whose.setdefault(labels["trace_id"], set()).add(tid)
                of_trace[tid] = of_trace.get(tid, 0) + values[0]
        self.assertEqual(set(whose), {f"{number:02x}" * 16 for number in range(1, 5)})
        for trace, tids in whose.items():
            self.assertEqual(len(tids), 1, whose)
            tid = tids.pop()
            if trace[1] in "12":  # who never waits has all of his time there, in the run queue too
                self.assertEqual(of_trace[tid], of_thread[tid], self.stderr)
        waits = [labels for stack, _, labels in profile.samples if "sleeper" in stack and "trace_id" in labels]
        self.assertEqual({labels["state"] for labels in waits} - {"oncpu"}, {"offcpu", "runqueue"})
        self.assertIn("mutex", {labels.get("kind") for labels in waits})

    def test_where_waits_cannot_be_read_it_is_said(self):
        with Target("otel_requests_own") as target:
            profile = self.record(target.pid, "-mode", "wall", "-wall-method", "perf")
            self.assertEqual(self.check_contexts(profile), {1, 2})
            self.assertIn("waits bear no labels of requests: with waits by proc", self.stderr)
            self.record(target.pid, "-mode", "wall", "-wall-method", "proc", "-seconds", "0.2", ticks=1)
            self.assertIn("which are not read", self.stderr)

    def test_a_word_that_is_none(self):
        done = attach("-p", os.getpid(), "-request-labels", "some")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("all, attributes, off, or auto", done.stderr)
        done = attach("-p", os.getpid(), "-mode", "heap", "-request-labels", "all")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("-mode heap does not read labels of requests", done.stderr)


class Go(Base):
    def build(self, go):
        if not os.path.exists(go):
            self.skipTest(f"{go} is not installed")
        source = os.path.join(harness.ROOT, "tests/targets/lang/labels.go")
        built = run([go, "build", "-o", self.path("labels"), source], timeout=600,
                    env=dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", GOFLAGS="", GOTOOLCHAIN="local", GOCACHE=os.path.abspath(os.path.join(harness.BUILD, "go-cache"))))
        self.assertEqual(built.returncode, 0, built.stderr)
        return self.path("labels")

    def labels_of(self, profile, own):
        """What each burning sample bears that the program has said, as far as it is not ours."""
        ours = {"thread", "tid", "pool", "time_ms"}
        found = set()
        for stack, _, labels in profile.samples:
            if "main.burn" in stack:
                found.add(tuple(sorted((key.removeprefix("go."), value) for key, value in labels.items()
                                       if own or key not in ours)))
        return found

    def test_labels_are_those_of_its_own_profile(self):
        for go in ("/usr/lib/go-1.19/bin/go",):
            program = self.build(go)
            with Target([program], env=dict(os.environ, GOMAXPROCS="4")) as target:
                port = re.search(r"port (\d+)", "\n".join(target.said)).group(1)
                ours = self.labels_of(self.record(target.pid, ticks=150), False)
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/pprof/profile?seconds=2", timeout=60) as answer:
                    theirs = self.labels_of(Profile(answer.read()), True)
            self.assertIn("Go's pprof labels", self.stderr)
            self.assertEqual(len(ours), 4, ours)
            self.assertTrue(theirs)
            self.assertLessEqual(theirs, ours)  # of two seconds on a busy machine it need not have seen all


if __name__ == "__main__":
    harness.main()
