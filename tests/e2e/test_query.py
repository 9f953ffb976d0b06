# SPDX-License-Identifier: Apache-2.0
"""A collector's query as a source of cprof: what is asked is read by protoc, and the report is that of the same file."""

import base64
import gzip
import http.server
import json
import os
import threading
import time
import urllib.parse

import harness
from harness import CPROF, TempDir, run
from test_push_servers import GrpcServer, decode


class Server:
    """Answers every request with (status, headers, body), and keeps what was asked."""

    def __init__(self, status, body, **headers):
        server = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, dict(self.headers), asked))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.http.shutdown()
        self.http.server_close()


class Query(TempDir):
    def setUp(self):
        super().setUp()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("CPROF_")}
        self.env["PPROF_TMPDIR"] = self.path("saved")
        self.profile = self.make("main;work 10\nmain;idle 3\n")

    def make(self, folded):
        with open(self.path("folded.txt"), "w", encoding="utf-8") as file:
            file.write(folded)
        self.cprof("-proto", "-output", "made.pb.gz", "folded.txt")
        with open(self.path("made.pb.gz"), "rb") as file:
            return file.read()

    def cprof(self, *args, status=0, **env):
        done = run([CPROF, *args], cwd=self.dir, env={**self.env, **env})
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_pyroscope_merges_and_the_report_is_that_of_the_file(self):
        want = self.cprof("-top", "made.pb.gz").stdout
        with Server(200, gzip.decompress(self.profile), Content_Type="application/proto") as server:
            before = time.time()
            got = self.cprof("-top", f"pyroscope+http://127.0.0.1:{server.port}/?query=cpu{{service_name=\"a%20b\"}}&from=now-2h"
                             "&max_nodes=100")
            render = self.cprof("-top", f"http://127.0.0.1:{server.port}/pyroscope/render?query=memory%3Ainuse_space%3Abytes"
                                "%3Aspace%3Abytes%7B%7D&from=1700000000&until=1700000060000")
        self.assertEqual((got.stdout, render.stdout), (want, want))
        (method, path, headers, body), (_, _, _, second) = server.requests
        self.assertEqual((method, path), ("POST", "/querier.v1.QuerierService/SelectMergeProfile"))
        self.assertEqual(headers["Content-Type"], "application/proto")
        asked = decode("SelectMergeProfileRequest", body)
        self.assertEqual(asked["profile_type_id"], ["process_cpu:cpu:nanoseconds:cpu:nanoseconds"])
        self.assertEqual(asked["label_selector"], ['{service_name="a b"}'])
        self.assertEqual(int(asked["end"][0]) - int(asked["start"][0]), 7200000)
        self.assertGreaterEqual(int(asked["end"][0]), int(before * 1000))
        self.assertEqual(asked["max_nodes"], [100])
        asked = decode("SelectMergeProfileRequest", second)
        self.assertEqual((asked["start"], asked["end"]), ([1700000000000], [1700000060000]))
        self.assertEqual(asked["label_selector"], ["{}"])

    def test_one_release_against_another(self):
        newer = gzip.decompress(self.profile)
        older = gzip.decompress(self.make("main;work 4\nmain;idle 3\n"))
        with Server(200, newer) as new, Server(200, older) as old:
            source = "pyroscope+http://127.0.0.1:%d?query=cpu{version=\"%s\"}"
            done = self.cprof("-top", "-diff_base", source % (old.port, "1"), source % (new.port, "2"))
        self.assertRegex(done.stdout, r"(?m)^\s+6 .* work$")

    def test_parca_by_json(self):
        answer = json.dumps({"pprof": base64.b64encode(self.profile).decode(), "total": "0"}).encode()
        with Server(200, answer, Content_Type="application/json") as server:
            got = self.cprof("-top", f"parca+http://127.0.0.1:{server.port}?query=alloc_space{{job=\"rig\"}}&from=2026-11-28T16:00:00Z"
                             "&until=2026-11-28T17:00:00Z")
        self.assertEqual(got.stdout, self.cprof("-top", "made.pb.gz").stdout)
        ((method, path, _, _),) = server.requests
        path, _, query = path.partition("?")
        self.assertEqual((method, path), ("GET", "/api/profiles/query"))
        self.assertEqual(dict(urllib.parse.parse_qsl(query)), {
            "mode": "MODE_MERGE", "report_type": "REPORT_TYPE_PPROF",
            "merge.query": 'memory:alloc_space:bytes:space:bytes:delta{job="rig"}',
            "merge.start": "2026-11-28T16:00:00.000Z", "merge.end": "2026-11-28T17:00:00.000Z"})

    def test_parca_by_grpc(self):
        size = b""
        left = len(self.profile)
        while True:
            size += bytes([left & 127 | (128 if left > 127 else 0)])
            left >>= 7
            if not left:
                break
        with GrpcServer(0, answer=b"\x32" + size + self.profile + b"\x48\x07") as server:
            got = self.cprof("-top", f"parca+grpc://127.0.0.1:{server.port}?query=cpu&from=10&until=20")
        self.assertEqual(got.stdout, self.cprof("-top", "made.pb.gz").stdout)
        asked = decode("ParcaQueryRequest", server.bodies[0][5:])
        self.assertEqual((asked["mode"], asked["report_type"]), ([2], [1]))
        (merge,) = asked["merge"]
        self.assertEqual(merge["query"], ["process_cpu:cpu:nanoseconds:cpu:nanoseconds:delta{}"])
        self.assertEqual((merge["start"][0]["seconds"], merge["end"][0]["seconds"]), ([10], [20]))
        with GrpcServer(16, "no%20token") as server:
            done = self.cprof("-top", f"parca+grpc://127.0.0.1:{server.port}?query=cpu", status=1)
        self.assertIn("gRPC status 16: no token", done.stderr)
        self.assertIn("-auth_file", done.stderr)

    def test_what_the_server_refuses_is_said_in_its_words(self):
        words = b'{"code":"invalid_argument","details":[{"message":"not this"}],"message":"parse error: \\u0022x\\u0022"}'
        for status, body, said in ((400, words, 'the server answers 400: parse error: "x"'),
                                   (200, b"", "the server has no profile for process_cpu:"),
                                   (401, b"{}", "-auth_file")):
            with Server(status, body, Content_Type="application/json") as server:
                done = self.cprof("-top", f"pyroscope+http://127.0.0.1:{server.port}?query=cpu", status=1)
            self.assertIn(said, done.stderr)
        with Server(200, b'{"total":"0"}') as server:
            done = self.cprof("-top", f"parca+http://127.0.0.1:{server.port}?query=cpu", status=1)
        self.assertIn("no profile in the server's answer", done.stderr)

    def test_what_makes_no_sense_is_said_before_anything_is_asked(self):
        with Server(200, b"") as server:
            for query, said in (("", "there is no query="), ("?query=cpus{}", "begins with no type"),
                                ("?query=cpu&from=yesterday", "from=yesterday is no time"),
                                ("?query=cpu&from=now&until=now-1h", "from= is not before until=")):
                done = self.cprof("-top", f"pyroscope+http://127.0.0.1:{server.port}{query}", status=2)
                self.assertIn(said, done.stderr)
        self.assertEqual(server.requests, [])

    def test_what_is_logged_in_with_goes_along_and_is_not_shown(self):
        with Server(200, gzip.decompress(self.profile)) as server:
            done = self.cprof("-top", f"pyroscope+http://127.0.0.1:{server.port}?query=cpu", CPROF_HTTP_AUTH="me:hunter2")
        self.assertEqual(server.requests[0][2]["Authorization"], "Basic " + base64.b64encode(b"me:hunter2").decode())
        self.assertNotIn("hunter2", done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
