#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap over time: what grows, how old it is, and what has changed since a moment."""

import json
import os
import resource
import subprocess
import unittest

import harness
from heap_harness import Truth, executable_bytes, sums

AGES = ["0-1s", "1-10s", "10s-1m", "1-10m", "10m-1h", ">1h"]


LEAK_MAX = 2 << 30


class Growth(harness.Target):
    """heap_growth, which begins when it is told to. Whoever forgets it does not lose the machine: it can take no more than so much,
    and where memory runs out it is the first that the kernel ends."""

    def __init__(self, leak, churn):
        super().__init__([harness.target_path("heap_growth"), str(leak), str(churn)])
        with open(f"/proc/{self.pid}/statm") as file:
            most = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + LEAK_MAX
        resource.prlimit(self.pid, resource.RLIMIT_AS, (most, most))
        with open(f"/proc/{self.pid}/oom_score_adj", "w") as file:
            file.write("1000")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
        """Its own account: {word: number}."""
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if self.process.wait(timeout=60) or words[:1] != ["expect"]:
            raise AssertionError(f"heap_growth ended with {self.process.returncode}, and {words}")
        return {name: float(number) for name, number in (word.split("=") for word in words[1:])}


def start(pid, *args):
    tool = harness.Process([harness.ATTACH, "-p", str(pid), "-mode", "heap", *map(str, args)], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    harness.wait_for_window(tool)
    return tool


class Leaks(harness.TempDir):
    def test_a_leak_is_the_top_and_a_moment_of_before_is_taken_off(self):
        """Two runs of ten seconds, side by side."""
        path, since = self.path("leaks.pb.gz"), self.path("since.pb.gz")
        with Growth(leak=1e6, churn=1e8) as growth, Truth("heap_truth") as truth:
            code = executable_bytes(growth.pid)
            leaks = start(growth.pid, "-leaks", "-seconds", 10, "-o", path)
            growth.go()  # at once: what is filled in its first two seconds is not of the second half
            changes = start(truth.pid, "-rate", 1, "-heap-age", "-heap-since", "6s", "-seconds", 0, "-o", since)
            truth.tell("every")
            report, said = leaks.communicate(timeout=120)
            self.assertEqual(leaks.returncode, 0, said)
            self.check_leaks(report, path)
            self.assertEqual(executable_bytes(growth.pid), code)
            leaked = growth.end()["leaked"]
            self.assertGreater(leaked, 0)
            # How far it is, for the first time after ten seconds: the moment lies four seconds back.
            harness.await_line(changes.stderr, " lost, ")
            self.check_since(truth, truth.tell("every"), changes, since)

    def check_leaks(self, report, path):
        rows = report[report.index("per minute"):].splitlines()[1:]
        self.assertRegex(rows[0], r"^ +[\d.]+[kM]B .*  yes +leak_slowly$")
        self.assertIn("Blocks that have lived 1 s or longer", report)
        shown = harness.run([harness.CPROF, "-leaks_json", path])
        self.assertEqual(shown.returncode, 0, shown.stderr)
        answer = json.loads(shown.stdout)
        top = answer["rows"][0]
        self.assertEqual(top["stack"][:2], ["leak_slowly", "main"])
        # Right in 99 of 100 cases, which is not enough for a test; and after a stop it catches up.
        self.assertLessEqual(top["at_least"], 2e6)
        self.assertGreaterEqual(top["at_most"], 1e6 * 0.2)  # where the machine is busy, it leaks less
        # A block of the churn may grow old while the machine does not let the program run.
        self.assertFalse([row for row in answer["rows"] if row["stack"][0].startswith("churn") and row["sure"]])
        self.assertEqual(len(top["inuse"]), len(answer["seconds"]))
        profile = harness.Profile.read(path)
        self.assertEqual([name for name, _ in profile.sample_types],
                         ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "history_space", "history_samples"])
        self.assertEqual((profile.default_sample_type, profile.period), ("inuse_space", 16384))
        for stack, values, labels in profile.samples:
            self.assertEqual(bool(values[4]), "time_ms" in labels)
            self.assertEqual(bool(values[2] or values[4]), labels.get("age") in AGES)
        # And the report of the file is the one that was printed.
        again = harness.run([harness.CPROF, "-leaks", path])
        self.assertEqual(again.stdout, report)

    def check_since(self, truth, want, changes, path):
        changes.send_signal(2)
        said = changes.communicate(timeout=120)[1]
        self.assertEqual(changes.returncode, 0, said)
        profile = harness.Profile.read(path)
        self.assertIn("since 6 s after the attach (-heap-since)", "\n".join(profile.comments))
        self.assertEqual(len(profile.sample_types), 4)
        for name, numbers in want.items():
            with self.subTest(function=name):
                self.assertEqual(sums(profile, name), numbers)
        self.assertTrue(all(labels["age"] in AGES for _, values, labels in profile.samples if values[2] > 0))
        truth.tell("drop")
        truth.quit()

    def test_a_history_is_not_asked_of_what_has_none(self):
        path = self.path("plain.pb.gz")
        with Truth("heap_truth") as truth:
            tool = start(truth.pid, "-rate", 1, "-seconds", 0, "-o", path)
            truth.tell("every")
            tool.send_signal(2)
            said = tool.communicate(timeout=120)[1]
            self.assertEqual(tool.returncode, 0, said)
            truth.tell("drop")
            truth.quit()
        profile = harness.Profile.read(path)
        self.assertFalse([labels for _, _, labels in profile.samples if "age" in labels])
        done = harness.run([harness.CPROF, "-leaks", path])
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("the profile has no history", done.stderr)
        self.assertIn("hint: cprof-attach -p PID -mode heap -leaks", done.stderr)
        # Twice the same file is no series.
        done = harness.run([harness.CPROF, "-leaks", path, path])
        self.assertIn("it ends at the same moment as one before it", done.stderr)
        self.assertEqual(done.returncode, 1)


class Refused(unittest.TestCase):
    def test_what_makes_no_sense_is_refused_before_anything_is_touched(self):
        for args, words in ((("-leaks",), "-leaks says nothing without -mode heap"),
                            (("-heap-age",), "-heap-age says nothing without -mode heap"),
                            (("-heap-since", "1s"), "-heap-since says nothing without -mode heap"),
                            (("-mode", "heap", "-heap-since", "30s"), "nothing comes after 30 s of a run of 30 s"),
                            (("-mode", "heap", "-leaks", "-seconds", "5"), "-leaks: 5 s are too short"),
                            (("-mode", "heap", "-leaks", "-every", "10ms"), "-every: not between 1s and 1h"),
                            (("-mode", "heap", "-leaks", "-top"), "are two reports"),
                            (("-mode", "heap", "-leaks", "-http", "127.0.0.1:0"), "-http does not go with -leaks")):
            with self.subTest(args=args):
                done = harness.attach("-p", "1", *args)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    harness.main()
