# SPDX-License-Identifier: Apache-2.0
"""From the command to the answer: reports in the place of a file, files of other formats, and what a terminal shows."""

import json
import os
import pty
import re
import subprocess
import xml.etree.ElementTree

import harness
from harness import ATTACH, CPROF, Profile, Target, TempDir, attach, attach_while_it_works, need, run, target_path

HOT = ("mix_hash", "msort_with_tmp", "fill_blocks", "compare")


def said_to_terminal(*args):
    """Status and everything that somebody at a terminal sees."""
    master, slave = pty.openpty()
    tool = subprocess.Popen([ATTACH, *map(str, args)], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env={**os.environ, "TERM": "dumb"})
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # as a terminal says that nobody has it open
            piece = b""
        if not piece:
            break
        said += piece
    os.close(master)
    return tool.wait(timeout=60), said.decode().replace("\r\n", "\n")


class Answer(TempDir):
    def test_a_report_takes_the_place_of_the_file(self):
        with Target("hot") as target:
            for option, want in ((["-top"], r"flat%.*\n(.*\n)*.*(mix_hash|msort_with_tmp|compare|fill_blocks)"), (["-tree"], "calls%"),
                                 (["-peek", "crunch"], r"\| +crunch"), (["-traces"], r"(?m)^-----------\+"),
                                 (["-folded"], r"(?m)^\S*start_thread;\S+ \d+$"), (["-list=hash_blocks"], r"ROUTINE =+ hash_blocks")):
                with self.subTest(option):
                    # 40 samples: that none of them is in a function with a third of the time does not happen.
                    done = attach_while_it_works(target.pid, 40, *option, cwd=self.dir, stdout=subprocess.PIPE)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertRegex(done.stdout, want)
                    self.assertNotIn("wrote ", done.stderr)
                    self.assertEqual(os.listdir(self.dir), [])

    def test_with_a_file_there_are_both_and_they_agree(self):
        path = self.path("cpu.pb.gz")
        with Target("hot") as target:
            done = attach_while_it_works(target.pid, 10, "-top", "-o", path, stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run([CPROF, "-top", path]).stdout, done.stdout)
        self.assertIn("wrote " + path, done.stderr)

    def test_a_file_is_what_its_name_says(self):
        with Target("hot") as target:
            def made(name, *more):
                done = attach_while_it_works(target.pid, 10, "-o", self.path(name), *more)
                self.assertEqual(done.returncode, 0, done.stderr)
                with open(self.path(name), "rb") as file:
                    return file.read()

            plain = made("x.pb")
            self.assertNotEqual(plain[:2], b"\x1f\x8b")
            self.assertGreater(Profile(plain).total(), 0)
            for name in ("x.pb.gz", "x.prof", "x", ".txt.gz"):
                self.assertEqual(made(name)[:2], b"\x1f\x8b", name)
            page = made("x.HTML")
            self.assertTrue(page.lstrip().lower().startswith(b"<!doctype html") and b"crunch" in page)
            self.assertEqual(json.loads(made("x.speedscope.json"))["$schema"], "https://www.speedscope.app/file-format-schema.json")
            json.loads(made("x.json"))
            self.assertIn(b"flat%", made("x.txt"))
            self.assertRegex(made("x.folded").decode(), r"(?m)^\S+;\S+ \d+$")
            self.assertTrue(made("x.dot").startswith(b"digraph"))
            self.assertIn(b"flat%", made("x.pb.gz2", "-format", "top"))
            self.assertEqual(made("y.txt", "-format=pprof")[:2], b"\x1f\x8b")
            need("dot", "Graphviz is not installed")
            self.assertEqual(xml.etree.ElementTree.fromstring(made("x.svg")).tag, "{http://www.w3.org/2000/svg}svg")
            self.assertEqual(made("x.png")[:4], b"\x89PNG")

    def test_a_format_alone_names_the_file_and_text_may_go_to_stdout(self):
        with Target("hot") as target:
            done = attach_while_it_works(target.pid, 10, "-format", "flamegraph", cwd=self.dir)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(os.listdir(self.dir)[0], rf"^cprof\.hot\.{target.pid}\.cpu\.\d+T\d+Z\.html$")
            done = attach_while_it_works(target.pid, 10, "-format", "folded", "-o", "-", stdout=subprocess.PIPE)
            self.assertRegex(done.stdout, r"(?m)^\S+;\S+ \d+$")

    def test_what_cannot_be_made_is_refused_before_sampling(self):
        with Target("hot") as target:
            for args, status, want in ((["-format", "nonsense"], 2, "there are pprof, pb, top"), (["-top", "-tree"], 2, "one at a time"),
                                       (["-peek", "("], 2, "missing closing"), (["-format", "list"], 2, "no file can be written"),
                                       (["-http", "localhost:0", "-top"], 2, "does not go with -top")):
                with self.subTest(args):
                    done = attach("-p", target.pid, "-seconds", "60", *args, timeout=40, cwd=self.dir)
                    self.assertEqual((done.returncode, done.stdout), (status, ""))
                    self.assertIn(want, done.stderr)
            done = attach("-p", target.pid, "-seconds", "60", "-o", self.path("x.svg"), timeout=40, env={"PATH": self.dir})
            self.assertEqual(done.returncode, 1)
            self.assertIn("Graphviz", done.stderr)
            self.assertEqual(os.listdir(self.dir), [])
            self.assertTrue(target.alive())

    def test_a_picture_that_fails_leaves_the_profile(self):
        with open(self.path("dot"), "w") as file:
            file.write("#!/bin/sh\nexit 3\n")
        os.chmod(self.path("dot"), 0o755)
        with Target("hot") as target:
            done = attach("-p", target.pid, "-seconds", "0.3", "-o", self.path("x.svg"), env={"PATH": self.dir})
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"the profile is kept in {self.path('x.svg.pb.gz')}", done.stderr)
        Profile.read(self.path("x.svg.pb.gz"))
        self.assertFalse(os.path.exists(self.path("x.svg")))

    def test_a_terminal_shows_the_top_of_the_profile_and_what_to_do_next(self):
        os.chdir(self.dir)
        try:
            with Target("hot") as target:
                status, said = said_to_terminal("-p", target.pid, "-seconds", "1")
                (name,) = os.listdir(self.dir)
                self.assertEqual(status, 0, said)
                self.assertRegex(said, r"flat%.*\n( +\d.*\n){1,10}\S")
                self.assertIn(f"next: cprof -top {name}\n", said)
                os.unlink(name)
                for args in (["-q"], ["-o", "x.pb.gz"]):  # who wants silence, or a file, gets no more than that
                    status, said = said_to_terminal("-p", target.pid, "-seconds", "0.2", *args)
                    self.assertEqual(status, 0)
                    self.assertNotIn("flat%", said)
            with Target(["locks", "slow"]) as target:
                status, said = said_to_terminal("-p", target.pid, "-mode", "block", "-seconds", "1")
                self.assertEqual(status, 0, said)
                self.assertRegex(said, r"flat%.*\n( +\d.*\n){1,10}\S")
        finally:
            os.chdir("/")

    def test_a_report_for_a_pipe_that_nobody_reads_is_no_error(self):
        with Target("hot") as target:
            tool = subprocess.Popen([ATTACH, "-p", str(target.pid), "-seconds", "0.3", "-traces"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            tool.stdout.close()
            stderr = tool.stderr.read().decode()
            self.assertEqual(tool.wait(timeout=60), 0, stderr)

    def test_words_that_other_tools_begin_with_lead_to_the_right_option(self):
        for words, want in ((["record", "-p", "1"], "leave it out: cprof-attach -p PID"), (["dump", "-p", "1"], "-mode threads -text"),
                            (["-p", "1", "top"], "cprof-attach top -p PID"), (["-p", "1", "-collapsed"], "-folded"), (["-p", "1", "-flamegraph"], "FILE.html"),
                            (["frob"], "a process is given as -p PID")):
            with self.subTest(words):
                done = attach(*words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(want, done.stderr)

    def test_a_number_by_itself_is_a_process(self):
        with Target("hot") as target:
            done = attach("-seconds", "0.2", target.pid, "-o", self.path("x"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"pid {target.pid}", done.stderr)
            done = attach("-n", "hot", target.pid)
            self.assertIn("is no option", done.stderr)


if __name__ == "__main__":
    harness.main()
