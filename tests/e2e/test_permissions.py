# SPDX-License-Identifier: Apache-2.0
"""What some capabilities, and none, permit: docs/permissions.md row by row. What is not permitted has to be said."""

import fcntl
import os
import pty
import re
import resource
import shutil
import struct
import subprocess
import termios

import harness
from harness import ATTACH, Footprint, Profile, Target, TempDir, attach, run


def as_nobody(caps, *args, **how):
    """cprof-attach as another user with these capabilities and no more."""
    return run([*harness.as_nobody(caps), ATTACH, *map(str, args)], **how)


class Another(TempDir):
    """Processes of root, seen by a user who is not."""

    def setUp(self):
        super().setUp()
        harness.need_another_user()
        os.chmod(self.dir, 0o777)

    def threads(self, pid, caps, *more):
        result = as_nobody(caps, "-p", pid, "-mode", "threads", "-text", "-exit-code", "-v", *more)
        return result.returncode, result.stdout, result.stderr


class Threads(Another):
    def test_a_deadlock_is_found_where_only_a_stop_tells_who_waits(self):
        for what in ("abba", "three", "rwlock"):
            for more in ((), ("-means", "ptrace"), ("-consistent",)):
                with self.subTest(what=what, more=more), Target(["lockers", what]) as target:
                    before = Footprint(target.pid)
                    status, text, err = self.threads(target.pid, ["sys_ptrace"], *more)
                    self.assertEqual(status, 10, err + text)
                    self.assertIn("deadlock:", text)
                    before.check_unchanged(self)

    def test_what_only_looks_like_a_deadlock_is_none_by_stops(self):
        with Target(["lockers", "lookalike"]) as target:
            status, text, err = self.threads(target.pid, ["sys_ptrace"])
            self.assertEqual(status, 0, err + text)
            self.assertNotIn("deadlock:", text)

    def test_a_way_that_stops_nobody_stops_nobody_and_says_what_it_lacks(self):
        with Target(["lockers", "abba"]) as target:
            for caps in (["sys_ptrace"], ["sys_ptrace", "perfmon", "bpf"]):
                status, text, err = self.threads(target.pid, caps, "-means", "proc")
                self.assertEqual(status, 0, err)
                self.assertRegex(err, r"registers by bpf 0, proc 0, .*ptrace 0, .*; 0 stops")
                self.assertRegex(err, r"warning: \d+ threads of \d+ have no stack: /proc/\d+/task/TID/syscall is refused")
            status, text, err = self.threads(target.pid, ["sys_ptrace", "dac_read_search"], "-means", "proc")
            self.assertEqual(status, 10, err)
            self.assertNotIn("warning: 2 threads", err)

    def test_a_way_that_is_shut_is_an_error_and_no_other_is_taken(self):
        with Target(["lockers", "abba"]) as target:
            status, text, err = self.threads(target.pid, ["sys_ptrace"], "-means", "bpf")
            self.assertNotIn(status, (0, 10), text)
            self.assertRegex(err, "(?i)bpf")
            result = attach("-p", target.pid, "-mode", "threads", "-consistent", "-means", "proc")
            self.assertEqual(result.returncode, 2)
            self.assertIn("-consistent", result.stderr)


class Block(Another):
    """Waits that no event tells of: those that go on over the whole window."""

    def block(self, pid, caps, *more):
        out = self.path("block.pb.gz")
        result = as_nobody(caps, "-p", pid, "-mode", "block", "-seconds", 1, "-f", "-o", out, *more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return Profile.read(out), result.stderr

    def test_a_process_that_hangs_is_seen_to_hang_with_the_documented_capabilities(self):
        with Target(["lockers", "abba"]) as target:
            before = Footprint(target.pid)
            for caps in (["perfmon", "bpf", "sys_ptrace", "syslog"], ["perfmon", "sys_ptrace", "dac_read_search"]):
                profile, err = self.block(target.pid, caps)
                self.assertNotIn("could not be asked", err)
                self.assertGreaterEqual(profile.total(0), 2, err)
                self.assertGreaterEqual(profile.total(1), 2 * 0.9e9, err)
            before.check_unchanged(self)

    def test_what_proc_refuses_is_said(self):
        with Target(["lockers", "abba"]) as target:
            for caps, more in ((["perfmon", "sys_ptrace"], ()), (["perfmon", "bpf", "sys_ptrace"], ("-block-method", "perf"))):
                profile, err = self.block(target.pid, caps, *more)
                self.assertEqual(profile.total(0), 0, err)
                self.assertRegex(err, r"warning: \d+ threads of \d+ could not be asked whether they sleep")
            result = as_nobody(["sys_ptrace"], "-p", target.pid, "-mode", "block", "-block-method", "proc", "-seconds", 1,
                               "-f", "-o", self.path("proc.pb.gz"))
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn("/syscall", result.stderr)


class Modes(Another):
    def test_each_mode_works_with_the_least_that_the_page_gives(self):
        with open("/proc/sys/kernel/perf_event_paranoid") as file:
            if int(file.read()) != 2:
                self.skipTest("kernel.perf_event_paranoid is not 2, its default")
        table = ((["perfmon", "sys_ptrace"], "cpu", "hot", ()), (["sys_ptrace"], "threads", "lockers abba", ()),
                 (["dac_read_search", "sys_ptrace"], "block", "lockers abba", ()),
                 (["perfmon", "bpf", "sys_ptrace"], "block", "lockers abba", ("-block-method", "bpf")),
                 (["sys_ptrace"], "mutex", "locks brief", ()),
                 (["perfmon", "bpf", "sys_ptrace"], "mutex", "locks brief", ("-block-method", "bpf")),
                 (["sys_ptrace"], "heap", "hot", ()))
        for caps, mode, argv, more in table:
            with self.subTest(caps=caps, mode=mode), Target(argv.split()) as target:
                before = Footprint(target.pid)
                seconds = () if mode == "threads" else ("-seconds", "0.5")
                args = ("-p", target.pid, "-mode", mode, *seconds, "-f", "-o", self.path("m.pb.gz"), *more)
                result = as_nobody(caps, *args)
                self.assertEqual(result.returncode, 0, result.stderr)
                Profile.read(self.path("m.pb.gz"))
                before.check_unchanged(self)
                for cap in caps:  # each is needed: without it the mode ends or says what it lacks
                    less = as_nobody([c for c in caps if c != cap], *args)
                    self.assertTrue(less.returncode in (3, 4) or "warning" in less.stderr, f"without {cap}: {less.stderr}")

    def test_the_names_of_a_deleted_file_or_which_capabilities_give_them(self):
        with Target(["hot"]) as target, open(f"/proc/{target.pid}/maps") as maps:
            libc = next((line.split()[-1] for line in maps if "libc.so.6" in line), None)
        if not libc:
            self.skipTest("the C library is no libc.so.6 here")
        copy = self.path("libc.so.6")
        shutil.copy(libc, copy)
        with Target(["hot"], env={**os.environ, "LD_LIBRARY_PATH": self.dir}) as target:
            os.unlink(copy)
            before = Footprint(target.pid)
            for more, says in (([], True), (["dac_read_search"], True), (["checkpoint_restore"], True),
                               (["dac_read_search", "checkpoint_restore"], False)):
                result = as_nobody(["perfmon", "sys_ptrace", *more], "-p", target.pid, "-seconds", "0.5", "-no-cache", "-f", "-v",
                                   "-o", self.path("c.pb.gz"))
                self.assertEqual(result.returncode, 0, result.stderr)
                # What is in memory of it is used: its unwind information, and the names of what it exports.
                self.assertIn("of which guessed 0", result.stderr)
                stacks = [stack for stack, _, _ in Profile.read(self.path("c.pb.gz")).samples if "sort_round" in stack[1:]]
                called = {stack[stack.index("sort_round") - 1] for stack in stacks}
                self.assertFalse([name for name in called if "+0x" in name])
                found = re.search(rf"warning: {copy}: .*the mapped file was deleted.*CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE",
                                  result.stderr)
                self.assertEqual(bool(found), says, f"{more}: {result.stderr}")
            before.check_unchanged(self)


class Descriptors(TempDir):
    def test_few_descriptors_leave_room_for_what_comes_after_the_events(self):
        with Target(["lockers", "busy", "100"]) as target:
            before = Footprint(target.pid)
            for limit in (40, 64, 100, 110, 150):
                for how in ("thread", "auto"):
                    argv = [ATTACH, "-p", str(target.pid), "-open", how, "-seconds", "0.5", "-f", "-o", self.path("c.pb.gz")]
                    def few(limit=limit):
                        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
                    less = ["setpriv", "--bounding-set", "-sys_resource"] if os.geteuid() == 0 else []
                    result = run([*less, *argv], preexec_fn=few)
                    self.assertEqual(result.returncode, 0, f"{limit} {how}: {result.stderr}")
                    self.assertNotIn("Too many open files", result.stderr)
                    if how == "thread" and limit <= 100:
                        self.assertRegex(result.stderr, r"warning: \d+ threads are not sampled: out of file descriptors")
            before.check_unchanged(self)


class Words(TempDir):
    def test_lists_of_process_ids_are_taken_as_pgrep_prints_them(self):
        with Target(["lockers", "abba"]) as one, Target(["lockers", "abba"]) as two:
            for pids in ([f"{one.pid}\n{two.pid}\n"], [one.pid, two.pid]):
                out = self.path("both.pb.gz")
                result = attach("-p", *pids, "-mode", "threads", "-f", "-o", out)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("and 1 more", result.stderr)
                threads = sum(len(os.listdir(f"/proc/{target.pid}/task")) for target in (one, two))
                self.assertEqual(Profile.read(out).total(0), threads)
        result = attach("-p", "-seconds", "1")
        self.assertEqual(result.returncode, 2)
        self.assertIn("has found no process", result.stderr)

    def test_the_progress_line_stays_one_in_a_terminal_of_any_width(self):
        with Target(["hot"]) as target:
            for columns in (132, 40, 12):
                master, slave = pty.openpty()
                fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
                process = subprocess.Popen([ATTACH, "-p", str(target.pid), "-seconds", "2.5", "-f", "-o", self.path("c.pb.gz")],
                                           stderr=slave, stdout=slave)
                os.close(slave)
                said = b""
                while True:
                    try:
                        piece = os.read(master, 65536)
                    except OSError:
                        break
                    if not piece:
                        break
                    said += piece
                os.close(master)
                self.assertEqual(process.wait(), 0, said)
                lines = re.findall(r"\r([^\r\n]*)\x1b\[K", said.decode())
                self.assertGreaterEqual(len(lines), 2, said)
                for line in lines:
                    self.assertLess(len(line), columns)
                    self.assertTrue(line, said)
                self.assertRegex(said.decode(), r"samples?,\s+\d+ lost,\s+[\d.]+ % truncated,\s+[^/]*own CPU [\d.]+ s\r\n")


if __name__ == "__main__":
    harness.main()
