# SPDX-License-Identifier: Apache-2.0
"""-http: /debug/pprof/ of a process that knows nothing of it, asked by Go's own tool, by raw sockets, and by those who mean harm."""

import concurrent.futures
import contextlib
import gzip
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import unittest.mock

import harness
from harness import Footprint, Process, Profile, Target, TempDir
from heap_harness import shim_pages, tracer

TEXT, BINARY, HTML = "text/plain; charset=utf-8", "application/octet-stream", "text/html; charset=utf-8"


class Server:
    """cprof-attach -http beside a target, on a port of its own; ended cleanly unless a test does it otherwise."""

    def __init__(self, *args, address="127.0.0.1:0", **popen):
        argv = [harness.ATTACH, *map(str, args), "-no-cache", "-http", address]
        self.process = Process(argv, stderr=subprocess.PIPE, text=True, **popen)
        line = self.process.stderr.readline()
        match = re.match(r"serving (http://[0-9.]+:(\d+)|unix:\S+)/(?:debug/pprof/ of process|targets)", line)
        if not match:
            raise AssertionError(line + self.process.communicate(timeout=60)[1])
        self.url, self.port = match.group(1), int(match.group(2) or 0)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end(check=exc[0] is None)

    def end(self, sig=signal.SIGTERM, check=True):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        said = self.process.communicate(timeout=60)[1]
        if check and self.process.returncode:
            raise AssertionError(f"the server ended with {self.process.returncode}: {said}")
        return said

    def ask(self, path, method="GET", body=None, headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return result

    def profile(self, path):
        status, _, body = self.ask("/debug/pprof/" + path)
        if status != 200:
            raise AssertionError(f"{path}: {status} {body}")
        return Profile(body)

    def counts(self):
        """What the index page says of each profile, by name."""
        page = self.ask("/debug/pprof/")[2].decode()
        return {name: count for count, name in re.findall(r"<tr><td>([^<]*)</td><td><a href='\w+\?debug=1'>(\w+)</a>", page)}

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    @contextlib.contextmanager
    def held(self, *paths):
        """Windows that stay open until the end of the with: the server has read these requests, and nobody waits for the answers."""
        with contextlib.ExitStack() as clients:
            for path in paths:
                client = clients.enter_context(self.connect())
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            # One thread serves them all, in the order in which they came: who is behind them is answered after them.
            wait_for(lambda: self.clients() > len(paths), "connections")
            self.clients()
            yield

    def clients(self):
        return int(re.search(rb"^cprof_clients (\d+)$", self.ask("/metrics")[2], re.M).group(1))

    def recorders(self):
        return [pid for pid in harness.children(self.pid) if name_of(pid) == "cprof-record"]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def wait_for(fact, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come: {what}")
        time.sleep(0.01)


def need_root():
    if os.geteuid():
        raise unittest.SkipTest("needs root")


UNKNOWN = b"Unknown profile\n"
POSITIVE = b'invalid value for "seconds" - must be a positive integer\n'
BOTH = b"seconds and debug params are incompatible\n"


class Contract(unittest.TestCase):
    """What a Go 1.26 program answered to the same requests: status, headers, and error texts to the byte."""

    # method, path, status, content type, file name, body (None: not compared)
    ROWS = [
        ("GET", "/debug/pprof/", 200, HTML, None, None),
        ("POST", "/debug/pprof/", 200, HTML, None, None),
        ("GET", "/debug/pprof", 307, HTML, None, b'<a href="/debug/pprof/">Temporary Redirect</a>.\n\n'),
        ("GET", "/debug/pprof//heap", 307, HTML, None, b'<a href="/debug/pprof/heap">Temporary Redirect</a>.\n\n'),
        ("GET", "/debug/other", 404, TEXT, None, b"404 page not found\n"),
        ("GET", "/debug/pprof/nosuch", 404, TEXT, None, UNKNOWN),
        ("HEAD", "/debug/pprof/nosuch", 404, TEXT, None, b""),
        ("GET", "/debug/pprof/nosuch?seconds=1", 404, TEXT, None, UNKNOWN),
        ("GET", "/debug/pprof/%3Cb%3Ex", 404, TEXT, None, UNKNOWN),
        ("GET", "/debug/pprof/heap/", 404, TEXT, None, UNKNOWN),
        ("GET", "/debug/pprof/Heap", 404, TEXT, None, UNKNOWN),
        ("GET", "/debug/pprof/profile/", 404, TEXT, None, UNKNOWN),
        *((method, "/debug/pprof/heap", 200, BINARY, "heap", None)
          for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")),
        *(("GET", "/debug/pprof/heap?" + query, 200, BINARY, "heap", None)
          for query in ("debug=0", "debug=abc", "debug=", "gc=1", "gc=abc", "nonsense=1", "debug=%zz",
                        "debug=1;seconds=1", "seconds=")),
        *(("GET", "/debug/pprof/heap?debug=" + debug, 200, TEXT, None, None) for debug in ("1", "2", "3", "-1")),
        *(("GET", "/debug/pprof/" + name, 200, BINARY, name, None)
          for name in ("allocs", "block", "mutex", "goroutine")),
        *(("GET", f"/debug/pprof/{name}?debug=1", 200, TEXT, None, None)
          for name in ("allocs", "block", "mutex", "goroutine")),
        ("GET", "/debug/pprof/goroutine?debug=2", 200, TEXT, None, None),
        *(("GET", "/debug/pprof/heap?seconds=" + seconds, 400, TEXT, None, POSITIVE)
          for seconds in ("0", "-1", "abc", "1.5", "1s", "1e9", "9223372036854775808")),
        ("GET", "/debug/pprof/heap?seconds=1&debug=1", 400, TEXT, None, BOTH),
        ("GET", "/debug/pprof/goroutine?seconds=1&debug=2", 400, TEXT, None, BOTH),
        ("GET", "/debug/pprof/heap?seconds=1&seconds=3", 200, BINARY, "heap-delta", None),
        ("HEAD", "/debug/pprof/heap?seconds=1", 200, BINARY, "heap-delta", None),
        ("GET", "/debug/pprof/goroutine?seconds=1", 200, BINARY, "goroutine-delta", None),
        ("GET", "/debug/pprof/profile?seconds=1", 200, BINARY, "profile", None),
        ("GET", "/debug/pprof/profile?seconds=1&debug=1", 200, BINARY, "profile", None),
        ("HEAD", "/debug/pprof/profile?seconds=1", 200, BINARY, "profile", None),
        ("GET", "/debug/pprof/cmdline", 200, TEXT, None, None),
        ("POST", "/debug/pprof/cmdline", 200, TEXT, None, None),
        ("GET", "/debug/pprof/symbol", 200, TEXT, None, b"num_symbols: 1\n"),
        ("POST", "/debug/pprof/symbol", 200, TEXT, None, b"num_symbols: 1\n"),
        ("HEAD", "/debug/pprof/symbol", 200, TEXT, None, b""),
        # Ours, where Go has none or is wrong.
        ("GET", "/debug/pprof/threads", 200, BINARY, "threads", None),
        ("GET", "/debug/pprof/trace", 501, TEXT, None, None),
        ("GET", "/debug/fgprof?seconds=0.2", 200, BINARY, "wall", None),
        ("GET", "/debug/pprof/wall?seconds=0.2&hz=200", 200, BINARY, "wall", None),
        ("GET", "/debug/pprof/wall?seconds=0.2&event=cycles", 400, TEXT, None, None),
        ("GET", "/debug/fgprof?seconds=1e9", 400, TEXT, None, b"seconds is 3600 at most\n"),
        *(("GET", f"/debug/pprof/delta_{name}", 200, BINARY, name + ".pprof.gz", None) for name in ("heap", "block", "mutex")),
        ("GET", "/debug/pprof/delta_heap?debug=1", 200, TEXT, None, None),
        ("GET", "/debug/pprof/block?seconds=1&rate=5000", 200, BINARY, "block-delta", None),
        ("GET", "/debug/pprof/block?seconds=1&rate=10", 400, TEXT, None,
         b"rate is a number of nanoseconds between 1000 and 1000000000\n"),
        ("GET", "/debug/pprof/mutex?rate=5000", 400, TEXT, None, None),
        ("GET", "/debug/pprof/heap?rate=1", 400, TEXT, None, None),
        ("GET", "/debug/pprof/profile?seconds=1&rate=50", 200, BINARY, "profile", None),
        ("GET", "/debug/pprof/profile?seconds=1e9", 400, TEXT, None, b"seconds is 3600 at most\n"),
        ("GET", "/debug/pprof/profile?hz=1e9", 400, TEXT, None, b"hz is a number between 0.1 and 1000\n"),
        ("GET", "/debug/pprof/profile?seconds=0.2&event=nosuch", 400, TEXT, None, None),
    ]

    def check(self, server, row):
        method, path, status, kind, name, body = row
        got, headers, text = server.ask(path, method)
        self.assertEqual((got, headers.get("Content-Type")), (status, kind), text)
        self.assertEqual(headers.get("Content-Disposition"), name and f'attachment; filename="{name}"')
        self.assertEqual(headers.get("X-Content-Type-Options"), None if status == 307 else "nosniff")
        self.assertEqual(headers.get("X-Go-Pprof"), "1" if status >= 400 and "other" not in path else None)
        if body is not None:
            self.assertEqual(text, body)
        if status == 200 and kind == BINARY and method != "HEAD":
            self.assertTrue(gzip.decompress(text))

    def test_statuses_headers_and_texts_are_gos(self):
        need_root()
        with Target("hot") as target, Server("-p", target.pid) as server:
            def problem_with(row):
                try:
                    self.check(server, row)
                except AssertionError as problem:
                    return f"{row[0]} {row[1]}: {problem}"

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                self.assertEqual([problem for problem in pool.map(problem_with, self.ROWS) if problem], [])
            self.assertTrue(target.alive())

    def test_names_of_addresses(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu,threads") as server:
            body = server.ask("/debug/pprof/goroutine?debug=1")[2].decode()
            self.assertEqual({name: server.counts()[name] for name in ("goroutine", "threads", "cmdline")},
                             dict.fromkeys(("goroutine", "threads"), str(len(os.listdir(f"/proc/{target.pid}/task")))) | {"cmdline": ""})
            addr, name = re.search(r"^#\t(0x[0-9a-f]+)\t(\w*sleep\w*|\w*wait\w*)\t", body, re.M).groups()
            want = f"num_symbols: 1\n{addr} {name}\n".encode()
            self.assertEqual(server.ask("/debug/pprof/symbol?" + addr)[2], want)
            asked = f"0x1+abc+{addr}+0x0+99999999999999999999999"
            self.assertEqual(server.ask("/debug/pprof/symbol", "POST", asked)[2], want)
            self.assertEqual(server.ask("/debug/pprof/cmdline")[2], "\0".join(target.argv).encode())


class GoTool(TempDir):
    """go tool pprof reads every endpoint, all forms of it."""

    def raw(self, server, path):
        env = dict(os.environ, PPROF_TMPDIR=self.dir)
        done = harness.run([*self.pprof, "-raw", f"{server.url}/debug/pprof/{path}"], env=env, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_reads_redis(self):
        need_root()
        harness.need("redis-server")
        self.pprof = harness.go_pprof()
        sock = self.path("redis.sock")
        redis = ["redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--daemonize", "no"]
        with Target(redis, wait_for=None, cwd=self.dir) as target:
            wait_for(lambda: os.path.exists(sock), "redis-server")
            with Server("-p", target.pid) as server:
                wait_for(lambda: shim_pages(target.pid) and tracer(target.pid) == 0, "the hooks of the heap's recording")
                client = socket.socket(socket.AF_UNIX)
                client.connect(sock)
                client.sendall(b"DEBUG SLEEP 0\r\n" + b"".join(
                    b"SET k%d %s\r\n" % (i, b"v" * 4000) for i in range(4000)) + b"PING\r\n")
                got = b""
                while not got.endswith(b"+PONG\r\n"):
                    got += client.recv(65536)
                heap = ("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes")
                for path, kind in (("profile?seconds=1", "samples/count cpu/nanoseconds"), ("heap", heap),
                                   ("allocs", heap), ("heap?debug=1", None), ("goroutine", "goroutine/count"),
                                   ("goroutine?debug=1", None), ("threads", "threads/count"),
                                   ("block", "contentions/count delay/nanoseconds"), ("block?debug=1", None),
                                   ("mutex", "contentions/count delay/nanoseconds"), ("heap?seconds=1", heap)):
                    with self.subTest(path):
                        raw = self.raw(server, path)
                        if kind:
                            self.assertIn(kind, raw.replace("[dflt]", ""))
                        if path.startswith(("goroutine", "threads")):
                            self.assertIn("epoll_wait", raw)
                        if path in ("heap", "allocs", "heap?debug=1"):
                            self.assertIn("zmalloc", raw)
                client.close()
                self.assertTrue(target.alive())


class Recordings(unittest.TestCase):
    def test_profiles_at_once_share_a_stream_and_have_windows_of_their_own(self):
        need_root()
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu") as server:
            got, lengths = {}, {"a": 1, "b": 2, "c": 1.5, "d": 0.7}

            def ask(name, seconds):
                got[name] = server.profile(f"profile?seconds={seconds}&labels=all")

            threads = [threading.Thread(target=ask, args=item) for item in lengths.items()]
            long = "/debug/pprof/profile?seconds=1000"
            with server.held(long, long):
                wait_for(server.recorders, "a recording")
                self.assertEqual(len(server.recorders()), 1)
                [thread.start() for thread in threads]
                [thread.join() for thread in threads]
                self.assertEqual(len(server.recorders()), 1)
            wait_for(lambda: not server.recorders(), "its end")
            for name, seconds in lengths.items():
                profile = got[name]
                # A window begins and ends when the recording comes to it: not before what was asked for is over.
                self.assertGreaterEqual(profile.duration_nanos, seconds * 1e9)
                self.assertLessEqual(profile.total(1), profile.duration_nanos * os.cpu_count() * 1.1)
                self.assertTrue(all(min(values) > 0 for _, values, _ in profile.samples))
            names = {name for profile in got.values() for stack, _, _ in profile.samples for name in stack}
            self.assertTrue({"hash_blocks", "sort_round"} & names, names)

    def test_heap_grows_from_the_start_and_a_difference_keeps_what_is_in_use(self):
        need_root()
        with Target(["heap_churn", "2"]) as target:
            before = Footprint(target.pid)
            with Server("-p", target.pid, "-modes", "heap") as server:
                first = server.profile("allocs")
                wait_for(lambda: server.profile("allocs").total(1) > first.total(1), "allocations")
                wait_for(lambda: int(server.counts()["heap"]) > 0, "a number of stacks on the index page")
                second, delta, third = server.profile("allocs"), server.profile("heap?seconds=1"), server.profile("allocs")
                self.assertEqual([first.default_sample_type, delta.default_sample_type], ["alloc_space", "inuse_space"])
                for index in (0, 1):
                    self.assertLessEqual(first.total(index), second.total(index))
                    self.assertLessEqual(second.total(index), third.total(index))
                    self.assertGreater(delta.total(index), 0)
                    self.assertLessEqual(delta.total(index), third.total(index) - second.total(index))
                    self.assertTrue(all(values[index] >= 0 for _, values, _ in delta.samples))
                self.assertEqual((first.duration_nanos, delta.duration_nanos >= 1e9), (0, True))
                self.assertGreater(first.time_nanos, 0)
            before.check_unchanged(self)
            self.assertIn("bad 0", target.close())

    def test_waits_grow_from_the_start(self):
        need_root()
        with Target(["locks", "brief"]) as target, Server("-p", target.pid, "-modes", "block,mutex") as server:
            for name in ("block", "mutex"):
                first = server.profile(name)
                wait_for(lambda: server.profile(name).total(0) > first.total(0), "waits")
                last = server.profile(name)
                self.assertEqual(last.sample_types, [("contentions", "count"), ("delay", "nanoseconds")])
                self.assertGreater(last.total(1), first.total(1))
                self.assertFalse(any({"lock", "owner", "tid"} & labels.keys() for _, _, labels in last.samples))

    def test_wall_clocks_share_one_recording_each_with_its_own_seconds(self):
        need_root()
        with Target("wall") as target, Server("-p", target.pid, "-modes", "wall") as server:
            footprint = Footprint(target.pid)
            with server.held("/debug/pprof/wall?seconds=3000"):  # nobody waits for this one
                seconds = [0.4, 0.5, 0.7, 0.9, 1.1]
                with concurrent.futures.ThreadPoolExecutor(len(seconds)) as pool:
                    asked = [pool.submit(server.profile, f"wall?seconds={each}&labels=all") for each in seconds]
                    wait_for(lambda: server.clients() > len(seconds) + 1 or all(ask.done() for ask in asked), "their asks")
                    self.assertLessEqual(len(server.recorders()), 1)
                    profiles = [ask.result() for ask in asked]
                self.assertEqual(len(server.recorders()), 1)
                for length, profile in zip(seconds, profiles):
                    self.assertEqual(profile.duration_nanos, length * 1e9)
                    sums, names = {}, set()
                    for _, values, labels in profile.samples:
                        sums[labels["tid"]] = sums.get(labels["tid"], 0) + values[0]
                        names.add(labels["thread"])
                        self.assertNotIn("time_ms", labels)
                    self.assertLessEqual({"mixed", "pinned-a", "pinned-b"}, names)
                    for tid, ns in sums.items():
                        self.assertAlmostEqual(ns / 1e9, length, delta=length * 0.001, msg=(tid, names))
            wait_for(lambda: not server.recorders(), "the end of a recording that nobody wants")
            footprint.check_unchanged(self)

    def test_threads_are_chosen_by_name_and_id(self):
        need_root()
        with Target("wall") as target, Server("-p", target.pid, "-modes", "cpu,block,threads,wall", "-rate", "1us") as server:
            def threads_in(path):
                status, _, body = server.ask(path)
                self.assertEqual(status, 200, body)
                return {sample[2].get("thread") for sample in Profile(body).samples}

            # How soon it gets a processor is up to the machine.
            wait_for(lambda: threads_in("/debug/pprof/profile?seconds=0.5&threads=^pinned-a") == {"pinned-a"}, "it runs")
            for path in ("wall?seconds=0.5&", "goroutine?"):
                self.assertEqual(threads_in(f"/debug/pprof/{path}threads=^pinned-a"), {"pinned-a"}, path)
            wait_for(lambda: threads_in("/debug/pprof/block?threads=mixed") == {"mixed"}, "it waits for its lock")
            everybody = threads_in("/debug/pprof/goroutine")
            self.assertLess({"mixed", "idle"}, everybody)
            self.assertEqual(threads_in(f"/debug/pprof/goroutine?tid={target.pid}"), {"wall"})
            self.assertEqual(threads_in("/debug/pprof/goroutine?threads=nobody"), set())
            # What was asked for with a choice takes nothing from who asks for all.
            self.assertEqual(threads_in("/debug/pprof/goroutine"), everybody)
            text = server.ask("/debug/pprof/threads?debug=2&threads=mixed")[2].decode()
            self.assertIn("mixed", text)
            self.assertNotIn("pinned", text)
            self.assertTrue(target.alive())

    def test_deltas_are_what_came_since_the_last_one(self):
        need_root()
        with Target(["heap_churn", "2"]) as target, Server("-p", target.pid, "-modes", "heap,block,mutex") as server:
            deltas = [self.delta(server, "heap")]
            wait_for(lambda: server.profile("allocs").total(1) > deltas[0].total(1), "allocations")
            before = server.profile("allocs").total(1)
            deltas.append(self.delta(server, "heap"))
            whole = server.profile("allocs")
            self.assertTrue(all(min(values) >= 0 for delta in deltas for _, values, _ in delta.samples))
            self.assertGreater(deltas[1].total(1), 0)
            self.assertLessEqual(before, deltas[0].total(1) + deltas[1].total(1))
            self.assertLessEqual(deltas[0].total(1) + deltas[1].total(1), whole.total(1))
            for name in ("block", "mutex"):
                self.assertEqual(self.delta(server, name).sample_types, [("contentions", "count"), ("delay", "nanoseconds")])

    def delta(self, server, name):
        status, headers, body = server.ask(f"/debug/pprof/delta_{name}")
        self.assertEqual((status, headers["Content-Disposition"]), (200, f'attachment; filename="{name}.pprof.gz"'), body)
        return Profile(body)

    def test_counts_go_on_after_a_recording_was_killed(self):
        need_root()
        with Target(["heap_churn", "2"]) as target:
            before = Footprint(target.pid)
            with Server("-p", target.pid, "-modes", "heap,block") as server:
                wait_for(lambda: server.profile("allocs").total(1), "allocations")
                self.delta(server, "heap")
                killed = server.recorders()
                told = server.profile("allocs")
                [os.kill(pid, signal.SIGKILL) for pid in killed]
                wait_for(lambda: not set(killed) & set(server.recorders()), "their end")
                wait_for(lambda: server.ask("/debug/pprof/heap")[0] == 200, "the next recording")
                first = server.profile("allocs")
                wait_for(lambda: server.profile("allocs").total(1) > first.total(1), "allocations")
                self.assertGreaterEqual(first.total(1), told.total(1))
                self.assertGreaterEqual(first.total(0), told.total(0))
                self.assertTrue(all(min(values) >= 0 for _, values, _ in self.delta(server, "heap").samples))
                self.assertEqual(len(server.recorders()), 2)
            before.check_unchanged(self)
            self.assertIn("bad 0", target.close())

    def test_threads_are_told_by_the_stack_that_started_them(self):
        with Target("shop") as target, Server("-p", target.pid, "-modes", "threadcreate") as server:
            wait_for(lambda: server.profile("threadcreate").total() > 5, "threads")
            profile = server.profile("threadcreate")
            self.assertEqual(profile.sample_types, [("threadcreate", "count")])
            self.assertEqual({stack[0] for stack, _, _ in profile.samples}, {"clone3"} if "clone3" in profile.strings else {"clone"})
            self.assertTrue(all("shop::hire" in stack and "pthread_create" in " ".join(stack) for stack, _, _ in profile.samples))
            text = server.ask("/debug/pprof/threadcreate?debug=1")[2].decode()
            self.assertRegex(text, r"^threadcreate profile: total \d+\n\d+ @ 0x")
            self.assertIn("shop::hire", text)
            self.assertTrue(target.alive())

    def test_lazy_records_when_asked(self):
        need_root()
        with Target(["heap_churn", "1"]) as target, Server("-p", target.pid, "-lazy") as server:
            self.assertEqual(server.ask("/debug/pprof/")[0], 200)
            self.assertEqual(server.recorders(), [])
            server.profile("heap")
            self.assertEqual(len(server.recorders()), 1)

    def test_a_client_that_hangs_up_frees_all(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu") as server:
            client = server.connect()
            client.sendall(b"GET /debug/pprof/profile?seconds=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(server.recorders, "a recording")
            client.close()
            wait_for(lambda: not harness.children(server.pid), "the end of the recording")
            wait_for(lambda: server.profile("profile?seconds=0.3").total(0), "samples")


class Ends(TempDir):
    def test_sigterm_and_kill_leave_the_target_as_it_was(self):
        need_root()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(sig.name), Target(["heap_churn", "2"]) as target:
                before = Footprint(target.pid)
                server = Server("-p", target.pid)
                server.profile("heap")
                recorders = server.recorders()
                self.assertEqual(len(recorders), 4)
                start = time.monotonic()
                server.end(sig, check=sig == signal.SIGTERM)
                wait_for(lambda: not any(name_of(pid) == "cprof-record" for pid in recorders), "the recordings' end")
                if sig == signal.SIGTERM and harness_is_calm(start):
                    self.assertLess(time.monotonic() - start, 5)
                before.check_unchanged(self)
                self.assertIn("bad 0", target.close())

    def test_a_target_that_has_ended_is_404_and_the_next_of_its_name_is_taken(self):
        name = self.path("restarts")
        os.symlink(os.path.abspath(harness.target_path("hot")), name)
        with Target([name]) as target:
            server = Server("-n", "restarts", "-modes", "cpu,threads")
            asked = []
            client = threading.Thread(target=lambda: asked.append(server.ask("/debug/pprof/profile?seconds=1000")))
            client.start()
            wait_for(server.recorders, "a recording")
        client.join()
        for status, headers, body in (asked[0], server.ask("/debug/pprof/goroutine")):
            self.assertEqual((status, headers["X-Go-Pprof"]), (404, "1"), body)
            self.assertIn(f"process {target.pid} (restarts) has ended", body.decode())
        self.assertEqual(server.ask("/debug/pprof/")[0], 200)
        with Target([name]) as target:
            wait_for(lambda: server.ask("/debug/pprof/goroutine")[0] == 200, "the next process")
            self.assertEqual(server.end().count("is there"), 1)

    def test_a_service_manager_is_told(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(60)
        manager.bind(self.path("notify"))
        with unittest.mock.patch.dict(os.environ, NOTIFY_SOCKET=self.path("notify"), WATCHDOG_USEC="100000"):
            with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu"):
                self.assertEqual(manager.recv(100), b"READY=1")
                self.assertEqual([manager.recv(100) for _ in range(3)], [b"WATCHDOG=1"] * 3)
        said = manager.recv(100)
        while said == b"WATCHDOG=1":
            said = manager.recv(100)
        self.assertEqual(said, b"STOPPING=1")

    def test_what_cannot_be_recorded_is_told(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu") as server:
            status, headers, _ = server.ask("/debug/pprof/heap")
            self.assertEqual((status, headers["X-Go-Pprof"]), (404, "1"))

    def test_addresses(self):
        with Target("hot") as target:
            for address, status in (("0.0.0.0:0", 2), ("192.0.2.1:80", 2), ("nonsense", 2), ("unix:relative", 2)):
                done = harness.attach("-p", target.pid, "-http", address)
                self.assertEqual(done.returncode, status, done.stderr)
            with Server("-p", target.pid, "-modes", "cpu") as server:
                done = harness.attach("-p", target.pid, "-http", f"127.0.0.1:{server.port}")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("something listens on", done.stderr)

    def test_unix_socket(self):
        path = self.path("pprof.sock")
        with Target("hot") as target:
            for ended in (signal.SIGKILL, signal.SIGTERM):
                server = Server("-p", target.pid, "-modes", "threads", address="unix:" + path)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                client = socket.socket(socket.AF_UNIX)
                client.connect(path)
                client.sendall(b"GET /debug/pprof/goroutine HTTP/1.0\r\nHost: anything\r\n\r\n")
                self.assertIn(b"200 OK", client.recv(100))
                client.close()
                server.end(ended, check=ended == signal.SIGTERM)
            self.assertFalse(os.path.exists(path))


def harness_is_calm(start):
    """Whether the machine has given us what we wanted of it: else nothing can be said of times."""
    return os.getloadavg()[0] < 2 * (os.cpu_count() or 1)


class Several(unittest.TestCase):
    """One server for several processes."""

    def test_each_has_a_path_and_a_parameter(self):
        with Target("hot") as one, Target(["threads", "sleep", "3"]) as two:
            with Server("-p", f"{one.pid},{two.pid}", "-modes", "cpu,threads") as server:
                for pid, name in ((one.pid, "hash_blocks"), (two.pid, None)):
                    for path in (f"/pid/{pid}/debug/pprof/goroutine?debug=2", f"/debug/pprof/goroutine?debug=2&pid={pid}"):
                        status, _, body = server.ask(path)
                        self.assertEqual(status, 200, body)
                        self.assertIn(b"goroutine %d [" % pid, body)
                    self.assertEqual(server.ask(f"/pid/{pid}/debug/pprof/")[0], 200)
                status, headers, _ = server.ask(f"/pid/{one.pid}/debug/pprof?a=1")
                self.assertEqual((status, headers["Location"]), (307, f"/pid/{one.pid}/debug/pprof/?a=1"))
                wait_for(lambda: server.profile(f"profile?seconds=0.5&pid={one.pid}").total(0), "samples")
                for path in ("/debug/pprof/goroutine", "/debug/pprof/", "/pid/1/debug/pprof/heap", "/debug/pprof/heap?pid=x"):
                    self.assertEqual(server.ask(path)[0], 404, path)
                self.assertEqual(len(self.listed(server)), 2)
                self.assertEqual(two.close(check=False) is not None, True)
                wait_for(lambda: len(self.listed(server)) == 1, "the end of one")
                self.assertEqual(server.ask(f"/pid/{two.pid}/debug/pprof/goroutine")[0], 404)
                self.assertEqual(server.ask(f"/pid/{one.pid}/debug/pprof/goroutine")[0], 200)

    def listed(self, server):
        status, headers, body = server.ask("/sd")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        return json.loads(body)

    def test_metrics_are_well_formed_and_counters_grow(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu") as server:
            first = self.metrics(server)
            wait_for(lambda: server.profile("profile?seconds=0.3").total(0), "samples")
            server.ask("/nosuch")
            last = self.metrics(server)
            self.assertEqual(last['cprof_targets{state="alive"}'], 1)
            self.assertEqual(last['cprof_answers_total{class="4xx"}'], 1)
            self.assertGreaterEqual(last['cprof_answers_total{class="2xx"}'], 2)
            self.assertGreater(last["cprof_cpu_seconds_total"], first["cprof_cpu_seconds_total"])
            self.assertGreater(last["cprof_resident_memory_bytes"], 100000)
            self.assertEqual(first['cprof_samples_total{mode="cpu"}'], 0)
            self.assertGreater(last['cprof_samples_total{mode="cpu"}'], 0)
            self.assertEqual(last['cprof_targets{state="left_out"}'], 0)
            self.assertEqual(last['cprof_recordings{mode="threadcreate",state="running"}'], 0)
            self.assertIn('cprof_unwind_errors_total{mode="cpu",reason="no-rule"}', last)

    def metrics(self, server):
        status, headers, body = server.ask("/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        found, family = {}, None
        for line in body.decode().splitlines():
            if line.startswith("# HELP "):
                family = re.fullmatch(r"# HELP ([a-z_]+) \S.*\.", line).group(1)
            elif line.startswith("# TYPE "):
                self.assertRegex(line, rf"^# TYPE {family} (counter|gauge)$")
            else:
                name, value = re.fullmatch(rf'({family}(?:{{(?:[a-z]+="[^"]*",?)+}})?) ([0-9.]+)', line).groups()
                self.assertNotIn(name, found)
                found[name] = float(value)
        if shutil.which("promtool"):
            done = harness.run(["promtool", "check", "metrics"], input=body.decode())
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return found

    def test_lists_and_states(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu") as server:
            row, = self.listed(server)
            self.assertEqual(row["targets"], [f"127.0.0.1:{server.port}"])
            want = {"__profile_path_prefix__": f"/pid/{target.pid}", "__param_pid": str(target.pid), "comm": "hot",
                    "service_name": "hot", "exe": os.path.abspath(harness.target_path("hot"))}
            self.assertEqual(want, {key: row["labels"].get(key) for key in want})
            self.assertIn(f"/pid/{target.pid}/debug/pprof/".encode(), server.ask("/targets")[2])
            row, = json.loads(server.ask("/targets?format=json")[2])
            self.assertEqual(row, {"pid": target.pid, "comm": "hot", "alive": True, "path": f"/pid/{target.pid}/debug/pprof/"})
            for path in ("/healthz", "/readyz"):
                self.assertEqual(server.ask(path)[::2], (200, b"ok\n"))
            target.close()
            wait_for(lambda: server.ask("/readyz")[0] == 503, "its end")
            self.assertEqual(server.ask("/healthz")[0], 200)
            self.assertEqual(self.listed(server), [])


class Harm(unittest.TestCase):
    """Clients that mean harm, and those who are harmed: the others."""

    def one(self, server, raw):
        with server.connect() as client:
            client.sendall(raw)
            with client.makefile("rb") as file:
                return file.readline()

    def test_other_sites_get_nothing(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "threads") as server:
            for header in ("Host: evil.example", "Host: 127.0.0.1.evil.example",
                           "Host: localhost\r\nOrigin: http://evil.example", "Host: localhost\r\nOrigin: null",
                           "Host: localhost\r\nSec-Fetch-Site: cross-site"):
                line = self.one(server, f"GET /debug/pprof/cmdline HTTP/1.1\r\n{header}\r\n\r\n".encode())
                self.assertIn(b" 403 ", line, header)
            self.assertIn(b" 200 ", self.one(server, b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"))

    def test_a_thousand_connections_leave_room_for_one_more(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu,threads") as server:
            fds = len(os.listdir(f"/proc/{server.pid}/fd"))
            clients = []
            for _ in range(1000):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", server.port))
                clients.append(client)
            self.assertLess(len(os.listdir(f"/proc/{server.pid}/fd")), fds + 300)
            [client.close() for client in clients]
            wait_for(lambda: server.profile("profile?seconds=0.3").total(0), "samples")
            wait_for(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= fds + 1, "closed connections")

    def test_slow_clients_hold_up_nobody(self):
        with Target("hot") as target, Server("-p", target.pid, "-modes", "cpu,threads") as server:
            slow = [server.connect() for _ in range(20)]
            for i, client in enumerate(slow):
                client.sendall(b"GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"[:-i or None])
            self.assertEqual(server.ask("/debug/pprof/goroutine")[0], 200)
            [client.close() for client in slow]

    def test_nonsense_is_refused_and_nothing_breaks(self):
        seed = int(os.environ.get("CPROF_SEED", random.randrange(1 << 32)))
        dice = random.Random(seed)
        whole = [b"GET /debug/pprof/heap?seconds=1&debug=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n0x401000",
                 b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"8\r\n0x401000\r\n0\r\n\r\n",
                 b"GET /debug/pprof/?a=%00%ff&b HTTP/1.0\r\n\r\n",
                 b"POST /debug/pprof/goroutine HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx",
                 b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"]
        with self.subTest(seed=seed), Target("hot") as target, \
                Server("-p", target.pid, "-modes", "cpu,threads") as server:
            for turn in range(300):
                raw = bytearray(dice.choice(whole))
                for _ in range(dice.randrange(6)):
                    at = dice.randrange(len(raw))
                    raw[at:at + dice.randrange(3)] = bytes(dice.randrange(256) for _ in range(dice.randrange(3)))
                client = server.connect()
                try:
                    client.sendall(raw[:dice.randrange(len(raw) + 1)] if turn % 3 == 0 else raw)
                    if turn % 5 == 0:
                        client.shutdown(socket.SHUT_WR)
                        client.recv(1000)
                except OSError:
                    pass  # the server may hang up on nonsense
                client.close()
            status, _, body = server.ask("/debug/pprof/symbol", "POST", b"0x1+" * 30000)
            self.assertEqual((status, body), (413, b"a request may have 64 KiB at most\n"))
            self.assertEqual(server.ask("/debug/pprof/goroutine")[0], 200)
            wait_for(lambda: not harness.children(server.pid), "the end of all works")
            self.assertTrue(target.alive())


if __name__ == "__main__":
    harness.main()
