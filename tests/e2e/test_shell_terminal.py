# SPDX-License-Identifier: Apache-2.0
"""cprof's shell on a terminal: what others wrote is shown as text, and nothing of it is left when its terminal goes away."""
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

import harness
from harness import CPROF, TempDir


class Shell:
    """A shell on a terminal of its own."""

    def __init__(self, file, folder):
        self.seen = b""
        pid, self.master = pty.fork()
        if pid == 0:
            os.execve(CPROF, [CPROF, "-symbolize=none", file],
                      dict(os.environ, TERM="dumb", HOME=folder, XDG_STATE_HOME="", TMPDIR=folder, BROWSER="/bin/true", DISPLAY=""))
        self.pid = pid

    def wait_for(self, what):
        while what not in self.seen:
            ready, _, _ = select.select([self.master], [], [], 60)
            if not ready:
                raise AssertionError(f"no {what!r} in {self.seen!r}")
            self.seen += os.read(self.master, 4096)
        until = self.seen.index(what) + len(what)
        before, self.seen = self.seen[:until], self.seen[until:]
        return before

    def wait_for_prompt(self):
        """libedit writes the prompt before it takes the keys."""
        before = self.wait_for(b"(cprof) ")
        until = time.monotonic() + 60
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            if time.monotonic() > until:
                raise AssertionError("the prompt is there, but no key is waited for")
            time.sleep(0.001)
        return before

    def type(self, text):
        os.write(self.master, text)

    def end(self, signal_number=None):
        """How it has ended; its terminal goes away where no signal is given."""
        if signal_number:
            os.kill(self.pid, signal_number)
        else:
            os.close(self.master)
            self.master = None
        pidfd = os.pidfd_open(self.pid)
        ended, _, _ = select.select([pidfd], [], [], 60)
        os.close(pidfd)
        if not ended:
            raise AssertionError("the shell goes on")
        status = os.waitpid(self.pid, 0)[1]
        if self.master is not None:
            os.close(self.master)
        return status


class ShellTerminal(TempDir):
    def profile(self, text):
        with open(self.path("p.folded"), "wb") as file:
            file.write(text)
        return self.path("p.folded")

    def test_names_that_are_completed_are_text(self):
        shell = Shell(self.profile(b"main;evil\x1b[2Jone 5\nmain;evil\x1b]0x\x07two 7\n"), self.dir)
        shell.wait_for_prompt()
        shell.type(b"peek ev\t\t")
        shown = shell.wait_for(b"two")
        self.assertIn(b"evil\\x1b[2Jone", shown)
        self.assertNotIn(b"\x1b[2J", shown)
        self.assertNotIn(b"\x1b]0", shown)
        shell.end(signal.SIGTERM)

    def test_what_viewers_show_is_gone_however_the_shell_ends(self):
        harness.need("dot", "graphviz is not installed")
        file = self.profile(b"main;one 5\n")
        for number in (signal.SIGTERM, signal.SIGHUP, None):
            with self.subTest(number):
                shell = Shell(file, self.dir)
                shell.wait_for_prompt()
                shell.type(b"web\n")
                shell.wait_for_prompt()
                kept = [name for name in os.listdir(self.dir) if name.startswith("cprof-")]
                self.assertEqual(len(kept), 1)
                for folder, _, names in os.walk(self.path(kept[0])):
                    self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
                    for name in names:
                        self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o777, 0o600)
                status = shell.end(number)
                self.assertTrue(number is None or os.WTERMSIG(status) == number, status)
                self.assertEqual([name for name in os.listdir(self.dir) if name.startswith("cprof-")], [])


if __name__ == "__main__":
    harness.main()
