# SPDX-License-Identifier: Apache-2.0
"""Looking back: the last seconds are in memory all the time, and in a file once something has happened. Who makes it happen
here is the target, told what to do, or a signal; what is in the file is what it had done by then."""

import glob
import os
import re
import resource
import signal
import subprocess
import urllib.error
import urllib.request

import harness
from harness import ATTACH, Footprint, Process, Profile, Target, TempDir, attach, let_it_work, wait_until

TICKS = 20  # of processor time that the target works in a phase


class Ring:
    """cprof-attach -ring on a target, up to where it records."""

    def __init__(self, test, target, *args, name="ring.pb.gz", length="60s"):
        self.test, self.file, self.lines = test, test.path(name), []
        self.process = Process([ATTACH, "-p", str(target.pid), "-ring", length, "-o", self.file, *args],
                               stderr=subprocess.PIPE, text=True)
        self.say("serving" if "-http" in args else "recording (")
        wait_until(lambda: self.process.poll() is not None or self.records(), "the recording is in its window", pause=0.005)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def records(self):
        return any(harness.in_system_call(pid, harness.POLLS) for pid in harness.children(self.process.pid))

    def say(self, words):
        """The line with these words, once it is there."""
        while True:
            self.lines.append(self.process.stderr.readline().rstrip("\n"))
            if words in self.lines[-1]:
                return self.lines[-1]
            if not self.lines[-1] or "not written" in self.lines[-1] or "no profile" in self.lines[-1]:
                raise AssertionError(f"{words!r} was not said, but: {self.lines}")

    def written(self, because=""):
        """The next file that this has triggered. What triggers while another's file is waited for is named in that one's line only."""
        line = self.say("wrote ")
        while because not in line:
            line = self.say("wrote ")
        return re.search(r"wrote (\S+):", line).group(1)

    def trigger(self, sig=signal.SIGUSR1):
        self.process.send_signal(sig)
        return self.written()

    def end(self, sig=signal.SIGINT, status=0):
        if sig:
            self.process.send_signal(sig)
        _, rest = self.process.communicate(timeout=60)
        self.test.assertEqual(self.process.returncode, status, "\n".join(self.lines) + rest)
        return rest


def does(target, what):
    target.process.stdin.write(what + "\n")
    target.process.stdin.flush()
    harness.await_line(target.process.stdout, f"does {what}")


def works(target, what, ticks=TICKS):
    does(target, what)
    let_it_work(target.pid, ticks)


def share(profile, function):
    return profile.share(lambda stack, _: function in stack, 1)


class TestRing(TempDir):
    def check_works(self, target, footprint):
        """It does what it is told still, and is as it was."""
        works(target, "first", 2)
        does(target, "idle")
        footprint.check_unchanged(self)

    def test_a_signal_writes_what_was_before_it_and_the_recording_goes_on(self):
        with Target("obedient") as target:
            footprint = Footprint(target.pid)
            with Ring(self, target) as ring:
                works(target, "first")
                one = Profile.read(ring.trigger())
                self.assertGreater(share(one, "first_work"), 0.9)
                self.assertEqual(share(one, "second_work"), 0)
                self.assertIn("written because of signal USR1", one.comments)
                works(target, "second")
                two = Profile.read(ring.trigger())
                self.assertGreater(share(two, "second_work"), 0.1)
                self.assertGreater(share(two, "first_work"), 0.1)  # the ring is longer than that
                self.assertGreater(two.total(1), one.total(1))
                self.assertIn("2 triggers, 2 profiles", ring.end())
            self.check_works(target, footprint)

    def test_what_is_older_than_asked_for_is_not_in_it(self):
        with Target("obedient") as target:
            with Ring(self, target, "-before", "100ms") as ring:
                works(target, "first")
                works(target, "second", 3 * TICKS)
                wait = "waits out the last of the first phase"
                start = os.times().elapsed
                wait_until(lambda: os.times().elapsed > start + 0.3, wait)
                profile = Profile.read(ring.trigger())
                self.assertEqual(share(profile, "first_work"), 0)
                self.assertLessEqual(profile.duration_nanos, 101_000_000)
                ring.end()

    def test_the_end_of_the_target_is_a_trigger_and_its_signal_is_told(self):
        target = Target("obedient")
        self.addCleanup(target.close, check=False)
        # No core file of it is wanted.
        resource.prlimit(target.pid, resource.RLIMIT_CORE, (0, 0))
        with Ring(self, target, "-after", "10s") as ring:
            works(target, "first")
            target.process.stdin.write("crash\n")
            target.process.stdin.flush()
            path = ring.written()
            self.assertEqual(target.process.wait(), -signal.SIGSEGV)
            self.assertIn("1 trigger, 1 profile", ring.end(sig=None))
        profile = Profile.read(path)
        self.assertGreater(share(profile, "first_work"), 0.9)  # with its name, though its file is open no more
        said = [line for line in profile.comments if "written because process" in line]
        self.assertRegex(said[0], r"was ended by signal 11 \(SIGSEGV\)|its parent alone knows")

    def test_the_end_of_both_at_once_is_written(self):
        """As of Ctrl-C in a terminal, which is sent to both."""
        for _ in range(4):
            target = Target("obedient")
            self.addCleanup(target.close, check=False)
            with Ring(self, target) as ring:
                works(target, "first", 2)
                target.process.kill()
                self.assertIn("wrote ", ring.end())

    def test_a_condition_is_looked_at_from_outside(self):
        with Target("obedient") as target:
            footprint = Footprint(target.pid)
            with Ring(self, target, "-until", "cpu>1%", "-until", "rss>40M", "-until", "blocked>300ms") as ring:
                works(target, "first")
                self.assertRegex(ring.say("triggered by"), r"cpu>1% \(at [0-9.]+%\)")
                self.assertGreater(share(Profile.read(ring.written()), "first_work"), 0.9)
                does(target, "idle")
                does(target, "grow")
                ring.written("rss>40M (at ")
                does(target, "lock")
                ring.written("blocked>0.3s (at ")
                does(target, "unlock")
                ring.end()
            self.check_works(target, footprint)

    def test_with_after_the_file_waits_for_what_comes_and_names_all_triggers(self):
        with Target("obedient") as target, Ring(self, target, "-after", "1500ms") as ring:
            works(target, "first")
            # At once: a busy machine would take its time between the two.
            ring.process.send_signal(signal.SIGUSR1)
            ring.process.send_signal(signal.SIGUSR2)
            ring.say("triggered by signal USR1; recording for 1.5 s more")
            does(target, "second")
            profile = Profile.read(ring.written())
            self.assertGreater(share(profile, "first_work"), 0.01)
            self.assertIn("written because of signal USR1, signal USR2", profile.comments)
            ring.end()

    def delay(self, path, function):
        profile = Profile.read(path)
        index = [name for name, _ in profile.sample_types].index("delay")
        return sum(values[index] for stack, values, _ in profile.samples if function in stack) / 1e9

    def test_waits_are_looked_back_at_those_that_last_and_those_that_are_over(self):
        for method in ("bpf", "perf", "proc"):
            with self.subTest(method=method), Target("obedient") as target:
                if method == "bpf" and os.geteuid() != 0:
                    self.skipTest("the BPF tier needs root")
                footprint = Footprint(target.pid)
                with Ring(self, target, "-mode", "block", "-block-method", method, "-until", "blocked>300ms") as ring:
                    does(target, "lock")
                    self.assertGreater(self.delay(ring.written(), "wait_for_lock"), 0.2)
                    does(target, "unlock")
                    # It is handed over when the machine comes to it; from then on each file has it, once.
                    delays = []
                    wait_until(lambda: delays.append(self.delay(ring.trigger(), "wait_for_lock")) or delays[-1] > 0.3,
                               "the wait that is over is in a file")
                    self.assertAlmostEqual(self.delay(ring.trigger(), "wait_for_lock"), delays[-1], delta=0.01)
                    ring.end()
                self.check_works(target, footprint)

    def test_all_of_each_threads_time_in_the_stretch_is_looked_back_at(self):
        for method in ("bpf", "perf", "proc"):
            with self.subTest(method=method), Target("obedient") as target:
                if method == "bpf" and os.geteuid() != 0:
                    self.skipTest("the BPF tier needs root")
                footprint = Footprint(target.pid)
                with Ring(self, target, "-mode", "wall", "-wall-method", method, "-wall", "all", "-until", "blocked>300ms",
                          "-before", "1s", length="2s") as ring:
                    works(target, "first")
                    does(target, "lock")
                    first = Profile.read(ring.written())
                    works(target, "second", 3 * TICKS)
                    second = Profile.read(ring.trigger())
                    does(target, "unlock")
                    ring.end()
                for profile in first, second:
                    self.assertLessEqual(profile.duration_nanos, 1_101_000_000)
                    # The thread that waits for the lock is begun for that; the other two live all the time.
                    waiter, = {labels["tid"] for stack, _, labels in profile.samples if "wait_for_lock" in stack and "tid" in labels}
                    others = sum(values[0] for _, values, labels in profile.samples if labels.get("tid") != waiter)
                    self.assertAlmostEqual(others, 2 * profile.duration_nanos, delta=profile.duration_nanos / 50)
                waits = [values[0] for stack, values, _ in first.samples if "wait_for_lock" in stack and stack[0] == "[futex]"]
                self.assertGreater(sum(waits), 200_000_000)
                working = "[on CPU]" if method == "proc" else "second_work"
                self.assertTrue(any(working in stack for stack, _, _ in second.samples))
                self.check_works(target, footprint)

    def test_who_made_others_wait_is_looked_back_at(self):
        with Target("obedient") as target, Ring(self, target, "-mode", "mutex", "-until", "blocked>100ms") as ring:
            does(target, "lock")
            self.assertEqual(self.delay(ring.written(), "obey"), 0)  # nobody has released it yet
            does(target, "unlock")
            wait_until(lambda: self.delay(ring.trigger(), "obey") > 0.1, "the release is in a file")
            ring.end()

    def test_so_many_files_are_kept(self):
        with Target("obedient") as target:
            works(target, "first")
            with Ring(self, target, "-keep", "2", name="a.b.folded") as ring:
                written = [ring.trigger() for _ in range(4)]
                there = sorted(glob.glob(self.path("*")))
                self.assertEqual(there, sorted(written[2:]))
                for path in there:
                    self.assertRegex(path, r"/a\.b\.\d{8}T\d{6}Z\.folded(\.\d+)?$")
                ring.end()
            with Ring(self, target, "-keep", "1", name="one.pb.gz") as ring:
                self.assertEqual([ring.trigger(), ring.trigger()], [self.path("one.pb.gz")] * 2)
                ring.end()
            # A name of our own has the time in it: the file before goes all the same.
            os.mkdir(self.path("own"))
            ring = Process([ATTACH, "-p", str(target.pid), "-ring", "5s", "-keep", "1"], cwd=self.path("own"),
                           stderr=subprocess.PIPE, text=True)
            self.addCleanup(ring.kill)
            harness.await_line(ring.stderr, "recording (")
            wait_until(lambda: any(harness.in_system_call(pid, harness.POLLS) for pid in harness.children(ring.pid)), "it records")
            for _ in range(2):
                ring.send_signal(signal.SIGUSR1)
                last = re.search(r"wrote (\S+):", harness.await_line(ring.stderr, "wrote ")[-1]).group(1)
            self.assertEqual(os.listdir(self.path("own")), [last])
            ring.send_signal(signal.SIGINT)
            ring.communicate(timeout=60)
            # What was there before is somebody's.
            again = attach("-p", target.pid, "-ring", "5s", "-keep", "1", "-o", self.path("one.pb.gz"))
            self.assertIn("exists", again.stderr)

    def test_where_nothing_has_triggered_the_end_of_it_writes_what_there_is(self):
        with Target("obedient") as target:
            works(target, "first", 1)
            with Ring(self, target, "-until", "rss>1000G") as ring:
                let_it_work(target.pid, TICKS)
                ring.process.send_signal(signal.SIGTERM)
                profile = Profile.read(ring.written())
                self.assertIn("written because of the end of the recording", profile.comments)
                self.assertGreater(share(profile, "first_work"), 0.9)
                ring.end(sig=None)

    def test_the_time_that_was_asked_for_begins_with_the_recording(self):
        """Which is some tenths of a second after the start, where programs are loaded into the kernel for it."""
        with Target("obedient") as target:
            file = self.path("all.pb.gz")
            done = attach("-p", target.pid, "-mode", "wall", "-wall", "all", "-ring", "2s", "-seconds", "0.3", "-keep", "1", "-o", file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater(Profile.read(file).duration_nanos, 285_000_000)

    def test_a_ring_that_is_full_drops_the_oldest_and_says_so(self):
        with Target("obedient") as target:
            works(target, "first", 1)
            with Ring(self, target, "-hz", "10000", "-ring-memory", "1M") as ring:
                let_it_work(target.pid, 90)

                def is_full():
                    return any("the ring was full" in line for line in Profile.read(ring.trigger()).comments)

                # How many samples there are in that time is up to the machine.
                wait_until(is_full, "the ring is full", pause=0.1)
                ring.end()

    def test_ever_new_threads_and_stacks_are_named_when_most_of_them_are_gone(self):
        """What is kept of them is thrown out and counted anew all the time; what that takes is tests/bench/ring_soak.py's to tell."""
        with Target("strangers") as target, Ring(self, target, "-hz", "2000", "-ring-memory", "1M", length="1s") as ring:
            let_it_work(target.pid, 180)
            profile = Profile.read(ring.trigger())
            self.assertGreater(share(profile, "call"), 0.5)
            ring.end()

    def test_its_endpoint_gives_a_profile_and_triggers(self):
        with Target("obedient") as target:
            works(target, "first")
            with Ring(self, target, "-http", "127.0.0.1:0") as ring:
                url = re.search(r"serving (\S+)", "\n".join(ring.lines)).group(1)
                let_it_work(target.pid, TICKS)
                with urllib.request.urlopen(url, timeout=60) as answer:
                    self.assertGreater(share(Profile(answer.read()), "first_work"), 0.9)
                self.assertEqual(glob.glob(self.path("*")), [])  # a GET changes nothing
                request = urllib.request.Request(url, method="POST", data=b"")
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self.assertEqual(answer.status, 202)
                self.assertIn("written because of POST /debug/ring", Profile.read(ring.written()).comments)
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60)
                self.assertEqual(refused.exception.code, 405)
                ring.end()

    def test_a_ring_that_is_killed_leaves_the_target_alone(self):
        with Target("obedient") as target:
            footprint = Footprint(target.pid)
            with Ring(self, target) as ring:
                works(target, "first")
                recording = harness.children(ring.process.pid)
                ring.process.kill()
                ring.process.wait()
                wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/task") for pid in recording),
                           "the recording has ended with it")
            self.check_works(target, footprint)

    def test_what_makes_no_sense_is_refused(self):
        rows = [
            (["-ring", "60s", "-mode", "heap"], "cannot look back"),
            (["-ring", "60s", "-mode", "threads"], "nothing to look back at"),
            (["-ring", "60s", "-until", "cpux>80%"], "did you mean cpu"),
            (["-ring", "60s", "-until", "cpu>80"], "ends in %"),
            (["-ring", "10ms"], "not between 1s and 1h"),
            (["-ring", "10s", "-before", "9s", "-after", "2s"], "longer than the ring"),
            (["-ring", "10s", "-keep", "0"], "-keep: not between"),
            (["-ring", "10s", "-ring-memory", "1k"], "-ring-memory: not between"),
            (["-ring", "10s", "-o", "-"], "not -o -"),
            (["-ring", "10s", "-push", "http://127.0.0.1:1"], "does not go with -push"),
            (["-ring", "10s", "-top"], "does not go with -top"),
            (["-ring", "10s", "-o", self.path("no/such/x.pb.gz")], "directory does not exist"),
            (["-until", "cpu>80%"], "-until says nothing without -ring"),
            (["-after", "1s"], "-after says nothing without -ring"),
            (["-keep", "3"], "-keep says nothing without -ring"),
        ]
        with Target("obedient") as target:
            for args, words in rows:
                with self.subTest(args=args):
                    done = attach("-p", target.pid, *args)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(words, done.stderr)


if __name__ == "__main__":
    harness.main()
