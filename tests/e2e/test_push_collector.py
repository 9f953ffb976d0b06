# SPDX-License-Identifier: Apache-2.0
"""-push to a real OpenTelemetry Collector, whose debug exporter prints what it has understood.

CPROF_OTELCOL names the program, built with the OTLP receiver and the debug exporter; without it these tests are skipped."""

import os
import re
import signal
import subprocess
import unittest

import harness
from harness import CPROF, Profile, Target, TempDir, attach, run

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {profiles: {receivers: [otlp], exporters: [debug]}}
"""


class Collector(TempDir):
    def setUp(self):
        super().setUp()
        program = os.environ.get("CPROF_OTELCOL")
        if not program:
            raise unittest.SkipTest("CPROF_OTELCOL names no OpenTelemetry Collector")
        self.port = harness.hold_port(self)
        with open(self.path("config.yaml"), "w", encoding="utf-8") as file:
            file.write(CONFIG % self.port)
        # Into a file: it prints more than a pipe holds while nobody reads.
        with open(self.path("printed"), "w", encoding="utf-8") as out:
            self.collector = subprocess.Popen([program, "--config", self.path("config.yaml"),
                                               "--feature-gates=+service.profilesSupport"], stderr=out)
        self.addCleanup(lambda: (self.collector.kill(), self.collector.wait()))
        harness.wait_until(lambda: self.collector.poll() is not None or "Everything is ready" in self.read(), "the collector is ready")
        self.assertIsNone(self.collector.poll(), self.read())

    def read(self):
        with open(self.path("printed"), encoding="utf-8") as file:
            return file.read()

    def printed(self):
        self.collector.send_signal(signal.SIGTERM)
        self.collector.wait(timeout=60)
        return self.read()

    def test_sums_and_names_are_those_of_the_file(self):
        with Target("hot") as target:
            done = attach("-p", target.pid, "-seconds", "1", "-o", self.path("p.pb.gz"), "-service", "shop",
                          "-push", f"otlp+http://127.0.0.1:{self.port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        printed, kept = self.printed(), Profile.read(self.path("p.pb.gz"))
        self.assertEqual(sum(int(value) for value in re.findall(r"Values: \[(\d+)\]", printed)), kept.total(0))
        self.assertIn("service.name: Str(shop)", printed)
        for name in {function["name"] for function in kept.functions.values()}:
            self.assertIn(name, printed)

    def test_a_file_of_many_samples_arrives_whole(self):
        with open(self.path("folded.txt"), "w", encoding="utf-8") as file:
            file.writelines(f"main;work;deep{i} {i + 1}\n" for i in range(20000))
        run([CPROF, "-proto", "-output", "many.pb.gz", "folded.txt"], cwd=self.dir)
        done = run([CPROF, "-push", f"otlp+http://127.0.0.1:{self.port}", "-service", "shop", "-override-timestamp", "many.pb.gz"],
                   cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sum(int(value) for value in re.findall(r"Values: \[(\d+)\]", self.printed())), 20000 * 20001 // 2)


if __name__ == "__main__":
    harness.main()
