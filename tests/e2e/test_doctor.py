# SPDX-License-Identifier: Apache-2.0
"""-doctor: what it says works does, what it says is missing is, and whom it looks at does not notice."""

import json
import os
import re
import subprocess
import sys
import unittest

import harness
from harness import ATTACH, Footprint, Target, TempDir, attach, run

NOT_ALL = 11
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUPS = ["access", "cpu", "heap", "block", "mutex", "wall", "threads", "threadcreate", "names", "keep"]


def parse(result):
    """{group: {means: row}} of -format json, and all of it."""
    found = json.loads(result.stdout)
    return {group["name"]: {row["means"]: row for row in group["means"]} for group in found["groups"]}, found


def doctor(*args, tool=(), **how):
    result = run([*tool, ATTACH, "-doctor", "-format", "json", *map(str, args)], **how)
    return result, *parse(result)


class Document(unittest.TestCase):
    def test_the_page_has_the_table_that_the_advice_is_taken_from(self):
        table = attach("-doctor-table")
        self.assertEqual(table.returncode, 0, table.stderr)
        with open(os.path.join(ROOT, "docs/permissions.md"), encoding="utf-8") as file:
            there = re.search(r"<!-- doctor-table -->\n(.*?)<!-- end -->", file.read(), re.S)
        self.assertEqual(there.group(1), table.stdout, "docs/permissions.md is not what cprof-attach -doctor-table prints")


class Doctor(TempDir):
    def test_says_of_every_mode_by_which_means_it_works(self):
        result, groups, found = doctor()
        self.assertEqual(list(groups), GROUPS)
        self.assertEqual(result.returncode, 0 if found["verdict"] == "works" else NOT_ALL, result.stderr)
        self.assertEqual(set(groups["block"]), {"bpf", "perf", "proc"})
        for group in groups.values():
            for row in group.values():
                self.assertEqual(row["why"] is None, row["verdict"] == "works", row)
        text = attach("-doctor")
        self.assertEqual(text.returncode, result.returncode, text.stderr)
        for name in GROUPS:
            self.assertRegex(text.stdout, rf"(?m)^{name} +(works|works partly|does not work)$")

    def test_a_process_is_as_it_was_and_its_nameless_files_are_told(self):
        with Target(["lockers", "abba"]) as target:
            before = Footprint(target.pid)
            result, groups, found = doctor("-p", target.pid)
            self.assertIn(result.returncode, (0, NOT_ALL), result.stderr)
            self.assertEqual((found["pid"], found["comm"]), (target.pid, "lockers"))
            self.assertNotIn("others", groups["access"])
            for row in groups["threads"].values():  # what is found in the process is not what is lacking
                self.assertNotIn("deadlock", row["why"] or "")
            for file in found["files"]:
                self.assertTrue(file["path"] and file["lacks"], file)
            before.check_unchanged(self)

    def test_a_process_that_is_traced_already_is_not_ours_to_stop(self):
        seize = ("import ctypes, sys; failed = ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None); "
                 "print('failed' if failed else 'traced', flush=True); sys.stdin.read()")
        with Target(["lockers", "abba"]) as target:
            with subprocess.Popen([sys.executable, "-c", seize, str(target.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True) as tracer:  # closing its stdin lets it go
                if tracer.stdout.readline() != "traced\n":
                    self.skipTest("no process may be traced here")
                _, groups, _ = doctor("-p", target.pid)
            for group, means in (("access", "process"), ("heap", "inline"), ("threads", "ptrace")):
                self.assertEqual(groups[group][means]["verdict"], "does not work")
                self.assertRegex(groups[group][means]["why"], "is being traced by python")
                self.assertEqual(groups[group][means]["missing"], [])
            self.assertNotRegex(groups["cpu"]["thread-cpu"]["why"] or "", "traced")

    def test_what_makes_no_sense_is_refused(self):
        for args, status, says in ((("-format", "pb"), 2, "text or json"), (("-p", f"1,{os.getpid()}"), 2, "one process"),
                                   (("-p", 2 ** 22 + 1), 3, "no process"), (("--", "true"), 2, "one process")):
            with self.subTest(args=args):
                result = attach("-doctor", *args)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(says, result.stderr)
                self.assertEqual(result.stdout, "")


class Another(TempDir):
    """What an ordinary user is told."""

    def setUp(self):
        super().setUp()
        harness.need_another_user()

    def test_nothing_works_on_a_process_of_root_and_the_capability_is_told(self):
        with Target(["lockers", "abba"]) as target:
            result, groups, found = doctor("-p", target.pid, tool=harness.as_nobody([]))
            self.assertEqual((result.returncode, found["verdict"]), (NOT_ALL, "does not work"), result.stderr)
            row = groups["access"]["process"]
            self.assertEqual(row["missing"], ["CAP_SYS_PTRACE"])
            self.assertRegex(row["commands"][0], r"^sudo setcap cap_sys_ptrace\+ep /.*cprof-attach$")
            self.assertEqual(row["pod"], ["securityContext: {capabilities: {add: [SYS_PTRACE]}}"])

    def test_what_it_says_is_missing_makes_it_work(self):
        with Target("hot") as target:
            before = Footprint(target.pid)
            _, root, _ = doctor("-p", target.pid)
            _, groups, _ = doctor("-p", target.pid, tool=harness.as_nobody([]))
            # The least, and all of it. Before Linux 6.13 uprobes are found to need one more only when they have the others.
            for tried in (("access", "heap"), GROUPS):
                rows = [(group, means) for group in tried for means in groups[group] if (group, means) != ("heap", "uprobe") and group != "keep"]
                names = {name for group, means in rows if root[group][means]["verdict"] == "works"
                         for name in groups[group][means]["missing"]}
                caps = sorted(name.removeprefix("CAP_").lower() for name in names if name.startswith("CAP_"))
                _, now, _ = doctor("-p", target.pid, tool=harness.as_nobody(caps))
                for group, means in rows:
                    # What root lacks here, this machine does not have.
                    if root[group][means]["verdict"] == "works":
                        self.assertEqual(now[group][means]["verdict"], "works", (caps, now[group][means]))
            before.check_unchanged(self)

    def test_in_a_user_namespace_root_is_told_that_its_capabilities_do_not_count(self):
        harness.need("unshare")
        inside = [*harness.as_nobody([]), "unshare", "-Ur"]
        if run([*inside, "true"]).returncode:
            self.skipTest("no user namespaces for ordinary users")
        result, groups, found = doctor(tool=inside)
        self.assertEqual(result.returncode, NOT_ALL, result.stderr)
        self.assertFalse(found["host"]["first_user_namespace"])
        row = groups["block"]["bpf"]
        self.assertEqual(row["verdict"], "does not work")
        self.assertIn("the host's user namespace", row["missing"])
        self.assertIn("hostUsers: true", row["pod"])

    def test_in_a_pid_namespace_the_hosts_is_what_bpf_lacks(self):
        inside = ["unshare", "--pid", "--mount-proc", "--fork"]
        harness.need("unshare")
        if run([*inside, "true"]).returncode:
            self.skipTest("no PID namespace may be made")
        _, groups, _ = doctor(tool=inside)
        for group in ("block", "mutex", "threads"):
            self.assertEqual(groups[group]["bpf"]["verdict"], "does not work")
            self.assertIn("hostPID: true", groups[group]["bpf"]["pod"])


if __name__ == "__main__":
    harness.main()
