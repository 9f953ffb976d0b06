# SPDX-License-Identifier: Apache-2.0
"""What somebody else wrote, on its way to a terminal, a log, a command line: control characters, forged lines, secrets."""

import gzip
import os
import re
import shutil
import signal
import stat
import subprocess
import unittest

import harness
from harness import CPROF, Profile, Target, TempDir, attach, attach_while_it_works, need, run, target_path
from test_push import Server

EVIL = b"\x1b[2J\x9b\nfn=xy"  # clears a terminal, is no UTF-8, and begins a line of its own
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NOBODY = 65534


def varint(n):
    out = b""
    while n > 0x7f:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def field(number, value):
    """A field of a protocol buffer: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def hostile_profile():
    """Every string of it is EVIL in its own way."""
    strings = [b""]

    def string(text):
        strings.append(text + EVIL)
        return len(strings) - 1
    profile = field(1, field(1, string(b"cpu")) + field(2, string(b"ns")))
    profile += field(2, field(1, varint(1)) + field(2, varint(1000)) + field(3, field(1, string(b"key")) + field(2, string(b"value"))))
    profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, string(b"/bin/")) + field(6, string(b"id")) + field(7, 1))
    profile += field(4, field(1, 1) + field(2, 1) + field(3, 0x1234) + field(4, field(1, 1) + field(2, 7)))
    profile += field(5, field(1, 1) + field(2, string(b"name")) + field(3, string(b"system")) + field(4, string(b"/src/")))
    profile += field(13, string(b"comment")) + field(14, string(b"default"))
    return gzip.compress(profile + b"".join(field(6, text) for text in strings))


class Names(TempDir):
    def check(self, text, what):
        if isinstance(text, str):
            text = text.encode()
        decoded = text.decode()  # UnicodeDecodeError: it is not even text
        self.assertIsNone(UNFIT.search(decoded), f"{what}: {decoded!r}")
        self.assertNotRegex(decoded, re.compile("^fn=xy", re.M), what)

    def start_evil(self):
        """A program whose file, command name and functions are called so."""
        program = os.path.join(self.dir.encode(), EVIL)
        if not os.path.exists(program):
            with open(target_path("hot"), "rb") as file:
                code = file.read()
            name = b"hash_blocks"
            self.assertIn(name, code)
            self.assertEqual(len(EVIL), len(name))
            with open(program, "wb") as file:
                # Its symbol and its debug information; not the text that it prints.
                file.write(code.replace(name + b"\0", EVIL + b"\0").replace(name + b".", EVIL + b"."))
            os.chmod(program, 0o755)
        return Target([program.decode("utf-8", "surrogateescape")])

    def test_no_name_of_a_target_reaches_a_terminal_as_it_is(self):
        with self.start_evil() as target:
            for args in (("-seconds", "1", "-hz", "997", "-v", "-f", "-o", self.path("cpu.pb.gz")),
                         ("-mode", "threads", "-text"), ("-mode", "threads", "-f", "-o", self.path("threads.pb.gz")),
                         ("-mode", "heap", "-seconds", "0.1", "-v", "-f", "-o", self.path("heap.pb.gz")), ("-why",)):
                with self.subTest(" ".join(args[:2])):
                    done = attach("-p", target.pid, "-no-cache", *args, text=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.check(done.stdout, args)
                    self.check(done.stderr, args)
            self.assertIn(b"\\x1b[2J", attach("-p", target.pid, "-why", text=False).stdout, "the name is shown at all")
            with self.start_evil():
                done = attach("-n", EVIL.decode("utf-8", "surrogateescape"), "-seconds", "0.1", text=False)
                self.assertEqual(done.returncode, 2)
                self.assertRegex(done.stderr, rb"\d+ processes are called")
                self.check(done.stderr, "-n")
            self.assertTrue(target.alive())
        for name in ("cpu", "threads"):
            profile = Profile.read(self.path(f"{name}.pb.gz"))
            for string in profile.strings:
                self.assertIsNone(UNFIT.search(string), string)
                self.assertNotIn("\n", string)
                self.assertNotIn("\ufffd", string)
            self.assertTrue(any("\\x1b[2J\\x9b\\nfn=xy" in string for string in profile.strings) or name == "threads")

    def test_no_string_of_a_profile_reaches_a_terminal_as_it_is(self):
        source = self.path("evil.pb.gz")
        with open(source, "wb") as file:
            file.write(hostile_profile())
        help_text = run([CPROF, "-help"]).stdout
        for name, arg in (("top", ""), ("text", ""), ("tree", ""), ("traces", ""), ("tags", ""), ("comments", ""), ("raw", ""),
                          ("callgrind", ""), ("dot", ""), ("folded", ""), ("json", ""), ("speedscope", ""), ("flamegraph", ""),
                          ("peek", "."), ("list", "."), ("weblist", "."), ("disasm", ".")):
            with self.subTest(name):
                self.assertIn(f"  -{name}", help_text)
                done = run([CPROF, f"-{name}={arg}" if arg else f"-{name}", source], text=False)
                self.check(done.stdout, name)
                self.check(done.stderr, name)
        done = run([CPROF, source], input="top\noptions\nlist .\nsample_index=nothing\npeek (\n", text=True)
        self.check(done.stdout, "shell")
        self.check(done.stderr, "shell")
        self.assertIn("name\\x1b[2J\\x9b\\nfn=xy", done.stdout)

    def test_a_source_line_is_no_escape_sequence(self):
        with open(self.path("t.c"), "wb") as file:
            file.write(b"int main(void)\n{\n\tfor (volatile int i = 0;; i++) // \x1b[2J \x9b\n\t\t;\n}\n")
        subprocess.run([need("gcc"), "-g", "-O1", "-o", self.path("t"), self.path("t.c")], check=True)
        with Target([self.path("t")], wait_for=None) as target:
            done = attach_while_it_works(target.pid, 20, "-o", self.path("p.pb.gz"))
            self.assertEqual(done.returncode, 0, done.stderr)
            target.close(status=-signal.SIGTERM)
            target.process.returncode = 0
        for report in ("-list=main", "-weblist=main"):
            done = run([CPROF, report, self.path("p.pb.gz")], text=False, cwd=self.dir)
            if report.startswith("-list"):
                self.assertIn(b"\\x1b[2J \\x9b", done.stdout)
            self.check(done.stdout, report)


class Secrets(TempDir):
    def push(self, url, *args, env=None, **more):
        with Target("hot") as target:
            return attach("-p", target.pid, "-seconds", "0.2", "-push", url, "-o", self.path("p.pb.gz"), "-f", *args,
                          env={**os.environ, **(env or {})}, **more)

    def test_what_to_log_in_with_is_in_a_file_or_the_environment(self):
        with open(self.path("login"), "w", encoding="utf-8") as file:
            file.write("me:my word\n")
        for args, env, header in ((("-push-auth", self.path("login")), {}, "Basic bWU6bXkgd29yZA=="),
                                  ((), {"CPROF_PUSH_AUTH": "me:my word"}, "Basic bWU6bXkgd29yZA=="),
                                  ((), {"CPROF_PUSH_AUTH": "glc_token"}, "Bearer glc_token"), ((), {}, None)):
            with Server((200, "")) as server:
                done = self.push(f"http://127.0.0.1:{server.port}/", *args, env=env)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(server.requests[0][1].get("Authorization"), header)
            self.assertNotRegex(done.stderr + "\n".join(Profile.read(self.path("p.pb.gz")).comments), "my word|glc_token|login")

    def test_who_is_not_let_in_is_not_told_to_write_a_password_on_the_command_line(self):
        with Server((401, "who are you")) as server:
            done = self.push(f"http://u:secret@127.0.0.1:{server.port}/")
        self.assertEqual(done.returncode, 5)
        self.assertNotRegex(done.stderr, "secret|user:password@")
        self.assertIn("-push-auth", done.stderr)
        done = self.push("http://127.0.0.1:1/", "-push-auth", self.path("none"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "none: No such file")

    def test_the_viewer_logs_in_without_showing_how(self):
        with Server((200, "")) as server, Server((200, "")) as other:
            url = f"http://u:secret@127.0.0.1:{server.port}/debug/pprof/profile?seconds=1&token=abc"
            done = run([CPROF, "-top", url])
            self.assertNotEqual(done.returncode, 0)
            self.assertNotRegex(done.stderr, "secret|abc")
            self.assertIn("seconds=1", done.stderr)
            plain = f"http://127.0.0.1:{server.port}/debug/pprof/profile"
            for value, header in (("me:word", "Basic bWU6d29yZA=="), ("tok", "Bearer tok")):
                run([CPROF, "-top", plain], env={**os.environ, "CPROF_HTTP_AUTH": value})
                self.assertEqual(server.requests[-1][1].get("Authorization"), header)
            self.assertEqual(other.requests, [])


@unittest.skipIf(os.geteuid(), "only root can give a program file capabilities")
class FileCapabilities(TempDir):
    """A program that may more than its caller does not listen to the caller's environment, nor hand it what it may."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.tool = self.path("cprof-attach")
        shutil.copy(harness.ATTACH, self.tool)
        done = run([need("setcap"), "cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep", self.tool])
        if done.returncode:
            raise unittest.SkipTest(f"setcap: {done.stderr.strip()}")
        for name in ("home", "cache", "tmp"):
            os.mkdir(self.path(name))
            os.chown(self.path(name), NOBODY, NOBODY)
        self.env = {"HOME": self.path("home"), "XDG_CACHE_HOME": self.path("cache"), "TMPDIR": self.path("tmp"),
                    "DEBUGINFOD_URLS": "http://127.0.0.1:9/", "PATH": f"{self.dir}:/usr/bin:/bin", "MINE": "kept"}

    def by_nobody(self):
        return "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", self.tool

    def as_nobody(self, *args, **more):
        return run([*self.by_nobody(), *args], env=self.env, cwd=self.path("tmp"), **more)

    def test_its_callers_environment_steers_nothing(self):
        with Target("hot") as target:
            done = attach_while_it_works(target.pid, 5, "-debuginfod", "-o", "p.pb.gz", tool=self.by_nobody(), env=self.env,
                                         cwd=self.path("tmp"))
            if done.returncode == 4:
                raise unittest.SkipTest(f"file capabilities are of no use here: {done.stderr.strip()}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(target.alive())
        self.assertGreater(Profile.read(self.path("tmp/p.pb.gz")).total(), 0)
        self.assertEqual(os.listdir(self.path("home")) + os.listdir(self.path("cache")), [])
        self.assertEqual(os.listdir(self.path("tmp")), ["p.pb.gz"])
        self.assertEqual(stat.S_IMODE(os.stat(self.path("tmp/p.pb.gz")).st_mode) & 0o077 & ~0o044, 0)

    def test_a_command_gets_its_callers_environment_and_no_more_rights(self):
        done = self.as_nobody("-q", "-seconds", "5", "-o", "c.pb.gz", "--", "sh", "-c", "echo $MINE $HOME; grep CapEff /proc/self/status")
        if done.returncode == 4:
            raise unittest.SkipTest(f"file capabilities are of no use here: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.split(), ["kept", self.path("home"), "CapEff:", "0" * 16])


if __name__ == "__main__":
    harness.main()
