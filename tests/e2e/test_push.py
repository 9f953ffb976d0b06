# SPDX-License-Identifier: Apache-2.0
"""-push against a real HTTP server (Python's): what arrives, what is tried again, what is said and kept when it fails."""

import http.server
import os
import socket
import ssl
import threading
import time
import urllib.parse

import harness
from harness import Profile, Target, TempDir, attach, run


class Server:
    """Answers with the given (status, body) pairs in turn, the last one for ever, and keeps every request. `answers` can be changed.
    With `silent`, an event, it answers nothing before that is set."""

    def __init__(self, *answers, context=None, headers=(), silent=None):
        server = self
        self.requests, self.answers = [], answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = server.answers[min(len(server.requests), len(server.answers) - 1)]
                server.requests.append((self.path, dict(self.headers), body, time.monotonic()))
                if silent:
                    silent.wait(60)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                self.path = "PUT " + self.path
                self.do_POST()

            def do_GET(self):
                server.requests.append((self.path, dict(self.headers), None, time.monotonic()))
                self.send_error(404)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.http.shutdown()
        self.http.server_close()


class Push(TempDir):
    def push(self, url, *args, status=0, **more):
        with Target("hot") as target:
            self.pid = target.pid
            done = attach("-p", target.pid, "-seconds", "0.3", "-push", url, *args, cwd=self.dir, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def files(self):
        return [name for name in os.listdir(self.dir) if name.endswith(".pb.gz")]

    def test_a_plain_url_gets_the_file_as_it_is(self):
        with Server((200, "")) as server:
            done = self.push(f"http://127.0.0.1:{server.port}/profiles?team=a", "-o", "kept.pb.gz")
        ((path, headers, body, _),) = server.requests
        self.assertEqual(path, "/profiles?team=a")
        self.assertEqual(headers["Content-Type"], "application/octet-stream")
        self.assertRegex(headers["User-Agent"], r"^cprof-attach/\d")
        self.assertTrue(Profile(body).sample_types)
        with open(self.path("kept.pb.gz"), "rb") as file:
            self.assertEqual(file.read(), body)
        self.assertIn("delivered", done.stderr)

    def test_without_o_no_file_stays_once_it_is_delivered(self):
        with Server((204, "")) as server:
            done = self.push(f"http://127.0.0.1:{server.port}/")
        self.assertEqual(self.files(), [])
        self.assertNotIn("next:", done.stderr)

    def test_ingest_gets_pyroscopes_parameters(self):
        with Server((200, "")) as server:
            before = int(time.time())
            self.push(f"http://127.0.0.1:{server.port}/ingest", "-service", "shop front", "-label", "env=prod,eu",
                      "-label", "zone-id=a=b")
        path, headers, body, _ = server.requests[0]
        url = urllib.parse.urlsplit(path)
        self.assertEqual(url.path, "/ingest")
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))
        self.assertEqual(query["name"], "shop_front{env=prod_eu,zone_id=a=b}")
        self.assertEqual((query["format"], query["spyName"]), ("pprof", "cprof-attach"))
        self.assertTrue(before <= int(query["from"]) <= int(query["until"]) <= before + 20, query)
        self.assertEqual(headers["Content-Type"], "application/octet-stream")
        self.assertTrue(Profile(body).sample_types)

    def test_the_service_is_the_process_name_unless_given(self):
        with Server((200, "")) as server:
            self.push(f"http://127.0.0.1:{server.port}/pyroscope/ingest?tenant=x")
        self.assertIn("/pyroscope/ingest?tenant=x&name=hot&from=", server.requests[0][0])

    def test_a_busy_server_is_tried_again(self):
        with Server((503, "later"), (429, "busy"), (200, "")) as server:
            self.push(f"http://127.0.0.1:{server.port}/")
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(server.requests[0][2], server.requests[2][2])

    def test_retry_after_is_honoured(self):
        with Server((503, ""), (200, ""), headers=[("Retry-After", "2")]) as server:
            self.push(f"http://127.0.0.1:{server.port}/")
        self.assertGreaterEqual(server.requests[1][3] - server.requests[0][3], 1.9)

    def test_after_three_tries_the_file_is_kept_and_the_servers_words_are_shown(self):
        with Server((500, '{"code":"internal",\n "message":"disk \x1b[31mfull"}')) as server:
            done = self.push(f"http://127.0.0.1:{server.port}/", status=5)
        self.assertEqual(len(server.requests), 3)
        self.assertIn('the server answered 500: {"code":"internal", "message":"disk', done.stderr)
        self.assertNotIn("\x1b", done.stderr)
        (kept,) = self.files()
        self.assertIn(f"the profile is kept in {kept}", done.stderr)
        self.assertTrue(Profile.read(self.path(kept)).sample_types)

    def test_a_no_is_not_asked_again(self):
        for status, text in ((400, "bad labels"), (401, "who are you"), (413, "too large")):
            with self.subTest(status), Server((status, text)) as server:
                done = self.push(f"http://127.0.0.1:{server.port}/ingest", status=5)
                self.assertEqual(len(server.requests), 1)
                self.assertIn(f"{status}: {text}", done.stderr)

    def test_nobody_there_is_exit_5(self):
        with socket.socket() as nobody:  # it has the port, so that nobody else gets it, and does not listen
            nobody.bind(("127.0.0.1", 0))
            done = self.push(f"http://127.0.0.1:{nobody.getsockname()[1]}/", "-o", "kept.pb.gz", status=5)
        self.assertRegex(done.stderr, r"push to http://127\.0\.0\.1:\d+/: .*onnect")
        Profile.read(self.path("kept.pb.gz"))

    def test_a_redirect_is_not_followed_with_our_credentials(self):
        with Server((302, ""), headers=[("Location", "http://127.0.0.1:1/elsewhere")]) as server:
            done = self.push(f"http://me:secret@127.0.0.1:{server.port}/", status=5)
        self.assertEqual(len(server.requests), 1)
        self.assertIn("redirects are not followed", done.stderr)
        self.assertNotIn("secret", done.stderr)

    def test_user_and_password_of_the_url_are_sent_as_basic_authentication(self):
        with Server((200, "")) as server:
            self.push(f"http://me:secret@127.0.0.1:{server.port}/")
        self.assertEqual(server.requests[0][1]["Authorization"], "Basic bWU6c2VjcmV0")

    def test_a_proxy_from_the_environment_is_used(self):
        with Server((200, "")) as proxy:
            env = dict(os.environ, http_proxy=f"http://127.0.0.1:{proxy.port}", no_proxy="")
            self.push("http://collector.invalid/ingest", env=env)
        self.assertTrue(proxy.requests[0][0].startswith("http://collector.invalid/ingest?name=hot"))

    def test_an_untrusted_certificate_is_refused_and_a_trusted_one_taken(self):
        harness.need("openssl")
        made = run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.path("key"), "-out",
                    self.path("cert"), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        self.assertEqual(made.returncode, 0, made.stderr)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("cert"), self.path("key"))
        with Server((200, ""), context=context) as server:
            done = self.push(f"https://localhost:{server.port}/", status=5)
            self.assertRegex(done.stderr, "certificate")
            self.assertEqual(server.requests, [])
            self.push(f"https://localhost:{server.port}/", env=dict(os.environ, CURL_CA_BUNDLE=self.path("cert"),
                                                                    SSL_CERT_FILE=self.path("cert")))
            self.assertEqual(len(server.requests), 1)

    def test_a_bad_url_or_kind_is_said_before_sampling(self):
        with Target("hot") as target:
            for args in (("-push", "ftp://x/"), ("-push", "localhost:4040"), ("-push", "http://"),
                         ("-push", "http://localhost/", "-push-as", "carrier-pigeon")):
                done = attach("-p", target.pid, "-seconds", "60", *args, cwd=self.dir, timeout=40)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotIn("profiling", done.stderr)


if __name__ == "__main__":
    harness.main()
