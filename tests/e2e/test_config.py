# SPDX-License-Identifier: Apache-2.0
"""Options from a file and from the environment: which counts, what is said of each, and that no secret is shown."""

import os

import harness
from harness import ATTACH, CPROF, TempDir, run

FOREIGN = ("PYROSCOPE_", "OTEL_", "DD_", "PARCA_", "CPROF_")


class Config(TempDir):
    def write(self, *lines):
        with open(self.path("agent.conf"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return self.path("agent.conf")

    def run_with(self, program, *args, status=0, **variables):
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        done = run([program, *args], env={**env, **variables}, cwd=self.dir)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def shown(self, program, *args, **variables):
        """{name: [(value, origin)]} of -show-config; the notes at its end under "#"."""
        found = {"#": []}
        for line in self.run_with(program, *args, "-show-config", **variables).stdout.splitlines():
            if line.startswith("#"):
                found["#"].append(line)
                continue
            value, origin = line.rsplit("# ", 1)
            name, value = value.split(" = ", 1)
            found.setdefault(name, []).append((value.strip(), origin))
        return found

    def test_each_value_says_where_it_came_from(self):
        conf = self.write("# an agent", "push = http://127.0.0.1:4040", "service = file", "label = env=prod",
                          "label = zone=a", "hz = 50", "no-inlines")
        shown = self.shown(ATTACH, "-config", conf, "-p", "1", "-hz", "19", OTEL_SERVICE_NAME="orders", DD_TAGS="rack:2")
        self.assertEqual(shown["hz"], [("19", "command line")])
        self.assertEqual(shown["service"], [("orders", "OTEL_SERVICE_NAME")])
        self.assertEqual(shown["label"], [("env=prod", f"{conf}:4"), ("zone=a", f"{conf}:5")])
        self.assertEqual(shown["no-inlines"], [("true", f"{conf}:7")])
        self.assertEqual(shown["mode"], [("cpu", "default")])
        self.assertIn("# label from the environment: rack=2", shown["#"])

    def test_what_is_shown_is_a_file_that_says_the_same(self):
        conf = self.write('label = "a = b # \\"c\\""', "service = x", "seconds = 1m30s")
        first = self.run_with(ATTACH, "-config", conf, "-show-config").stdout
        again = self.write(*(line for line in first.splitlines() if not line.startswith("config =")))
        second = self.shown(ATTACH, "-config", again)
        self.assertEqual(second["label"][0][0], '"a = b # \\"c\\""')
        self.assertEqual(second["seconds"][0][0], "1m30s")

    def test_no_secret_is_shown(self):
        conf = self.write("push = http://me:hunter2@127.0.0.1:4040/?token=hunter2", "push = parca+grpcs://example.com",
                          "label = api_token=hunter2")
        done = self.run_with(ATTACH, "-config", conf, "-p", "1", "-show-config", PARCA_BEARER_TOKEN="hunter2",
                             PYROSCOPE_BASIC_AUTH_USER="me", PYROSCOPE_BASIC_AUTH_PASSWORD="hunter2",
                             DD_TAGS="secret:hunter2", DD_API_KEY="hunter2")
        self.assertNotIn("hunter2", done.stdout + done.stderr)
        self.assertIn("parca+grpcs://example.com: ... from PARCA_BEARER_TOKEN", done.stdout)

    def test_what_is_wrong_is_said_with_its_line_and_without_its_text(self):
        for lines, said in ((("hz = 9", "", "root:$6$secret:1:"), ":3: this line is not understood"),
                            (("hz = often",), ':1: -hz: "often" is not a number'),
                            (("servise = x",), ":1: unknown option -servise")):
            done = self.run_with(ATTACH, "-config", self.write(*lines), "-p", "1", status=2)
            self.assertIn("agent.conf" + said, done.stderr)
            self.assertNotIn("$6$", done.stderr)
        self.assertIn("did you mean -service", done.stderr)
        done = self.run_with(ATTACH, "-config", "nowhere.conf", "-p", "1", status=1)
        self.assertIn("nowhere.conf", done.stderr)

    def test_the_server_and_the_labels_of_the_environment_are_used_when_asked_for(self):
        with open(self.path("folded.txt"), "w", encoding="utf-8") as file:
            file.write("main;work 10\nmain;idle 3\n")
        self.run_with(CPROF, "-proto", "-output", "p.pb.gz", "folded.txt")
        conf = self.write("push = env", "dry-run", "service = shop")
        done = self.run_with(CPROF, "-config", conf, "p.pb.gz", PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:4040",
                             PYROSCOPE_LABELS="team=core", PYROSCOPE_AUTH_TOKEN="hunter2")
        self.assertIn("POST http://127.0.0.1:4040/push.v1.PusherService/Push", done.stdout)
        self.assertIn("service: shop", done.stdout)
        self.assertIn("label: team=core", done.stdout)
        self.assertIn("Authorization: ...", done.stdout)
        self.assertNotIn("hunter2", done.stdout)
        notes = self.shown(ATTACH, "-push", "env", PYROSCOPE_SERVER_ADDRESS="http://127.0.0.1:4040", PYROSCOPE_AUTH_TOKEN="hunter2")["#"]
        self.assertIn("# what to log in with at pyroscope+http://127.0.0.1:4040: ... from PYROSCOPE_AUTH_TOKEN", notes)
        self.assertIn("# -push env: the environment names no server", self.shown(ATTACH, "-push", "env")["#"])
        done = self.run_with(CPROF, "-config", conf, "p.pb.gz", status=2)
        self.assertIn("the environment names no server", done.stderr)


if __name__ == "__main__":
    harness.main()
