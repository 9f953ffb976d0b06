# SPDX-License-Identifier: Apache-2.0
"""go tool pprof (-top, -raw, -http) at every endpoint of one server for redis-server, python3 and a C++ program."""

import concurrent.futures
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import harness
from harness import Process, Target, TempDir
from test_http import Server, need_root, wait_for

HEAP = "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
WAITS = "contentions/count delay/nanoseconds"
ENDPOINTS = {"profile?seconds=1": "samples/count cpu/nanoseconds", "heap": HEAP, "allocs": HEAP, "heap?seconds=1": HEAP,
             "delta_heap": HEAP, "block": WAITS, "mutex": WAITS, "delta_block": WAITS, "delta_mutex": WAITS,
             "goroutine": "goroutine/count", "threads": "threads/count", "threadcreate": "threadcreate/count"}
TEXTS = ("heap?debug=1", "block?debug=1", "mutex?debug=1", "goroutine?debug=1", "threadcreate?debug=1")
PYTHON = """import threading, time
while True:
    sorted(str(i) * 50 for i in range(5000))
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start()
    thread.join()
"""


class ThreePrograms(TempDir):
    def tool(self, *args):
        done = harness.run([*self.pprof, "-timeout", "100", *args], env=dict(os.environ, PPROF_TMPDIR=self.dir), timeout=120)
        if done.returncode:
            raise AssertionError(f"{args}: {done.stderr}")
        return done.stdout

    def problem_with(self, server, pid, path):
        url = f"{server.url}/pid/{pid}/debug/pprof/{path}"
        try:
            raw = self.tool("-raw", url).replace("[dflt]", "")
            if ENDPOINTS.get(path, "") not in raw:
                return f"{path}: {raw[:500]}"
            if "?" not in path and "Type: " not in self.tool("-top", url):
                return f"{path}: -top has no type"
        except AssertionError as problem:
            return str(problem)
        return None

    def check_page(self, server, pid):
        argv = [*self.pprof, "-no_browser", "-http", "127.0.0.1:", f"{server.url}/pid/{pid}/debug/pprof/goroutine"]
        process = Process(argv, stderr=subprocess.PIPE, text=True, env=dict(os.environ, PPROF_TMPDIR=self.dir), start_new_session=True)
        try:
            lines = iter(process.stderr.readline, "")
            url = next(match.group(1) for match in (re.search(r"Serving web UI on (\S+)", line) for line in lines) if match)
            self.assertIn(b"goroutine", self.page(url + "/ui/top"))
        finally:
            os.killpg(process.pid, 9)
            process.communicate()

    def page(self, url):
        got = []

        def is_there():
            try:
                with urllib.request.urlopen(url, timeout=60) as page:
                    got.append(page.read())
            except urllib.error.URLError:  # it is about to listen
                return False
            return True

        wait_for(is_there, "the page of go tool pprof")
        return got[0]

    def test_every_endpoint_is_read(self):
        need_root()
        harness.need("redis-server")
        self.pprof = harness.go_pprof()
        sock = self.path("redis.sock")
        redis = ["redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--daemonize", "no"]
        with Target(redis, wait_for=None, cwd=self.dir) as one, Target("shop") as three, \
                Target([sys.executable, "-c", "import signal, sys; signal.signal(15, lambda *_: sys.exit(0))\n" + PYTHON], wait_for=None) as two:
            wait_for(lambda: os.path.exists(sock), "redis-server")
            pids = (one.pid, two.pid, three.pid)
            with Server("-p", ",".join(map(str, pids))) as server, concurrent.futures.ThreadPoolExecutor(4) as pool:
                asked = [(pid, path) for pid in pids for path in (*ENDPOINTS, *TEXTS)]
                problems = list(pool.map(lambda item: self.problem_with(server, *item), asked))
                self.assertEqual([problem for problem in problems if problem], [])
                self.check_page(server, three.pid)
            self.assertTrue(all(target.alive() for target in (one, two, three)))


if __name__ == "__main__":
    harness.main()
