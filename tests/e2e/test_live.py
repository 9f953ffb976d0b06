# SPDX-License-Identifier: Apache-2.0
"""The live table, driven as somebody at a terminal does: keys, other sizes, every way out; and as plain text in a pipe."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import harness
from harness import ATTACH, Footprint, Process, Profile, Target, TempDir
from heap_harness import code_of_files, shim_pages

sys.path.append("/usr/lib/python3/dist-packages")  # where Debian puts it, whichever python3 comes first in PATH
import pyte

HOT = r"mix_hash|msort_with_tmp|fill_blocks|compare"
DEADLINE = 60
ENTERS, LEAVES = (b"\x1b[?1049h", b"\x1b[?25l"), (b"\x1b[?1049l", b"\x1b[?25h")  # the other screen, where there is one; the cursor


class Terminal:
    """A pseudo-terminal with a program in it, and what its user sees: .text(), by a terminal emulator of somebody else's."""

    def __init__(self, argv, columns=90, lines=30, **env):
        self.master, self.slave = os.openpty()
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8", **env})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def size(self, columns, lines):
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def take(self, wait):
        """What has been written by now, after a wait for something. False: nothing has."""
        if not select.select([self.master], [], [], wait)[0]:
            return False
        piece = os.read(self.master, 65536)
        self.raw += piece
        self.stream.feed(piece)
        return True

    def wait(self, *patterns, without=None):
        """Until all of this is to be seen, and nothing of that."""
        deadline = time.monotonic() + DEADLINE
        while not all(re.search(pattern, self.text()) for pattern in patterns) or (without and re.search(without, self.text())):
            self.take(0.1)
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen: {patterns}, without {without}:\n{self.text()}")

    def end(self, test, status=0):
        """The program ends by itself, and the terminal is as it was found."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.take(0.1)
        while self.take(0):
            pass
        test.assertEqual(self.process.poll(), status, self.text())
        self.check_given_back(test)

    def check_given_back(self, test):
        test.assertEqual(termios.tcgetattr(self.slave), self.before)
        for enter, leave in zip(ENTERS, LEAVES):
            test.assertGreaterEqual(self.raw.rfind(leave), self.raw.rfind(enter), self.raw[-300:])


def top(target, *args, **how):
    return Terminal([ATTACH, "top", "-p", str(target.pid), *args], **how)


class Live(TempDir):
    def setUp(self):
        super().setUp()
        before = os.getcwd()
        os.chdir(self.dir)  # where profiles are saved
        self.addCleanup(os.chdir, before)

    def test_keys_show_the_same_windows_in_other_ways(self):
        with Target("hot") as target:
            footprint = Footprint(target.pid)
            with top(target) as terminal:
                terminal.wait(rf"\d%  ({HOT})", "cpu of hot", ">own now", r"\? keys")
                for key, wants in (("t", [r"by thread", rf"\d%  crunch \d+"]), ("m", ["by module", r"\d%  hot$"]), ("l", ["by line", r"hot\.c:\d+"]),
                                   ("k", ["kernel off"]), ("f", ["by function"]), ("4", [">tot all"]), ("v", ["samples by"]),
                                   ("?", ["save a profile", "quit"]), ("?", [rf"\d%  ({HOT})"])):
                    with self.subTest(key):
                        terminal.type(key)
                        terminal.wait(*(f"(?m){want}" for want in wants))
                terminal.type("/MSORT\n")
                terminal.wait("/MSORT ", "msort_with_tmp", without="mix_hash")
                terminal.type("\x1b")
                terminal.wait("mix_hash", without="/MSORT")
                terminal.type("q")
                terminal.end(self)
            footprint.check_unchanged(self)

    def test_what_is_frozen_stays_and_is_saved(self):
        with Target("hot") as target, top(target) as terminal:
            terminal.wait(rf"\d%  ({HOT})")
            terminal.type(" ")
            terminal.wait("FROZEN")
            terminal.type("s")
            terminal.wait(r"saved cprof\.hot\.\d+\.cpu\.\S+\.pb\.gz")
            terminal.type(" ")
            terminal.wait("cpu of hot", without="FROZEN")
            terminal.type("q")
            terminal.end(self)
            (name,) = os.listdir(self.dir)
            self.assertGreater(Profile.read(name).total(), 0)

    def test_other_sizes(self):
        with Target("hot") as target, top(target) as terminal:
            terminal.wait(HOT, "own all")
            terminal.size(40, 10)
            terminal.wait(r">own now +tot now +function\n", HOT, r"\? keys  q quit")
            terminal.size(90, 30)
            terminal.wait("own all", HOT)
            terminal.size(5, 2)
            terminal.wait(r"^cp…..\ncp…..$")
            terminal.size(120, 40)
            terminal.wait("own all", HOT)
            terminal.type("q")
            terminal.end(self)

    def test_every_way_out_gives_the_terminal_back(self):
        for way in ("Ctrl-C", "Ctrl-\\", "SIGTERM", "SIGHUP", "the target ends", "its time is over"):
            with self.subTest(way), Target("hot") as target:
                footprint = Footprint(target.pid)
                with top(target, *(["-seconds", "3"] if "time" in way else []), TERM="xterm") as terminal:
                    if "time" not in way:  # which may be over before there is anything to see
                        terminal.wait("cpu of hot")
                        self.assertIn(ENTERS[0], terminal.raw)
                    if way.startswith("Ctrl"):
                        terminal.type({"Ctrl-C": "\x03", "Ctrl-\\": "\x1c"}[way])
                    elif way.startswith("SIG"):
                        terminal.process.send_signal(getattr(signal, way))
                    elif "target" in way:
                        target.close()
                    terminal.end(self)
                    if "target" in way:
                        terminal.wait(r"process \d+ \(hot\) has ended")
                if "target" not in way:
                    footprint.check_unchanged(self)

    def test_a_terminal_that_takes_nothing_gets_its_modes_back(self):
        with Target("hot") as target, top(target) as terminal:
            terminal.wait("cpu of hot")
            termios.tcflow(terminal.slave, termios.TCOOFF)
            harness.wait_until(lambda: terminal.process.poll() is not None or terminal.process.send_signal(signal.SIGTERM), "its end")
            termios.tcflow(terminal.slave, termios.TCOON)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_an_error_leaves_the_terminal_alone(self):
        with Target("hot") as target, top(target, "-event", "no-such-event", TERM="xterm") as terminal:
            terminal.wait(r"cprof-attach: .*no-such-event")
            self.assertNotEqual(terminal.process.wait(timeout=DEADLINE), 0)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)
            self.assertNotIn(ENTERS[0], terminal.raw)

    def test_stopped_by_the_shell_and_taken_up_again(self):
        with Target("hot") as target, Terminal(["bash", "--norc", "--noprofile", "--noediting", "-i"], PS1="shell> ") as terminal:
            terminal.wait("shell>")
            terminal.type("stty -g > before\n")
            terminal.type(f"{ATTACH} top -p {target.pid}\n")
            terminal.wait("cpu of hot", HOT)
            terminal.type("\x1a")
            terminal.wait("Stopped")
            terminal.type("stty -g > meanwhile; clear; echo under'stood'\n")
            terminal.wait("understood")
            terminal.type("fg\n")
            terminal.wait("cpu of hot", HOT, r"\? keys")
            terminal.type("q")
            terminal.wait("(?m)^shell>$")
            terminal.type("stty -g > after; clear; echo do'ne' $?\n")
            terminal.wait("done 0")
            terminal.type("exit\n")
            terminal.end(self)
            modes = [open(name).read() for name in ("before", "meanwhile", "after")]
            self.assertEqual(modes, [modes[0]] * 3)

    def test_without_utf8_all_is_ascii(self):
        with Target("hot") as target, top(target, columns=40, LC_ALL="C") as terminal:
            terminal.wait(HOT)
            terminal.type("l")  # names that have to be cut
            terminal.wait("by line", r"~\S*:\d+")
            terminal.type("q")
            terminal.end(self)
            self.assertTrue(terminal.raw.isascii())

    def test_an_unknown_terminal_gets_plain_tables(self):
        for term in ("no-such-terminal", "dumb"):
            with self.subTest(term), Target("hot") as target, top(target, TERM=term) as terminal:
                terminal.wait(HOT)
                self.assertIn(f'TERM is "{term}"; the tables are plain text', terminal.raw.decode())
                terminal.process.send_signal(signal.SIGINT)
                self.assertEqual(terminal.process.wait(timeout=DEADLINE), 0)


class Plain(TempDir):
    def plain(self, target, *args, stdout=subprocess.PIPE):
        """What it says besides goes to a file: a pipe that nobody reads would be full one day."""
        with open(self.path("problems"), "w") as problems:
            process = Process([ATTACH, "top", "-p", str(target.pid), *args], stdout=stdout, stderr=problems, text=True)
        self.addCleanup(process.kill)
        return process

    def problems(self):
        with open(self.path("problems")) as file:
            return file.read()

    def read_until(self, process, pattern):
        said = ""
        watchdog = threading.Timer(DEADLINE, process.kill)  # which ends its output
        watchdog.start()
        try:
            while not re.search(pattern, said):
                line = process.stdout.readline()
                if not line:
                    raise AssertionError(f"ended, or was killed after {DEADLINE} s, without {pattern}: {said} {self.problems()}")
                said += line
        finally:
            watchdog.cancel()
        return said

    def watch(self, name, pattern, *args):
        """Tables of a mode until there is what they are to show."""
        with Target(name) as target:
            footprint = Footprint(target.pid)
            process = self.plain(target, *args)
            said = self.read_until(process, pattern)
            process.send_signal(signal.SIGINT)
            more, _ = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 0, self.problems())
            if "heap" not in args:  # its last page may have to wait for a thread that stands there
                footprint.check_unchanged(self)
        self.assertTrue((said + more).isprintable() or "\x1b" not in said + more)
        return said + more

    def test_a_pipe_gets_plain_tables(self):
        said = self.watch("hot", rf"(?s)({HOT})\n.*\n\n.*({HOT})\n")
        self.assertRegex(said, r"(?m)^cpu of hot \(\d+\)  \S+ in \d+\.\ds  \S+ in \d+\.\ds$")
        self.assertRegex(said, r"(?m)^ +>own now +tot now +own all +tot all +value  function$")

    def test_heap(self):
        self.assertRegex(self.watch("heap_churn", r"\d%.*  churn\n", "-mode", "heap"), "heap of heap_churn")
        self.assertEqual(self.problems().count("warning: in use means: allocated since the attach"), 1, self.problems())

    def test_what_a_killed_recording_left_is_removed(self):
        with Target(["heap_churn", "2"]) as target:
            before = code_of_files(target.pid)
            process = self.plain(target, "-mode", "heap", "-every", "1h")
            harness.wait_until(lambda: process.poll() is not None or shim_pages(target.pid), "an attach")
            (recording,) = harness.children(process.pid)
            os.kill(recording, signal.SIGKILL)
            self.assertNotEqual(process.wait(timeout=DEADLINE), 0)
            process.stdout.close()
            self.assertEqual(code_of_files(target.pid), before, self.problems())
            self.assertIn("bad 0", target.close())

    def test_nobody_reads_and_it_ends_all_the_same(self):
        with Target("hot") as target:
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, bytes(4096))
            os.set_blocking(writer, True)
            process = self.plain(target, "-every", "1s", stdout=writer)
            os.close(writer)
            harness.wait_until(lambda: process.poll() is not None or harness.children(process.pid), "its recording")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=DEADLINE), 0, self.problems())

    def test_a_full_disk_is_told(self):
        with Target("hot") as target, open("/dev/full", "w") as full:
            process = self.plain(target, "-every", "1s", stdout=full)
            self.assertNotEqual(process.wait(timeout=DEADLINE), 0)
            self.assertIn("write stdout: No space left on device", self.problems())

    def test_block(self):
        self.assertRegex(self.watch(["locks", "brief"], r"\d%.*  \w+\n", "-mode", "block"), "block of locks")

    def test_who_reads_no_more_ends_it(self):
        with Target("hot") as target:
            process = self.plain(target)
            self.read_until(process, HOT)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=DEADLINE), 0, self.problems())

    def test_what_does_not_go_with_it(self):
        for args, want in ((["-o", "x"], "-o"), (["-push", "http://127.0.0.1:1"], "-push"), (["-mode", "threads"], "one moment"),
                           (["-every", "1ms"], "-every"), (["-children"], "-children"), (["-top"], "-top")):
            with self.subTest(args), Target("hot") as target:
                done = harness.attach("top", "-p", target.pid, *args)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(want, done.stderr)


if __name__ == "__main__":
    harness.main()
