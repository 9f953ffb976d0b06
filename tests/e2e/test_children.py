# SPDX-License-Identifier: Apache-2.0
"""Processes that the target starts, and profiles that are empty: what is said about both."""

import os
import re
import shutil
import signal
import subprocess

import harness
from harness import ATTACH, Profile, Target, TempDir, attach, attach_while_it_works, children, let_it_work, run, target_path
from harness import wait_for_window

SPIN = "x = 0\nwhile x < 20000000: x += 1"


class Empty(TempDir):
    def said(self, *args, **more):
        done = attach("-f", "-o", self.path("x.pb.gz"), *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        comments = run([harness.CPROF, "-comments", self.path("x.pb.gz")]).stdout
        return done.stderr, comments

    def test_an_idle_process_is_said_to_be_idle_and_what_to_look_at(self):
        with Target(["sh", "-c", "trap 'exit 0' TERM; echo ready; read line"]) as target:
            for way in ("auto", "thread"):
                for said in self.said("-p", target.pid, "-seconds", "0.3", "-open", way):
                    self.assertRegex(said, r"(?m)^no processor time was used in 0\.3 s: .*-mode threads .*-mode block")
            self.assertTrue(target.alive())

    def test_a_profile_without_samples_says_why(self):
        with Target("hot") as target:
            work = ("-p", target.pid, "-seconds", "0.3")
            for said in self.said(*work, "-hz", "0.1"):
                self.assertRegex(said, r"(?m)^no sample was taken: \d+ ms of processor time were used, and one stands for 1e\+04 ms")
            for said in self.said(*work, "-mode", "threadcreate"):
                self.assertRegex(said, r"(?m)^no thread was started in 0\.\d+ s: .*-mode threads")

    def test_a_launcher_whose_child_works_is_told_of_that(self):
        for said in self.said("--", "sh", "-c", f"python3 -c '{SPIN}'; echo ended"):
            self.assertRegex(said, r"(?m)^child processes used [\d.]+ s of processor time, the process itself 0\.0\d s")

    def test_a_busy_process_is_told_nothing(self):
        with Target("hot") as target:
            done = attach_while_it_works(target.pid, 30, "-o", self.path("x.pb.gz"))
            self.assertNotIn("processor time", done.stderr)


class Followed(TempDir):
    def profile(self, *args, **more):
        done = attach("-children", "-hz", "1000", "-f", "-o", self.path("x.pb.gz"), *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return Profile.read(self.path("x.pb.gz")), done

    def check(self, profile, pid, ms):
        """Samples of in_child with that label for about so much of processor time; a clock of each thread's own is exact."""
        mine = [(frames, values[0]) for frames, values, labels in profile.samples if labels.get("pid") == pid]
        total = sum(n for _, n in mine)
        inside = sum(n for frames, n in mine if "in_child" in frames)
        self.assertGreater(inside, ms * 0.6, pid)
        self.assertLess(inside, ms * 1.5, pid)
        self.assertGreater(inside, total * 0.6, pid)

    def test_processes_that_a_command_starts_in_any_way_are_in_its_profile(self):
        for how in ("fork", "exec", "spawn"):
            with self.subTest(how):
                profile, done = self.profile("--", target_path("child_work"), how, "3", "150")
                children = [int(line.split()[1]) for line in done.stdout.splitlines()]
                self.assertEqual(len(children), 3)
                self.assertRegex(done.stderr, "(?m)^3 processes that were started meanwhile are in the profile")
                for child in children:
                    self.check(profile, child, 150)

    def test_behind_a_script_that_starts_a_script(self):
        profile, done = self.profile("--", "sh", "-c", f"sh -c '{target_path('child_work')} fork 1 200; true'; true")
        self.check(profile, int(done.stdout.split()[1]), 200)

    def test_children_that_are_gone_long_before_they_are_looked_at_have_names(self):
        for how in ("fork", "exec"):
            with self.subTest(how):
                profile, done = self.profile("--", target_path("child_work"), how, "40", "10")
                pids = {labels["pid"] for frames, _, labels in profile.samples if "in_child" in frames}
                self.assertGreaterEqual(len(pids), 38)
                self.assertGreater(profile.share(lambda frames, _: "in_child" in frames), 0.5)

    def test_workers_that_run_already_are_followed_with_their_parent(self):
        with Target(["child_work", "pool", "2", "100000000"]) as target:
            workers = children(target.pid)
            self.assertEqual(len(workers), 2)
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-children", "-seconds", "0", "-o", self.path("x.pb.gz")],
                                   stderr=subprocess.PIPE, text=True)
            harness.await_line(tool.stderr, "profiling")
            wait_for_window(tool)
            for worker in workers:
                let_it_work(worker, 20)
            tool.send_signal(signal.SIGINT)
            _, said = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 0, said)
            profile = Profile.read(self.path("x.pb.gz"))
            for worker in workers:
                share = profile.share(lambda frames, labels: "in_child" in frames and labels["pid"] == worker)
                self.assertGreater(share, 0.1)
            self.assertTrue(target.alive())

    def test_each_process_has_a_file_of_its_own_where_the_name_says_so(self):
        with Target(["child_work", "pool", "2", "100000000"]) as target:
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-children", "-seconds", "0", "-o", self.path("x-%p.pb.gz")],
                                   stderr=subprocess.PIPE, text=True)
            harness.await_line(tool.stderr, "profiling")
            wait_for_window(tool)
            workers = children(target.pid)
            for worker in workers:
                let_it_work(worker, 20)
            # One name is taken: the others are written, and what was meant for it is kept elsewhere.
            taken, *free = (self.path(f"x-{worker}.pb.gz") for worker in workers)
            with open(taken, "x", encoding="utf-8"):
                pass
            tool.send_signal(signal.SIGINT)
            _, said = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 1, said)
            self.assertEqual(os.path.getsize(taken), 0)
            kept = re.search(r"hint: the profile is kept in (\S+)", said).group(1)
            shutil.move(kept, taken)
            for path in [self.path(f"x-{target.pid}.pb.gz"), *free]:
                self.assertIn(f"{path} (", said)
            self.assertEqual(sorted(os.listdir(self.dir)), sorted(f"x-{pid}.pb.gz" for pid in [target.pid, *workers]))
            for worker in workers:
                profile = Profile.read(self.path(f"x-{worker}.pb.gz"))
                self.assertEqual({labels["pid"] for _, _, labels in profile.samples}, {worker})
                self.assertGreater(profile.share(lambda frames, _: "in_child" in frames), 0.5)
            again = attach("-p", target.pid, "-seconds", "0.1", "-o", self.path("x-%p.pb.gz"))
            self.assertEqual(again.returncode, 1, again.stderr)
            self.assertIn("-f replaces it", again.stderr)
            self.assertTrue(target.alive())

    def test_what_cannot_follow_is_refused_with_what_can(self):
        with Target("hot") as target:
            for args, word in ((("-mode", "heap"), "goes with -mode cpu"), (("-open", "cpu"), "-open thread-cpu"),
                               (("-open", "thread"), "-open thread-cpu")):
                done = attach("-p", target.pid, "-children", *args, "-seconds", "0.1", "-o", self.path("y.pb.gz"))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(word, done.stderr)
            self.assertTrue(target.alive())


if __name__ == "__main__":
    harness.main()
