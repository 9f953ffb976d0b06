# SPDX-License-Identifier: Apache-2.0
"""Who may ask the server of -http: a token, addresses that other machines reach, a service manager's socket."""

import base64
import os
import socket
import subprocess
import sys

import harness
from harness import Target, TempDir
from test_http import Server

TOKEN = "correct-horse:battery"


class Token(TempDir):
    def token_file(self, text=TOKEN + "\nnot this\n", mode=0o600):
        path = self.path("token")
        with open(path + ".new", "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def asked(self, server, authorization):
        headers = {"Authorization": authorization} if authorization else {}
        return server.ask("/debug/pprof/cmdline", headers=headers)

    def basic(self, user, password):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def test_only_who_knows_it_is_let_in_and_a_new_one_counts_at_once(self):
        args = ["-modes", "threads", "-http-token-file", self.token_file()]
        with Target("hot") as target, Server("-p", target.pid, *args, address="0.0.0.0:0") as server:
            for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}", self.basic("anybody", TOKEN), self.basic("", TOKEN)):
                self.assertEqual(self.asked(server, right)[0], 200, right)
            for wrong in (None, "Bearer", "Bearer x", f"Bearer {TOKEN}x", self.basic("anybody", "x"), "Basic !", TOKEN):
                status, headers, body = self.asked(server, wrong)
                self.assertEqual((status, headers["X-Go-Pprof"]), (401, "1"), wrong)
                self.assertIn('Basic realm="', headers["WWW-Authenticate"])
                self.assertNotIn(TOKEN, body.decode())
            for path in ("/", "/sd", "/metrics", "/healthz", "/debug/pprof/", "/debug/pprof/heap", "/nosuch"):
                self.assertEqual(server.ask(path)[0], 401, path)
            # Under whatever name the machine was reached; a page of another site still gets nothing.
            right = {"Authorization": f"Bearer {TOKEN}", "Host": "box.example:6060"}
            self.assertIn(b'"targets":["box.example:6060"]', server.ask("/sd", headers=right)[2])
            self.assertEqual(server.ask("/sd", headers=dict(right, Origin="http://evil.example"))[0], 403)
            self.token_file("another\n")
            self.assertEqual([self.asked(server, f"Bearer {word}")[0] for word in (TOKEN, "another")], [401, 200])
            self.token_file("another\n", mode=0o644)
            self.assertEqual(self.asked(server, "Bearer another")[0], 503)
            self.token_file("third\n")
            self.assertEqual(self.asked(server, "Bearer third")[0], 200)
            self.assertTrue(target.alive())

    def test_tools_bring_it(self):
        args = ["-modes", "threads", "-http-token-file", self.token_file("t0ken\n")]
        with Target("hot") as target, Server("-p", target.pid, *args) as server:
            path = "/debug/pprof/goroutine"
            done = harness.run([harness.CPROF, "-top", "-auth_file", self.path("token"), server.url + path])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Type: goroutine", done.stdout)
            pprof = harness.go_pprof()
            for user, status in (("me:t0ken@", 0), ("", 1)):
                url = server.url.replace("//", "//" + user) + path
                done = harness.run([*pprof, "-top", url], env=dict(os.environ, PPROF_TMPDIR=self.dir), timeout=120)
                self.assertEqual(done.returncode != 0, status, done.stderr)
            self.assertIn("a token is needed", done.stderr)

    def test_what_may_be_read_by_others_is_no_secret_and_without_one_only_this_machine_is_served(self):
        with Target("hot") as target:
            for mode in (0o644, 0o660):
                args = ("-p", target.pid, "-http", "127.0.0.1:0", "-http-token-file", self.token_file(mode=0o600))
                os.chmod(args[-1], mode)
                done = harness.attach(*args)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("chmod 600", done.stderr)
            done = harness.attach("-p", target.pid, "-http", "0.0.0.0:0")
            self.assertEqual(done.returncode, 2)
            self.assertIn("-http-token-file", done.stderr)
            done = harness.attach("-p", target.pid, "-http-token-file", self.token_file())
            self.assertEqual(done.returncode, 2, done.stderr)


class Passed(TempDir):
    """A listening socket as descriptor 3, as systemd passes it."""

    # LISTEN_PID is that of the process itself, so it is set where the program is about to be.
    PASS = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            "os.execv(sys.argv[2], sys.argv[2:])")

    def started(self, listener, *args):
        argv = [sys.executable, "-c", self.PASS, str(listener.fileno()), harness.ATTACH, *map(str, args)]
        return harness.Process(argv, stderr=subprocess.PIPE, text=True, pass_fds=[listener.fileno()],
                               env=dict(os.environ, LISTEN_FDS="1"))

    def test_is_served_and_its_name_stays(self):
        path = self.path("passed.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        with Target("hot") as target:
            for address in ("systemd", "127.0.0.1:1"):
                process = self.started(listener, "-p", target.pid, "-modes", "threads", "-http", address)
                self.assertIn(f"serving unix:{path}/", process.stderr.readline())
                client = socket.socket(socket.AF_UNIX)
                client.connect(path)
                client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                self.assertIn(b"200 OK", client.recv(100))
                client.close()
                process.terminate()
                self.assertEqual((process.communicate(timeout=60)[1], process.returncode), ("", 0))
                self.assertTrue(os.path.exists(path))

    def test_one_that_others_reach_needs_a_token(self):
        with Target("hot") as target, socket.create_server(("0.0.0.0", 0)) as listener:
            process = self.started(listener, "-p", target.pid, "-http", "systemd")
            self.assertIn("-http-token-file", process.communicate(timeout=60)[1])
            self.assertEqual(process.returncode, 2)
            done = harness.attach("-p", target.pid, "-http", "systemd")
            self.assertEqual(done.returncode, 2)
            self.assertIn("LISTEN_FDS", done.stderr)


if __name__ == "__main__":
    harness.main()
