#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode threadcreate on a real process: each thread that is started, and no process that is."""

import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

THREADS = 40
# It starts threads and processes when told to, and says when they have ended.
STARTER = f"""
import os, sys, threading
for line in sys.stdin:
    for _ in range({THREADS}):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    for _ in range(5):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
    print("done", flush=True)
"""


class Births(harness.TempDir):
    def check(self, *user):
        os.chmod(self.dir, 0o777)
        out = self.path("t.pb.gz")
        python = "/usr/bin/python3" if user else sys.executable  # one that anybody may run
        with subprocess.Popen([*user, python, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
            self.addCleanup(target.kill)
            tell = lambda: (print("go", file=target.stdin, flush=True), self.assertEqual(target.stdout.readline(), "done\n"))
            tell()
            tool = harness.Process([*user, harness.ATTACH, "-p", str(target.pid), "-mode", "threadcreate", "-seconds", "0", "-o", out],
                                   stderr=subprocess.PIPE, text=True)
            harness.await_line(tool.stderr, "profiling")
            harness.wait_for_window(tool)
            tell()
            tool.send_signal(signal.SIGINT)
            said = tool.communicate(timeout=60)[1]
            self.assertEqual(tool.returncode, 0, said)
            tell()
        profile = harness.Profile.read(out)
        lost = int(re.search(r"lost: (\d+)", " ".join(profile.comments))[1])
        self.assertLessEqual(profile.total(0), THREADS, said)
        self.assertGreaterEqual(profile.total(0), THREADS - lost, said)
        for stack, _, _ in profile.samples:
            self.assertRegex(" ".join(stack), r"clone", stack)

    def test_each_thread_is_told_and_no_process(self):
        self.check()

    def test_an_ordinary_user_is_told_the_same_of_his_own(self):
        harness.need_another_user()
        self.check(*harness.as_nobody([]))


if __name__ == "__main__":
    harness.main()
