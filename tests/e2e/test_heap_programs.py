#!/usr/bin/env python3
# asan: yes
"""-mode heap on programs as people run them: the right stacks, and the program is well during and after."""

import os
import shutil
import subprocess
import time
import unittest

import harness
from heap_harness import Recording, executable_bytes


class Programs(harness.TempDir):
    def test_redis_server_under_load_with_jemalloc(self):
        harness.need("redis-server")
        harness.need("redis-benchmark")
        socket = self.path("redis.sock")
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--daemonize", "no",
                                   "--dir", self.dir], stdout=subprocess.DEVNULL)
        try:
            while not os.path.exists(socket):
                self.assertIsNone(server.poll())
                time.sleep(0.01)
            before = executable_bytes(server.pid)
            recording = Recording(server.pid, "-rate", 65536)
            load = harness.run(["redis-benchmark", "-s", socket, "-q", "-n", "20000", "-r", "20000", "-d", "1000", "-t", "set",
                                "-c", "20"])
            self.assertEqual(load.returncode, 0, load.stderr)
            profile = recording.stop()
            ping = harness.run(["redis-cli", "-s", socket, "ping"])
            self.assertEqual(ping.stdout.strip(), "PONG")
            self.assertEqual(executable_bytes(server.pid), before)
            # 20,000 sets of 1,000 bytes: the values are held in strings made while reading the query.
            self.assertGreater(profile.share(lambda stack, _: "readQueryFromClient" in stack, 3), 0.8)
            self.assertTrue(8e6 < profile.total(3) < 40e6, profile.total(3))
        finally:
            server.terminate()
        self.assertEqual(server.wait(timeout=20), 0)

    def test_python_that_keeps_what_it_makes(self):
        python = "/usr/bin/python3.11"
        if not os.path.exists(python):
            raise unittest.SkipTest("python3.11 is not installed")
        script = self.path("keep.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write("import sys\nkept = []\nprint('ready', flush=True)\n"
                       "for line in sys.stdin:\n"
                       "    kept.append([bytearray(50000) for _ in range(400)])\n"
                       "    for _ in range(400): bytearray(50000)\n"
                       "    print('done', flush=True)\n"
                       "print(len(kept), flush=True)\n")
        process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        recording = Recording(process.pid, "-rate", 100000)
        process.stdin.write("more\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "done\n")
        profile = recording.stop()
        # 400 of 50,000 bytes are kept, 400 more come and go.
        self.assertTrue(15e6 < profile.total(3) < 25e6, profile.total(3))
        self.assertTrue(34e6 < profile.total(1) < 46e6, profile.total(1))
        out, _ = process.communicate(timeout=20)
        self.assertEqual((out, process.returncode), ("1\n", 0))

    def test_nginx_serves_on_while_its_worker_is_profiled(self):
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(nginx):
            raise unittest.SkipTest("nginx is not installed")
        conf = self.path("nginx.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(f"user root;\nworker_processes 1;\ndaemon off;\npid {self.dir}/pid;\nerror_log {self.dir}/error.log;\n"
                       f"events {{}}\nhttp {{ access_log off; server {{ listen unix:{self.dir}/http.sock; "
                       f"location / {{ return 200 well; }} }} }}\n")
        server = subprocess.Popen([nginx, "-c", conf, "-p", self.dir], stderr=subprocess.DEVNULL)
        try:
            def ask():
                return harness.run(["curl", "-s", "--unix-socket", f"{self.dir}/http.sock", "http://x/"]).stdout
            harness.need("curl")
            deadline = time.monotonic() + 20
            while ask() != "well":
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            worker = int(harness.run(["pgrep", "-P", str(server.pid)]).stdout.split()[0])
            before = executable_bytes(worker)
            recording = Recording(worker, "-rate", 1)
            for _ in range(50):
                self.assertEqual(ask(), "well")
            profile = recording.stop()
            self.assertGreater(profile.share(lambda stack, _: any("ngx_" in name for name in stack), 1), 0.9)
            self.assertEqual(ask(), "well")
            self.assertEqual(executable_bytes(worker), before)
        finally:
            server.terminate()
        self.assertEqual(server.wait(timeout=20), 0)


if __name__ == "__main__":
    harness.main()
