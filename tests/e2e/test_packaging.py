# SPDX-License-Identifier: Apache-2.0
"""The service unit and the manifests: systemd takes the unit, every right has its reason, nothing is privileged, and the options are ours."""

import os
import re
import shlex

import harness
from harness import ATTACH, ROOT, TempDir, run

UNIT = os.path.join(ROOT, "packaging/systemd/cprof-attach.service")
KUBERNETES = os.path.join(ROOT, "packaging/kubernetes")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Packaging(TempDir):
    def settings(self, name):
        return " ".join(re.findall(rf"^{name}=(.*)$", read(UNIT), re.M)).split()

    def test_systemd_takes_the_unit(self):
        harness.need("systemd-analyze")
        unit = self.path("cprof-attach.service")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(read(UNIT).replace("/usr/bin/cprof-attach", ATTACH))
        done = run(["systemd-analyze", "verify", "--man=no", unit])
        self.assertEqual((done.returncode, [line for line in done.stderr.splitlines() if "cprof-attach.service" in line]), (0, []))

    def test_every_capability_has_a_reason_and_none_is_beyond_them(self):
        granted = self.settings("AmbientCapabilities")
        reasons = re.findall(r"^#   (CAP_\w+) +\S", read(UNIT), re.M)
        self.assertEqual(sorted(granted), sorted(reasons))
        self.assertEqual(sorted(granted), sorted(self.settings("CapabilityBoundingSet")))
        self.assertNotIn("CAP_SYS_ADMIN", granted)
        for line in ("NoNewPrivileges=yes", "DynamicUser=yes", "Type=notify", "RestartPreventExitStatus=2", "SuccessExitStatus=5"):
            self.assertIn(f"\n{line}\n", read(UNIT))

    def test_what_would_hide_processes_is_off(self):
        for name in ("ProtectProc", "ProcSubset", "PrivatePIDs", "PrivateUsers", "PrivateTmp", "ProtectKernelLogs"):
            self.assertEqual(self.settings(name), [], name)

    def test_the_example_of_a_configuration_is_understood(self):
        token = self.path("token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("user:secret\n")
        with open(self.path("agent.conf"), "w", encoding="utf-8") as file:
            file.write(read(os.path.join(ROOT, "packaging/systemd/agent.conf")).replace("/etc/cprof/token", token))
        done = run([ATTACH, "-config", self.path("agent.conf"), "-show-config"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("unit = postgresql@*.service", done.stdout)

    def test_the_manifests_are_not_privileged_and_name_options_that_exist(self):
        for name in sorted(os.listdir(KUBERNETES)):
            text = read(os.path.join(KUBERNETES, name))
            self.assertNotIn("privileged: true", text)
            self.assertIn('drop: ["ALL"]', text)
            self.assertNotIn("SYS_ADMIN", text)
        lines = re.search(r"agent\.conf: \|\n((?:    .*\n)+)", read(os.path.join(KUBERNETES, "daemonset.yaml"))).group(1)
        with open(self.path("agent.conf"), "w", encoding="utf-8") as file:
            file.write(lines)
        done = run([ATTACH, "-config", self.path("agent.conf"), "-show-config"])
        self.assertEqual(done.returncode, 0, done.stderr)
        sidecar = re.findall(r"^        - (-\S+)$", read(os.path.join(KUBERNETES, "sidecar.yaml")), re.M)
        self.assertGreater(len(sidecar), 4)
        done = run([ATTACH, *map(shlex.quote, sidecar), "-show-config"])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    harness.main()
