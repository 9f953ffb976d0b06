# SPDX-License-Identifier: Apache-2.0
"""-http of processes that come and go: by name, control group, unit and descent, and all of them."""

import concurrent.futures
import ctypes
import json
import os
import shutil
import signal
import subprocess
import unittest

import harness
from harness import Process, Target, TempDir
from test_http import Server, need_root, wait_for

NOBODY = 65534


def listed(server):
    """{pid: labels} of those that live."""
    return {int(row["labels"]["pid"]): row["labels"] for row in json.loads(server.ask("/sd")[2])}


class Sets(TempDir):
    def program(self, name):
        path = self.path(name)
        shutil.copy(harness.target_path("hot"), path)
        return path

    def test_names_are_patterns_and_who_comes_later_is_served(self):
        with Target([self.program("sets-a1")]) as one, \
                Server("-n", "sets-a*", "-n", "sets-b", "-modes", "cpu,threads") as server:
            wait_for(lambda: listed(server).keys() == {one.pid}, "the first")
            self.assertEqual(server.ask("/debug/pprof/goroutine")[0], 200)
            with Target([self.program("sets-a2")]) as two, Target([self.program("sets-b")]) as three, \
                    Target([self.program("sets-c")]):
                wait_for(lambda: listed(server).keys() == {one.pid, two.pid, three.pid}, "those that came later")
                self.assertEqual(server.ask("/debug/pprof/goroutine")[0], 404)
                wait_for(lambda: server.profile(f"profile?seconds=0.3&pid={two.pid}").total(0), "samples")
            wait_for(lambda: listed(server).keys() == {one.pid}, "their end")
            status, _, body = server.ask(f"/pid/{two.pid}/debug/pprof/heap")
            self.assertEqual(status, 404)
            self.assertIn(b"has ended", body)
            one.close()
            wait_for(lambda: server.ask("/readyz")[0] == 503, "the end of all")
            # Coming and going is no news where anybody may come.
            self.assertEqual(server.end(), "")

    def test_a_pattern_may_wait_and_a_name_may_not(self):
        done = harness.attach("-n", "sets-nobody", "-http", "127.0.0.1:0")
        self.assertEqual(done.returncode, 3, done.stderr)
        with Server("-n", "sets-wait*", "-modes", "threads") as server:
            self.assertEqual(server.ask("/debug/pprof/goroutine")[0], 404)
            with Target([self.program("sets-waited")]) as target:
                wait_for(lambda: target.pid in listed(server), "it")

    def test_what_a_process_starts(self):
        shell = [f"{harness.target_path('hot')} >/dev/null & echo ready; read line; exec {harness.target_path('hot')}"]
        parent = Process(["sh", "-c", *shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(parent.stdout.readline(), "ready\n")
        with Server("-p", parent.pid, "-children", "-modes", "threads") as server:
            child, = (pid for pid in harness.children(parent.pid))
            wait_for(lambda: listed(server).keys() == {parent.pid, child}, "the child")
            # It runs another program now, and is meant all the same.
            parent.stdin.write("\n")
            parent.stdin.flush()
            wait_for(lambda: listed(server)[parent.pid]["comm"] == "hot", "the other program")
            self.assertEqual(server.ask(f"/pid/{parent.pid}/debug/pprof/goroutine")[0], 200)
            os.kill(child, signal.SIGKILL)
            wait_for(lambda: listed(server).keys() == {parent.pid}, "the end of the child")
        parent.kill()
        parent.wait()

    def test_control_groups_and_units(self):
        need_root()
        for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd"):
            group = f"{mount}/cprof-e2e-{os.getpid()}.slice/cprof-e2e@{os.getpid()}.service"
            if os.path.exists(f"{mount}/cgroup.procs"):
                break
        else:
            raise unittest.SkipTest("no control groups are mounted here")
        try:
            os.makedirs(group)
        except OSError as why:
            raise unittest.SkipTest(f"no control group can be made here: {why}")
        self.addCleanup(lambda: [os.rmdir(path) for path in (group, os.path.dirname(group))])

        def move(pid, to):
            with open(f"{to}/cgroup.procs", "w") as file:
                file.write(str(pid))

        with Target("hot") as inside, Target("hot") as outside:
            move(inside.pid, group)
            with Server("-cgroup", os.path.dirname(group), "-modes", "threads") as by_group, \
                    Server("-unit", f"cprof-e2e@{os.getpid()}", "-modes", "threads") as by_unit:
                for server in (by_group, by_unit):
                    self.assertEqual(listed(server).keys(), {inside.pid})
                move(outside.pid, group)
                for server in (by_group, by_unit):
                    server.process.send_signal(signal.SIGHUP)  # it would look by itself, within ten seconds
                    wait_for(lambda: listed(server).keys() == {inside.pid, outside.pid}, "one that was moved there")
                move(outside.pid, mount)
                for server in (by_group, by_unit):
                    server.process.send_signal(signal.SIGHUP)
                    wait_for(lambda: listed(server).keys() == {inside.pid}, "one that was moved away")
            move(inside.pid, mount)

    def test_all_are_those_that_may_be_profiled(self):
        with Target("hot") as mine, Server("-all", "-modes", "threads") as server:
            wait_for(lambda: mine.pid in listed(server), "it")
            self.assertNotIn(server.pid, listed(server))
            self.assertEqual(server.ask(f"/pid/{mine.pid}/debug/pprof/goroutine")[0], 200)

    def test_sighup_looks_again(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu,threads") as server:
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.process.stderr.readline(), "looked again for whom to serve\n")
            self.assertEqual(listed(server).keys(), {target.pid})
            wait_for(lambda: server.profile("profile?seconds=0.3").total(0), "samples")

    def test_sighup_reads_the_file_of_options_again(self):
        conf = self.path("agent.conf")

        def write(*lines):
            with open(conf + ".new", "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            os.rename(conf + ".new", conf)

        with Target("hot") as first, Target("hot") as second:
            write(f"p = {first.pid}", "modes = cpu,threads")
            with Server("-config", conf) as server:
                write(f"p = {first.pid},{second.pid}", "modes = cpu")
                server.process.send_signal(signal.SIGHUP)
                said = server.process.stderr.readline()
                self.assertIn("count from the next start on", said)
                self.assertEqual(server.process.stderr.readline(), f"process {second.pid} (hot) is there\n")
                wait_for(lambda: listed(server).keys() == {first.pid, second.pid}, "both")
                write("p = none")
                server.process.send_signal(signal.SIGHUP)
                while "stay as they were" not in said:
                    said = server.process.stderr.readline()
                    self.assertTrue(said)
                self.assertEqual(listed(server).keys(), {first.pid, second.pid})


class Stream(TempDir):
    """One stream of CPU samples for all."""

    def ask_all(self, server, pids, seconds):
        with server.held(*[f"/pid/{pid}/debug/pprof/profile?seconds=1000" for pid in pids]), \
                concurrent.futures.ThreadPoolExecutor(len(pids)) as pool:
            wait_for(server.recorders, "a recording")
            recorders = server.recorders()
            asked = [pool.submit(server.profile, f"profile?seconds={seconds}&pid={pid}&labels=all") for pid in pids]
            return recorders, [each.result() for each in asked]

    def check(self, server, pids, profiles):
        for pid, profile in zip(pids, profiles):
            self.assertIn(f"process: hot {pid}", "\n".join(profile.comments))
            # A machine that is busy may have had no time for it meanwhile.
            wait_for(lambda: profile.total(0) or server.profile(f"profile?seconds=1&pid={pid}").total(0), "samples")
            # Nothing is another's.
            tids = {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
            self.assertLessEqual({labels["tid"] for _, _, labels in profile.samples}, tids)
            self.assertLessEqual(profile.total(1), profile.duration_nanos * os.cpu_count() * 1.1)

    def test_each_gets_his_own_of_one_stream(self):
        need_root()
        with Target("hot") as one, Target("hot") as two, Target("hot") as three:
            pids = [one.pid, two.pid, three.pid]
            with Server("-p", ",".join(map(str, pids)), "-modes", "cpu") as server:
                recorders, profiles = self.ask_all(server, pids, 1)
                self.assertEqual(len(recorders), 1)
                self.check(server, pids, profiles)
                wait_for(lambda: not server.recorders(), "the end of the stream")
                # One that ends is told at once, and the others' windows go on.
                with concurrent.futures.ThreadPoolExecutor(2) as pool:
                    lost = pool.submit(server.ask, f"/pid/{two.pid}/debug/pprof/profile?seconds=1000")
                    kept = pool.submit(server.profile, f"profile?seconds=1&pid={one.pid}")
                    wait_for(server.recorders, "a recording")
                    two.close(check=False)
                    status, _, body = lost.result()
                    self.assertEqual((status, b"has ended" in body), (404, True), body)
                    self.assertGreaterEqual(kept.result().duration_nanos, 1e9)

    def openings(self, path):
        """A function that tells whether somebody has opened the file since it was last asked."""
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.addCleanup(os.close, watch)
        self.assertGreater(libc.inotify_add_watch(watch, path.encode(), 0x20), 0)  # IN_OPEN

        def any_since():
            try:
                return len(os.read(watch, 1 << 20)) > 0
            except BlockingIOError:
                return False
        return any_since

    def test_what_has_been_named_is_known_to_all_windows(self):
        """Debug information is opened by the stream's own child, and then by nobody any more."""
        need_root()
        program, debug = self.path("hot"), self.path("hot.debug")
        shutil.copy(harness.target_path("hot"), program)
        for command in (["--only-keep-debug", program, debug], ["--strip-all", program],
                        [f"--add-gnu-debuglink={debug}", program]):
            subprocess.run(["objcopy", *command], check=True)
        opened = self.openings(debug)
        with Target(program) as one, Target("hot") as two, Server("-p", f"{one.pid},{two.pid}", "-modes", "cpu") as server, \
                server.held(f"/pid/{one.pid}/debug/pprof/profile?seconds=1000"):
            def names_without_opening():
                opened()
                profile = server.profile(f"profile?seconds=0.2&pid={one.pid}")
                return profile.share(lambda stack, _: "crunch" in stack) > 0 and not opened()
            wait_for(names_without_opening, "a window that has its names from the stream")

    def test_what_costs_too_much_is_sampled_less_often_and_weighs_as_much(self):
        need_root()
        with Target("hot") as one, Target("hot") as two:
            for pids in ([one.pid], [one.pid, two.pid]):
                with self.subTest(processes=len(pids)), \
                        Server("-p", ",".join(map(str, pids)), "-modes", "cpu", "-overhead", "0.02%") as server, \
                        server.held(f"/pid/{one.pid}/debug/pprof/profile?seconds=1000&hz=1000"):
                    wait_for(lambda: b'cprof_recordings{mode="cpu",state="slowed"} 1\n' in server.ask("/metrics")[2], "a lower rate")
                    profiles = []

                    def has_samples():
                        profiles.append(server.profile(f"profile?seconds=1&hz=1000&pid={one.pid}"))
                        return profiles[-1].total(0)
                    wait_for(has_samples, "samples")
                    self.assertGreater(profiles[-1].total(1) / profiles[-1].total(0), 1.5e6)  # nanoseconds, of 1 ms at 1000 Hz
                    self.assertIn("sampled less often at times", "\n".join(profiles[-1].comments))
                    self.assertRegex(server.ask("/metrics")[2], rb'\ncprof_recordings_cpu_seconds_total{mode="cpu"} (?!0\.0+\n)\d')

    def test_who_may_not_has_one_for_each(self):
        """Without the rights that a stream needs: as for everybody who is not root."""
        need_root()
        another = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with Target("hot", **another) as one, Target("hot", **another) as two:
            pids = [one.pid, two.pid]
            with Server("-p", ",".join(map(str, pids)), "-modes", "cpu", **another) as server:
                _, profiles = self.ask_all(server, pids, 1)
                self.check(server, pids, profiles)
                self.assertEqual(server.end().count("each process's CPU is sampled by itself"), 1)


if __name__ == "__main__":
    harness.main()
