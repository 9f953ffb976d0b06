"""Who calls whom: another user's processes, root for somebody else (sudo), and what messages and files say of it."""

import os
import shutil
import sys

import harness
from harness import ATTACH, CPROF, Target, TempDir, run, target_path

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


if __name__ == "__main__":
    harness.main()
