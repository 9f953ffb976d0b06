# SPDX-License-Identifier: Apache-2.0
"""-push -every: profiles one after the other, of processes that come and go; what arrives is read by protoc."""

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import harness
from harness import ATTACH, Footprint, Profile, Target, TempDir
from heap_harness import Truth, code_of_files, shim_pages, sums
from test_push import Server
from test_push_servers import decode, field_bytes

SERVERS = ("PYROSCOPE_", "OTEL_", "DD_", "PARCA_", "CPROF_")


def recordings(parent):
    """The children that record; one that has ended and is not waited for yet records nothing."""
    found = []
    for pid in harness.children(parent):
        try:
            with open(f"/proc/{pid}/stat") as file:
                name, state = re.match(r"\d+ \((.*)\) (\S)", file.read()).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == "cprof-record" and state != "Z":
            found.append(pid)
    return found


class Pushed:
    """One request of Pyroscope's."""

    def __init__(self, body):
        (series,) = decode("PushRequest", body)["series"]
        self.labels = {label["name"][0]: label["value"][0] for label in series["labels"]}
        self.name = self.labels["__name__"]
        self.profile = Profile(field_bytes(body, 1, 2, 1))
        self.start = self.profile.time_nanos
        self.end = self.start + self.profile.duration_nanos


class Listening(Server):
    """Server whose requests can be waited for."""

    def __init__(self, *answers):
        super().__init__(*answers)
        arrived = queue.Queue()

        class Requests(list):
            def append(self, request):
                super().append(request)
                arrived.put(Pushed(request[2]))

        self.requests, self.arrived = Requests(), arrived

    def wait_for(self, good, timeout=60):
        """Requests until one is `good`, all of them."""
        found = []
        while not found or not good(found[-1]):
            found.append(self.arrived.get(timeout=timeout))
        return found


class Continuous(TempDir):
    def start(self, port, *args, every="1s"):
        env = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}
        process = subprocess.Popen([ATTACH, "-push", f"http://127.0.0.1:{port}", "-every", every, "-spool", self.path("spool"),
                                    *map(str, args)], stderr=subprocess.PIPE, text=True, env=env, cwd=self.dir)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.wait(), process.stderr.close()))
        return process

    def finish(self, process, sig=signal.SIGTERM, status=0):
        if sig:
            process.send_signal(sig)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, said)
        return said

    def check_contiguous(self, pushed, name):
        """Windows of one series: each begins where the one before has ended."""
        mine = sorted((one for one in pushed if one.name == name), key=lambda one: one.start)
        for before, after in zip(mine, mine[1:]):
            self.assertEqual(before.end, after.start, name)
        return mine

    def check_metrics(self, url):
        """Of who has at least three profiles in its spool, and has delivered none."""
        with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertGreaterEqual(int(found["cprof_push_kept_total"]), 3)
        self.assertEqual((found["cprof_push_delivered_total"], found['cprof_push_dropped_total{reason="refused"}']), ("0", "0"))
        for name in ("cprof_push_failed_tries_total", "cprof_push_spool_profiles", "cprof_push_spool_bytes"):
            self.assertIn(name, found)
        if shutil.which("promtool"):
            done = harness.run(["promtool", "check", "metrics"], input=text)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with urllib.request.urlopen(f"{url}/healthz", timeout=60) as answer:
            self.assertEqual(answer.status, 200)
        with self.assertRaisesRegex(urllib.error.HTTPError, "404"):
            urllib.request.urlopen(f"{url}/debug/pprof/", timeout=60)

    def test_windows_follow_each_other_without_a_gap_and_the_last_one_comes_at_the_end(self):
        with Target("hot") as target, Listening((200, "")) as server:
            before = Footprint(target.pid)
            process = self.start(server.port, "-p", target.pid, "-modes", "cpu,heap,threads", "-service", "shop", "-hz", "1000")
            pushed = []
            while sum(one.name == "process_cpu" for one in pushed) < 3:
                pushed += server.wait_for(lambda one: one.name == "process_cpu")
            harness.let_it_work(target.pid, 5)  # for there to be something in the last window
            said = self.finish(process)
            before.check_unchanged(self)
            while not server.arrived.empty():
                pushed.append(server.arrived.get())
        windows = self.check_contiguous(pushed, "process_cpu")
        self.assertGreaterEqual(len(windows), 4, said)  # the last one is what there was when it was told to end
        self.assertTrue(all(window.profile.total() > 0 for window in windows))
        self.assertTrue(any(one.name == "goroutine" for one in pushed))
        for one in pushed:
            self.assertEqual((one.labels["service_name"], one.labels["process"]), ("shop", "hot"))
            self.assertRegex(one.labels["version"], r"^[0-9a-f]{8,}$")
        self.assertIn(f"profiles: {len(pushed)} delivered", said)
        self.assertEqual([name for name in os.listdir(self.path("spool")) if name.endswith(".push")], [])

    def test_each_threads_time_is_in_one_window(self):
        """What a window has of a thread is how long the window is; no difference of two sums is."""
        with Target("wall") as target, Listening((200, "")) as server:
            before = Footprint(target.pid)
            process = self.start(server.port, "-p", target.pid, "-mode", "wall", "-wall", "all")
            pushed = []
            while len(pushed) < 3:
                pushed += server.wait_for(lambda one: one.name == "wall")
            self.finish(process)
            before.check_unchanged(self)
            while not server.arrived.empty():
                pushed.append(server.arrived.get())
        threads = 8
        for window in self.check_contiguous(pushed, "wall"):
            life = threads * window.profile.duration_nanos
            self.assertAlmostEqual(window.profile.total(0), life, delta=life / 100)

    def test_every_allocation_is_in_one_window(self):
        with Truth("heap_truth") as target, Listening((200, "")) as server:
            process = self.start(server.port, "-p", target.pid, "-mode", "heap", "-rate", "1")
            while server.arrived.empty():  # until it is watched
                target.tell("mixed 20 1")
                self.assertIsNone(process.poll())
            truths, pushed = [], []
            for _ in range(3):
                truths.append(target.tell("every"))
                pushed += server.wait_for(lambda one: True)
            truths.append(target.tell("every"))
            self.finish(process)
            target.quit()
            while not server.arrived.empty():
                pushed.append(server.arrived.get())
        self.check_contiguous(pushed, "memory")
        self.assertGreater(len(truths[0]), 6)
        for name, (objects, size, _, _) in truths[0].items():
            got = [sum(values) for values in zip(*(sums(one.profile, name) for one in pushed))]
            with self.subTest(function=name):
                self.assertEqual(tuple(got[:2]), (len(truths) * objects, len(truths) * size))

    def test_a_process_that_ends_leaves_its_last_window_and_the_next_one_is_a_series_of_its_own(self):
        with Listening((200, "")) as server:
            name = f"cont{os.getpid()}"  # other tests have processes that are called hot
            shutil.copy(harness.target_path("hot"), self.path(name))
            with Target(self.path(name)) as target:
                first = target.pid
                process = self.start(server.port, "-n", name)
                pushed = server.wait_for(lambda one: one.name == "process_cpu")
            with Target(self.path(name)) as target:
                pushed += server.wait_for(lambda one: f"process: {name} {target.pid}" in one.profile.comments)
                said = self.finish(process)
        self.assertIn(f"process {first} ({name}) has ended", said)
        of = lambda pid: [one for one in pushed if f"process: {name} {pid}" in one.profile.comments]
        self.assertTrue(of(first))
        self.check_contiguous(of(first), "process_cpu")
        self.assertLessEqual(max(one.end for one in of(first)), min(one.start for one in pushed if one not in of(first)))

    def test_sampling_goes_on_while_the_server_is_away_and_what_was_kept_is_sent_the_next_time(self):
        waiting = lambda: [name for name in os.listdir(self.path("spool")) if name.endswith(".push")]
        with Listening((503, "not now")) as server:
            with Target("hot") as target:
                process = self.start(server.port, "-p", target.pid, "-http", "127.0.0.1:0")
                url, = re.fullmatch(r"serving (http://127\.0\.0\.1:\d+)/metrics\n", process.stderr.readline()).groups()
                server.wait_for(lambda one: True)
                harness.wait_until(lambda: process.poll() is not None or len(waiting()) >= 3, "three profiles wait")
                self.assertIsNone(process.poll())
                self.check_metrics(url)
            said = self.finish(process, sig=None, status=5)
            kept = len(waiting())
            self.assertIn(f"{kept} wait", said)
            server.requests.clear()
            server.answers = ((200, ""),)
            done = harness.run([harness.CPROF, "-push-spool", self.path("spool"), "-push", f"http://127.0.0.1:{server.port}"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((len(server.requests), waiting()), (kept, []))

    def test_a_hangup_reads_the_file_again(self):
        conf = self.path("agent.conf")

        def write(*lines):
            with open(conf + ".new", "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            os.rename(conf + ".new", conf)

        with Target("hot") as target, Target("hot") as other, Listening((200, "")) as server:
            of = lambda pid: lambda one: f"process: hot {pid}" in one.profile.comments
            write(f"p = {target.pid}", "service = one")
            process = self.start(server.port, "-config", conf)
            server.wait_for(lambda one: one.labels["service_name"] == "one")
            write("p = 1x")
            process.send_signal(signal.SIGHUP)
            line = ""
            while "stay as they were" not in line:
                line = process.stderr.readline()
                self.assertTrue(line)
            self.assertIn("is not a process id", line)
            write(f"p = {target.pid}", "service = two")
            process.send_signal(signal.SIGHUP)
            server.wait_for(lambda one: one.labels["service_name"] == "two")
            # Other processes with the same options, again and again: one that comes, one that is not there, one that goes.
            for pids, awaited, word in ((f"{target.pid},{other.pid}", other.pid, "profiling cpu of"),
                                        (f"{target.pid},{other.pid},999999999", other.pid, "is left out"),
                                        (other.pid, other.pid, "is not meant any more"),
                                        (f"{target.pid}", target.pid, "profiling cpu of")):
                write(f"p = {pids}", "service = two")
                process.send_signal(signal.SIGHUP)
                line = process.stderr.readline()
                while "looks again" not in line:
                    self.assertTrue(line)
                    line = process.stderr.readline()
                while word not in line:
                    line = process.stderr.readline()
                    self.assertTrue(line)
                pushed = server.wait_for(of(awaited))
                self.assertEqual({one.labels["service_name"] for one in pushed}, {"two"})
            self.finish(process)

    def test_metrics_are_told_while_it_begins_anew_and_the_server_is_silent(self):
        conf = self.path("agent.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write("service = one\n")
        answers = threading.Event()
        with Target("hot") as target, Server((200, ""), silent=answers) as server:
            process = self.start(server.port, "-p", target.pid, "-http", "127.0.0.1:0", "-config", conf)
            url, = re.fullmatch(r"serving (http://127\.0\.0\.1:\d+)/metrics\n", process.stderr.readline()).groups()
            harness.wait_until(lambda: server.requests, "a profile is being sent, and not answered")
            with open(conf, "w", encoding="utf-8") as file:
                file.write("service = two\n")
            process.send_signal(signal.SIGHUP)
            harness.await_line(process.stderr, "begins anew")
            harness.wait_until(lambda: not recordings(process.pid), "the old recordings end")
            with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
                self.assertIn("cprof_push_kept_total", answer.read().decode())
            self.assertEqual(recordings(process.pid), [], "the answer came when all was over")
            answers.set()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 5))
            self.assertTrue(target.alive())

    def test_what_does_not_go_together_is_said(self):
        for args, said in ((("-o", "x"), "-o goes with one profile"), (("-dry-run",), "-dry-run goes with one profile"),
                           (("-modes", "cpu,cpu"), "mode cpu is there twice"), (("-modes", "nothing"), "nothing")):
            process = self.start(1, "-p", os.getpid(), *args)
            self.assertIn(said, self.finish(process, sig=None, status=2))
        done = harness.attach("-p", os.getpid(), "-push", "http://127.0.0.1:1", "-http", "127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("-http does not go with -push of one profile", done.stderr)
        self.assertIn("not between 1s and 1h", self.finish(self.start(1, "-p", os.getpid(), every="10ms"), sig=None, status=2))

    def test_what_killed_recordings_left_is_removed_at_the_end(self):
        with Target(["heap_churn", "2"]) as one, Target(["heap_churn", "2"]) as two, Server((200, "")) as server:
            before = {target: code_of_files(target.pid) for target in (one, two)}
            process = self.start(server.port, "-p", f"{one.pid},{two.pid}", "-modes", "heap", every="1h")
            harness.wait_until(lambda: process.poll() is not None or all(shim_pages(target.pid) for target in before), "an attach")
            pids = recordings(process.pid)
            self.assertEqual(len(pids), 2)
            for recording in pids:
                os.kill(recording, signal.SIGKILL)
                harness.await_line(process.stderr, "warning: heap of process")
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[1]
            for target, code in before.items():
                self.assertEqual(code_of_files(target.pid), code, said)
                self.assertIn("bad 0", target.close())


if __name__ == "__main__":
    harness.main()
