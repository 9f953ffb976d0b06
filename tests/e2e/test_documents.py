# SPDX-License-Identifier: Apache-2.0
"""What README.md tells a newcomer to type is typed here; the man pages have every way to call, mode and option."""

import os
import re
import signal
import subprocess
import unittest

import harness
from harness import ATTACH, BUILD, CPROF, ROOT, Process, Target, TempDir, cpu_ticks, run, wait_until
from test_push import Server


def recipes():
    """{ "CPU": "cprof-attach -p 1234 ...", ... }, of the table in README.md."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return dict(re.findall(r"^\| \*\*(\w+)\*\*.*?\| `(cprof-attach [^`]+)` \|", file.read(), re.MULTILINE))


def went_to_sleep(pid):
    """How often its threads have, by themselves: what a program that naps between two turns has done."""
    turns = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
            turns += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.MULTILINE).group(1))
    return turns


class Recipes(TempDir):
    def follow(self, name, pid, done=None, more=0):
        """The recipe's words; its window lasts until the target has done so much more, however long that takes."""
        words = recipes()[name].replace("1234", str(pid)).split()
        words[0] = ATTACH
        if done:
            words[words.index("-seconds") + 1] = "0"
        process = Process(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.dir)
        said = ""
        if done:
            while "profiling" not in said and process.poll() is None:
                said += process.stderr.readline()
            harness.wait_for_window(process)
            before = done(pid)
            wait_until(lambda: process.poll() is not None or done(pid) >= before + more, f"{name}: the target works")
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, said + err)
        return out

    def test_all_are_there(self):
        self.assertEqual(list(recipes()), ["CPU", "Leak", "Lock", "Hang", "Fleet"])

    def test_cpu(self):
        with Target("hot") as target:
            self.assertRegex(self.follow("CPU", target.pid, cpu_ticks, 30), r"(?m)%  (mix_hash|fill_blocks|compare|msort_with_tmp)\b")

    def test_leak(self):
        with Target("leak") as target:
            self.assertRegex(self.follow("Leak", target.pid, went_to_sleep, 400), r"(?m)%  remember$")

    def test_lock(self):
        with Target([harness.target_path("locks"), "slow"]) as target:
            self.assertRegex(self.follow("Lock", target.pid, went_to_sleep, 300), r"(?m)%  slow_unlock$")

    def test_hang(self):
        with Target([harness.target_path("locks"), "abba"]) as target:
            wait_until(lambda: self.follow("Hang", target.pid).count("take_second") >= 2, "both threads wait")
            self.assertIn("deadlock: 2 threads wait for each other", self.follow("Hang", target.pid))

    def test_fleet(self):
        words = recipes()["Fleet"].split()
        with Target("hot") as target, Server((200, "")) as server:
            del words[words.index("-n"):words.index("-n") + 2]
            words[words.index("-push") + 1] = f"http://127.0.0.1:{server.port}"
            words[words.index("-every") + 1] = "1s"
            words[words.index("-spool") + 1] = self.path("spool")
            process = Process([ATTACH, "-p", str(target.pid), *words[1:]], stderr=subprocess.PIPE, text=True, cwd=self.dir)
            try:
                wait_until(lambda: process.poll() is not None or server.requests, "a push")
            finally:
                process.send_signal(signal.SIGTERM)
                said = process.communicate(timeout=60)[1]
            self.assertEqual((process.returncode, bool(server.requests)), (0, True), said)


class ManPages(unittest.TestCase):
    def sections(self, program):
        with open(os.path.join(BUILD, "docs", f"{program}.1"), encoding="utf-8") as file:
            found = re.findall(r"(?ms)^\.SH \"?([A-Z ]+)\"?\n(.*?)(?=^\.SH |\Z)", file.read())
        names = [name for name, _ in found]
        self.assertEqual(len(names), len(set(names)), f"{program}.1 has a section twice: {names}")
        return {name: self.plain(text) for name, text in found}

    @staticmethod
    def plain(text):
        """Without fonts and macros: a line for each .TP or .br."""
        text = re.sub(r"(?m)^\.(?:TP|br|PP|nf|fi|SS.*)\n", "\0\n", text)
        text = re.sub(r"(?m)^\.[A-Z]+ ?", "", text)
        text = re.sub(r"\\f.", "", text).replace("\\-", "-").replace('"', "")
        return [re.sub(r"\s+", " ", part).strip() for part in text.split("\0")]

    @staticmethod
    def letters(text):
        return re.sub(r"[^\w=-]", "", text)

    def test_every_way_to_call_is_in_the_synopsis(self):
        for program, path in (("cprof-attach", ATTACH), ("cprof", CPROF)):
            synopsis = [self.letters(part) for part in self.sections(program)["SYNOPSIS"]]
            usage = re.match(r"(?i)usage: (.*(?:\n {7}.*)*)", run([path, "-help"]).stdout).group(1)
            for line in usage.split("\n"):
                way = re.split(r"   | \| ", line.strip())[0]
                with self.subTest(way):
                    self.assertIn(self.letters(way), synopsis)

    def test_every_option_is_there_once(self):
        for program, path in (("cprof-attach", ATTACH), ("cprof", CPROF)):
            items = [match.group(1) for part in self.sections(program)["OPTIONS"] if (match := re.match(r"-([\w-]+)", part))]
            helped = re.findall(r"(?m)^  -([\w-]+)", run([path, "-help"]).stdout.split("\nTarget:")[-1])
            self.assertGreater(len(helped), 30)
            self.assertEqual(sorted(items), sorted(helped), program)

    def test_every_mode_is_there(self):
        modes = re.findall(r"(?m)^  -mode ([a-z]+)", run([ATTACH, "-help"]).stdout)
        described = [part.split()[1] for part in self.sections("cprof-attach")["MODES"] if part.startswith("-mode ")]
        self.assertEqual(described, modes)


if __name__ == "__main__":
    harness.main()
