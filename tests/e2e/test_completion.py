# SPDX-License-Identifier: Apache-2.0
"""-completion SHELL: what bash, zsh and fish offer for a word of a command line, asked of the shells themselves."""

import os
import pty
import re
import select
import subprocess
import time
import unittest

import harness
from harness import ATTACH, CPROF, TempDir, need, run

BASH = r"""
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"_${1//-/_}"
printf '%s\n' "${COMPREPLY[@]}"
"""
PROGRAMS = {"cprof-attach": ATTACH, "cprof": CPROF}


class Completion(TempDir):
    def script(self, program, shell):
        path = os.path.join(self.dir, f"{program}.{shell}")
        if not os.path.exists(path):
            done = run([PROGRAMS[program], "-completion", shell])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            with open(path, "w", encoding="utf-8") as file:
                file.write(done.stdout)
        return path

    def bash(self, *words):
        done = run([need("bash"), "-c", BASH, "bash", self.script(words[0], "bash"), *words])
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def fish(self, line):
        done = run([need("fish"), "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', self.script(line.split()[0], "fish"), line])
        self.assertEqual(done.stderr, "")
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    def test_bash_offers_options_and_their_values(self):
        for words, want in ((["-mod"], ["-mode", "-modes"]),
                            (["-mode", "he"], ["heap"]),
                            (["--mode", "he"], ["heap"]),
                            (["-mode", "=", "he"], ["heap"]),
                            (["-mode", "="], ["cpu", "heap", "block", "mutex", "wall", "threads", "threadcreate"]),
                            (["-modes", "cpu,bl"], ["cpu,block"]),
                            (["-q", "-demangle", "f"], ["full"]),
                            (["-o", os.path.join(self.script("cprof", "bash"))], [self.script("cprof", "bash")]),
                            (["-o", "a", "--", "printf", self.script("cprof", "bash")], [self.script("cprof", "bash")]),
                            (["-label", ""], []),
                            (["nothing"], [])):
            with self.subTest(words=words):
                self.assertEqual(self.bash("cprof-attach", *words), want)
        self.assertEqual(self.bash("cprof", "-sample_index", "inuse_s"), ["inuse_space"])
        self.assertEqual(self.bash("cprof", "-top", self.script("cprof", "bash")), [self.script("cprof", "bash")])

    def test_bash_offers_processes(self):
        for word in (str(os.getpid()), f"1,{os.getpid()}"):
            found = self.bash("cprof-attach", "-p", word)
            # Others may have ids that begin with ours; then it says, for each, what it runs.
            want = word if len(found) == 1 else f"{word}({self.own_name()})"
            self.assertIn(want, found)

    def own_name(self):
        with open("/proc/self/comm", encoding="utf-8") as file:
            return file.read().strip()

    def test_bash_shows_which_program_a_process_id_is_of(self):
        found = self.bash("cprof-attach", "-p", "")
        self.assertIn(f"{os.getpid()}({self.own_name()})", found)
        self.assertFalse([line for line in found if "kthreadd" in line])  # a thread of the kernel has nothing to profile

    def test_every_option_is_offered(self):
        for program in PROGRAMS:
            names = re.findall(r"^  (-[\w-]+)", run([PROGRAMS[program], "-help"]).stdout.split("\n\n", 2)[2], re.M)
            self.assertGreater(len(names), 40)
            self.assertLessEqual(set(names) - {"-mode"}, set(self.bash(program, "-")))

    def test_fish_offers_options_and_their_values(self):
        for line, want in (("cprof-attach -mode he", ["heap"]), ("cprof-attach -text-f", ["-text-format"]),
                           ("cprof-attach -p 1,", None), ("cprof-attach -- printen", ["printenv"]),
                           ("cprof -granularity fi", ["files", "filefunctions"])):
            with self.subTest(line=line):
                found = self.fish(line)
                if want is None:
                    self.assertIn(f"1,{os.getpid()}", found)
                else:
                    self.assertEqual(sorted(found), sorted(want))

    def test_zsh_completes_at_the_keyboard(self):
        zsh = need("zsh")
        for line, want in (("cprof-attach -mode hea", "heap"), ("cprof-attach -text-f", "-text-format="),
                           ("cprof -granularity filef", "filefunctions")):
            with self.subTest(line=line):
                said = self.press_tab(zsh, self.script(line.split()[0], "zsh"), line)
                self.assertIn(f"<{line.rsplit(' ', 1)[0]} {want}>", said)

    def press_tab(self, zsh, script, line):
        """What zsh has on its line when Tab was pressed behind `line`."""
        program = line.split()[0]
        os.replace(script, os.path.join(self.dir, f"_{program}"))
        setup = (f"fpath=({self.dir} $fpath); autoload -U compinit; compinit -u -D; "
                 "show() { print -r -- \"<${BUFFER% }>\"; exit }; zle -N show; bindkey '^G' show; print READY\n")
        master, slave = pty.openpty()
        shell = subprocess.Popen([zsh, "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                 env={"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": self.dir})
        os.close(slave)
        try:
            self.talk(master, setup, "\nREADY")
            return self.talk(master, line + "\t\x07", ">\n")
        finally:
            shell.kill()
            shell.wait()
            os.close(master)

    def talk(self, master, text, until):
        os.write(master, text.encode())
        said, deadline = "", time.monotonic() + 60
        while until not in said.replace("\r", ""):
            ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"no {until!r} in {said!r}")
            try:
                said += os.read(master, 4096).decode("utf-8", "replace")
            except OSError:
                break
        return said.replace("\r", "")

    def test_another_shell_is_refused(self):
        for program in PROGRAMS.values():
            done = run([program, "-completion", "tcsh"])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("there are: bash zsh fish", done.stderr)


if __name__ == "__main__":
    harness.main()
