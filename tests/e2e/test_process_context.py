# SPDX-License-Identifier: Apache-2.0
"""What a program says of itself (OpenTelemetry's process context) is what a collector is told, if nobody says otherwise."""

import re

import harness
from harness import Footprint, Profile, Target, TempDir, attach

URL = "http://127.0.0.1:1/ingest"


class TestProcessContext(TempDir):
    def service(self, target, *args):
        """What would be pushed."""
        done = attach("-p", target.pid, "-seconds", "0.05", "-q", "-push", URL, "-dry-run", *args, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search(r"^  service: (.*)$", done.stdout, re.M).group(1)

    def test_the_service_is_what_the_process_calls_itself(self):
        with Target(["otel_service", "my shop"]) as target:
            footprint = Footprint(target.pid)
            self.assertEqual(self.service(target), "my shop")
            self.assertEqual(self.service(target, "-service", "other"), "other")
            self.assertEqual(self.service(target, "-no-otel-context"), "otel_service")
            path = self.path("x.pb.gz")
            self.assertEqual(attach("-p", target.pid, "-seconds", "0.05", "-o", path).returncode, 0)
            self.assertIn(f"process: otel_service {target.pid}, service my shop", Profile.read(path).comments)
            later = harness.run([harness.CPROF, "-push", URL, "-dry-run", path])  # as -push would have sent it
            self.assertRegex(later.stdout, r"(?m)^  service: my shop$", later.stderr)
            footprint.check_unchanged(self)

    def test_a_process_without_one_is_called_by_its_name(self):
        with Target(["otel_service"]) as target:
            self.assertEqual(self.service(target), "otel_service")

    def test_a_context_that_is_being_rewritten_is_never_a_mixture(self):
        names = "a" * 60, "b" * 60
        with Target(["otel_service", *names]) as target:
            for _ in range(10):
                self.assertIn(self.service(target), (*names, "otel_service"))


if __name__ == "__main__":
    harness.main()
