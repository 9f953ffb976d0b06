# SPDX-License-Identifier: Apache-2.0
"""Who calls whom: another user's processes, root for somebody else (sudo), and what messages and files say of it."""

import os
import shutil
import sys

import harness
from harness import ATTACH, CPROF, Profile, Target, TempDir, run, target_path

NOBODY = 65534
PR_SET_DUMPABLE = 4
UNDUMPABLE = f"""import ctypes, os
ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 0)
print("pid", os.getpid())
print("ready", flush=True)
input()"""


class Caller(TempDir):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("needs root, to be several users")
        os.chmod(self.dir, 0o777)
        self.tool = shutil.copy(ATTACH, self.path("tool"))
        self.viewer = shutil.copy(CPROF, self.path("viewer"))

    def as_user(self, argv, uid=NOBODY, gid=NOBODY):
        return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", *argv]


class Refusals(Caller):
    def refused(self, target, **who):
        done = run(self.as_user([self.tool, "-p", str(target.pid), "-seconds", "0.1", "-o", self.path("x.pb.gz")], **who))
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(f"process {target.pid} ", done.stderr)
        self.assertIn("CAP_SYS_PTRACE", done.stderr)
        return done.stderr

    def test_ones_own_process_that_is_not_dumpable_is_not_said_to_be_another_users(self):
        with Target(self.as_user([sys.executable, "-c", UNDUMPABLE])) as target:
            said = self.refused(target)
            self.assertNotIn("as that user", said)
            self.assertIn("not dumpable", said)
            self.assertIn("as root", said)
            target.process.stdin.write("\n")  # it has ended by itself when it is closed
            target.process.stdin.flush()
            target.process.wait()

    def test_another_users_process_is_said_to_be_his(self):
        with Target("hot") as target:
            said = self.refused(target)
            self.assertIn("belongs to uid 0: ", said)
            self.assertIn("run as that user", said)

    def test_root_is_not_told_to_become_root(self):
        caps = "--bounding-set=-sys_ptrace"
        with Target(self.as_user([target_path("hot")])) as target:
            done = run(["setpriv", caps, "--inh-caps=-sys_ptrace", "--", self.tool, "-p", str(target.pid), "-seconds", "0.1",
                        "-o", self.path("x.pb.gz")])
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("root without CAP_SYS_PTRACE", done.stderr)
            self.assertNotIn("sudo", done.stderr)

    def test_a_program_whose_file_root_may_not_read_is_profiled_all_the_same(self):
        """As on a user's FUSE or NFS mount; here root has not the right to pass over a file's own rights."""
        program = shutil.copy(target_path("hot"), self.path("unreadable"))
        os.chown(program, NOBODY, NOBODY)
        os.chmod(program, 0o111)
        caps = "-dac_override,-dac_read_search"
        as_weak_root = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", "--"]
        if run([*as_weak_root, "cat", program]).returncode == 0:
            self.skipTest("root can read it")
        with Target(self.as_user([program])) as target:
            done = harness.attach_while_it_works(target.pid, 5, "-f", "-o", self.path("x.pb.gz"), tool=(*as_weak_root, self.tool))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(target.alive())
        self.assertGreater(Profile.read(self.path("x.pb.gz")).total(), 0)


class Sudo(Caller):
    """What sudo tells a program in its environment; root is needed, sudo is not."""

    def write(self, folder, target, **env):
        os.makedirs(self.path(folder), exist_ok=True)
        out = self.path(f"{folder}/{'-'.join(env) or 'none'}.pb.gz")
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("SUDO_", "PKEXEC", "DOAS"))}
        done = run([self.tool, "-p", str(target.pid), "-seconds", "0.1", "-f", "-o", out], env={**clean, **env})
        self.assertEqual(done.returncode, 0, done.stderr)
        stat = os.stat(out)
        self.assertEqual(stat.st_mode & 0o777, 0o600)
        return out, (stat.st_uid, stat.st_gid), done.stderr

    def test_the_profile_is_the_callers_who_can_do_what_he_is_advised_to(self):
        with Target("hot") as target:
            out, owner, said = self.write(".", target, SUDO_UID="65534", SUDO_GID="65533", SUDO_USER="nobody")
            self.assertEqual(owner, (65534, 65533))
            self.assertIn(f"next: cprof -top {out}\n", said)
            done = run(self.as_user([self.viewer, "-top", out], gid=65533))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.write(".", target, SUDO_UID="65534", SUDO_GID="65533")[1], (65534, 65533))  # replaced
            os.mkdir(self.path("his"))
            os.chown(self.path("his"), NOBODY, 0)
            self.assertEqual(self.write("his", target, PKEXEC_UID="65534")[1], (65534, 65534))
            self.assertEqual(self.write("his", target, DOAS_USER="nobody")[1], (65534, 65534))

    def test_nothing_is_given_away_that_he_could_not_have_put_there_or_where_nobody_called(self):
        with Target("hot") as target:
            self.assertEqual(self.write("roots", target, SUDO_UID="65534", SUDO_GID="65533")[1], (0, 0))
            for env in ({}, {"SUDO_UID": "0", "SUDO_GID": "0"}, {"SUDO_UID": "65534"}, {"SUDO_UID": "-1", "SUDO_GID": "1"},
                        {"SUDO_UID": "4294967295", "SUDO_GID": "1"}, {"PKEXEC_UID": "x"}, {"DOAS_USER": "no such user"}):
                self.assertEqual(self.write(".", target, **env)[1], (0, 0), env)


if __name__ == "__main__":
    harness.main()
