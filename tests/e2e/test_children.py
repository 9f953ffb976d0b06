"""Processes that the target starts, and profiles that are empty: what is said about both."""

import harness
from harness import Target, TempDir, attach, attach_while_it_works, run

SPIN = "x = 0\nwhile x < 20000000: x += 1"


class Empty(TempDir):
    def said(self, *args, **more):
        done = attach("-f", "-o", self.path("x.pb.gz"), *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        comments = run([harness.CPROF, "-comments", self.path("x.pb.gz")]).stdout
        return done.stderr, comments

    def test_an_idle_process_is_said_to_be_idle_and_what_to_look_at(self):
        with Target(["sh", "-c", "trap 'exit 0' TERM; echo ready; read line"]) as target:
            for way in ("auto", "thread"):
                for said in self.said("-p", target.pid, "-seconds", "0.3", "-open", way):
                    self.assertRegex(said, r"(?m)^no processor time was used in 0\.3 s: .*-mode threads .*-mode block")
            self.assertTrue(target.alive())

    def test_a_launcher_whose_child_works_is_told_of_that(self):
        for said in self.said("--", "sh", "-c", f"python3 -c '{SPIN}'; echo ended"):
            self.assertRegex(said, r"(?m)^child processes used [\d.]+ s of processor time, the process itself 0\.0\d s")

    def test_a_busy_process_is_told_nothing(self):
        with Target("hot") as target:
            done = attach_while_it_works(target.pid, 30, "-o", self.path("x.pb.gz"))
            self.assertNotIn("processor time", done.stderr)


if __name__ == "__main__":
    harness.main()
