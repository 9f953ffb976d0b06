# SPDX-License-Identifier: Apache-2.0
"""-push to each kind of collector: what arrives is read by protoc and Python, and compared with the file that was kept.

The receivers answer as the real servers were seen to answer."""

import base64
import email
import json
import os
import socket
import struct
import subprocess
import threading

import harness
from harness import Profile, Target, TempDir, attach, attach_while_it_works
from test_push import Server

HERE = os.path.dirname(os.path.abspath(__file__))


def decode(message, data):
    """A message of push.proto; fields are lists, bytes are bytes."""
    harness.need("protoc", "protobuf-compiler is not installed")
    done = subprocess.run(["protoc", f"--proto_path={HERE}", f"--decode=push.{message}", "push.proto"], input=data,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return harness._parse_text_format(done.stdout.decode("latin-1"))


def field_bytes(data, *path):
    """The bytes of a field inside fields, by number: protoc shows them escaped, and here they are wanted as they are."""
    for want in path:
        at, found = 0, None
        while at < len(data):
            key, at = varint(data, at)
            if key & 7 == 2:
                n, at = varint(data, at)
                found = data[at:at + n] if key >> 3 == want and found is None else found
                at += n
            elif key & 7 == 0:
                _, at = varint(data, at)
            else:
                at += {1: 8, 5: 4}[key & 7]
        data = found
    return data


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def hexadecimal(text):
    return text.encode("latin-1").hex()


def totals(profile):
    return {f"{kind}/{unit}": sum(values[i] for _, values, _ in profile.samples)
            for i, (kind, unit) in enumerate(profile.sample_types)}


class GrpcServer:
    """One gRPC call a connection in HTTP/2's frames (RFC 9113), just enough to take a message and answer with trailers."""

    def __init__(self, status, words="", answer=b""):
        self.status, self.words, self.answer, self.bodies = status, words, answer, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self.call(stream)

    def call(self, stream):
        frame = lambda kind, flags, number, data=b"": stream.write(
            struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + data)
        literal = lambda name, value: b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        assert stream.read(24).startswith(b"PRI * HTTP/2.0")
        frame(4, 0, 0)
        body = b""
        while True:
            head = stream.read(9)
            if len(head) < 9:
                return
            data = stream.read(int.from_bytes(head[:3], "big"))
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff
            if kind == 4 and not flags & 1:
                frame(4, 1, 0)
            if kind == 0 and data:
                body += data
                for stream_number in (0, number):
                    frame(8, 0, stream_number, struct.pack(">I", len(data)))
            if kind in (0, 1) and flags & 1:
                break
            stream.flush()
        self.bodies.append(body)
        frame(1, 4, number, b"\x88" + literal(b"content-type", b"application/grpc"))
        if not self.status:
            framed = struct.pack(">BI", 0, len(self.answer)) + self.answer
            for at in range(0, len(framed), 16384):
                frame(0, 0, number, framed[at:at + 16384])
        trailers = literal(b"grpc-status", str(self.status).encode())
        frame(1, 5, number, trailers + (literal(b"grpc-message", self.words.encode()) if self.words else b""))
        stream.flush()
        while stream.read(1):  # to its end: what is unread when we close would take the answer with it
            pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()


class Servers(TempDir):
    def push(self, url, *args, status=0, target="hot", seconds="0.3", **more):
        with Target(target) as process:
            done = attach("-p", process.pid, "-seconds", seconds, "-push", url, "-o", self.path("kept.pb.gz"), "-f", *args,
                          cwd=self.dir, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def kept(self):
        return Profile.read(self.path("kept.pb.gz"))

    def test_a_bare_host_is_pyroscopes_push(self):
        with Server((200, "")) as server:
            self.push(f"http://127.0.0.1:{server.port}", "-service", "shop", "-label", "zone-id=a=b,{c}")
        ((path, headers, body, _),) = server.requests
        self.assertEqual((path, headers["Content-Type"]), ("/push.v1.PusherService/Push", "application/proto"))
        (series,) = decode("PushRequest", body)["series"]
        labels = {label["name"][0]: label["value"][0] for label in series["labels"]}
        self.assertEqual(len(labels), len(series["labels"]))
        self.assertEqual(labels["__name__"], "process_cpu")
        self.assertEqual((labels["service_name"], labels["zone_id"]), ("shop", "a=b,{c}"))
        self.assertEqual(labels["process"], "hot")
        self.assertEqual(labels["hostname"], os.uname().nodename)
        sent = Profile(field_bytes(body, 1, 2, 1))
        self.assertEqual(totals(sent), totals(self.kept()))
        self.assertTrue(all(not labels for _, _, labels in sent.samples))

    def test_types_are_named_as_the_servers_users_know_them(self):
        for mode, target, name, kind in (("heap", "heap_leaf", "memory", "space"), ("threads", "hot", "goroutine", "goroutine")):
            with self.subTest(mode), Server((200, "")) as server:
                self.push(f"pyroscope+http://127.0.0.1:{server.port}/", "-mode", mode, target=target)
                body = server.requests[0][2]
                (series,) = decode("PushRequest", body)["series"]
                self.assertEqual([label["value"][0] for label in series["labels"] if label["name"] == ["__name__"]], [name])
                sent = Profile(field_bytes(body, 1, 2, 1))
                self.assertEqual([kind], [kind for kind, _ in sent.period_type])
                self.assertEqual(sum(totals(sent).values()), sum(totals(self.kept()).values()))

    def test_parca_gets_its_grpc_call(self):
        with GrpcServer(0) as server:
            done = self.push(f"parca+grpc://127.0.0.1:{server.port}", "-service", "shop")
        (body,) = server.bodies
        self.assertEqual((body[0], int.from_bytes(body[1:5], "big")), (0, len(body) - 5))
        (series,) = decode("WriteRawRequest", body[5:])["series"]
        labels = {label["name"][0]: label["value"][0] for label in series["labels"][0]["labels"]}
        self.assertEqual((labels["__name__"], labels["service_name"]), ("process_cpu", "shop"))
        self.assertEqual(totals(Profile(field_bytes(body[5:], 2, 2, 1))), totals(self.kept()))
        self.assertIn("delivered", done.stderr)

    def test_parcas_no_is_in_the_trailers_and_shown(self):
        for status, words, calls in ((3, "duplicate label name: dup", 1), (14, "try%20later", 3)):
            with self.subTest(status), GrpcServer(status, words) as server:
                done = self.push(f"parca+grpc://127.0.0.1:{server.port}", status=5)
                self.assertIn(f"gRPC status {status}: {words.replace('%20', ' ')}", done.stderr)
                self.assertEqual(len(server.bodies), calls)

    def test_parca_gets_what_is_held_and_what_is_counted_apart(self):
        with Server((200, "{}")) as server:
            self.push(f"parca+http://127.0.0.1:{server.port}", "-mode", "heap", target="heap_leaf")
        seen = {}
        for path, headers, body, _ in server.requests:
            self.assertEqual((path, headers["Content-Type"]), ("/api/profiles/writeraw", "application/json"))
            (series,) = json.loads(body)["series"]
            sent = Profile(base64.b64decode(series["samples"][0]["raw_profile"]))
            held = all(kind.startswith("inuse_") for kind, _ in sent.sample_types)
            self.assertEqual(sent.duration_nanos == 0, held)
            seen.update(totals(sent))
        self.assertEqual(seen, totals(self.kept()))

    def test_otlp_has_its_zero_entries_and_the_files_names_and_sums(self):
        with Server((200, "")) as server:
            self.push(f"otlp+http://127.0.0.1:{server.port}", "-service", "shop", "-label", "deployment.environment=prod")
        ((path, headers, body, _),) = server.requests
        self.assertEqual((path, headers["Content-Type"]), ("/v1development/profiles", "application/x-protobuf"))
        export = decode("Export", body)
        (resource,), (tables,) = export["resource_profiles"], export["dictionary"]
        attributes = {a["key"][0]: a["value"][0]["text"][0] for a in resource["resource"][0]["attributes"]}
        self.assertEqual((attributes["service.name"], attributes["deployment.environment"]), ("shop", "prod"))
        for table in ("mappings", "locations", "functions", "links", "attributes", "stacks"):
            self.assertEqual(tables[table][0], {}, table)
        self.assertEqual((len(tables["links"]), tables["strings"][0]), (1, ""))
        (profile,) = resource["scope_profiles"][0]["profiles"]
        text = lambda node, key: tables["strings"][node.get(key, [0])[0]]
        self.assertEqual(text(profile["sample_type"][0], "type"), "samples")
        self.assertEqual((text(profile["period_type"][0], "type"), profile["period"]), ("cpu", [self.kept().period]))
        names, total = set(), 0
        for sample in profile["samples"]:
            total += sample["values"][0]
            for location in tables["stacks"][sample["stack"][0]]["locations"]:
                for line in tables["locations"][location].get("lines", []):
                    names.add(text(tables["functions"][line["function"][0]], "name"))
        kept = self.kept()
        self.assertEqual(total, totals(kept)["samples/count"])
        self.assertEqual(names, {f["name"] for f in kept.functions.values()})
        self.assertTrue(all(a["key"][0] < len(tables["strings"]) for a in tables["attributes"][1:]))

    def test_requests_are_attributes_and_links_of_samples(self):
        if os.geteuid() != 0:
            self.skipTest("contexts are read with BPF, which takes root")
        with Server((200, "")) as otlp, Server((200, "")) as pyroscope, Target("otel_requests_own") as target:
            done = attach_while_it_works(target.pid, 40, "-request-labels", "all", "-o", self.path("r.pb.gz"), "-f", "-push",
                                         f"otlp+http://127.0.0.1:{otlp.port}", "-push", f"pyroscope+http://127.0.0.1:{pyroscope.port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        kept, ids = {}, {}
        for _, (n, _), labels in Profile.read(self.path("r.pb.gz")).samples:
            if "letter" in labels:
                ids[labels["letter"]] = ids.get(labels["letter"], set()) | {(labels["trace_id"], labels["span_id"])}
                kept[labels["letter"]] = kept.get(labels["letter"], 0) + n
        self.assertGreaterEqual(len(kept), 2, done.stderr)

        tables = (export := decode("Export", otlp.requests[0][2]))["dictionary"][0]
        identity = lambda link: (hexadecimal(link["trace_id"][0]), hexadecimal(link["span_id"][0]))
        attributes = [(tables["strings"][a["key"][0]], a["value"][0].get("text")) if a else None for a in tables["attributes"]]
        seen = {}
        for sample in export["resource_profiles"][0]["scope_profiles"][0]["profiles"][0]["samples"]:
            own = dict(attributes[i] for i in sample.get("attributes", []))
            if "letter" in own:
                letter = own["letter"][0]
                self.assertIn(identity(tables["links"][sample["link"][0]]), ids[letter])
                seen[letter] = seen.get(letter, 0) + sample["values"][0]
        self.assertEqual(seen, kept)
        stacks = [tuple(stack.get("locations", [])) for stack in tables["stacks"]]
        self.assertEqual(len(stacks), len(set(stacks)))

        sent = Profile(field_bytes(pyroscope.requests[0][2], 1, 2, 1))
        seen = {}
        for _, (n, _), labels in sent.samples:
            self.assertLessEqual(set(labels), {"letter", "span_id", "http_route", "otel_tid"})
            if "letter" in labels:
                seen[labels["letter"]] = seen.get(labels["letter"], 0) + n
        self.assertEqual(seen, kept)

    def test_datadog_gets_its_form(self):
        with Server((200, "")) as server:
            self.push(f"datadog+http://127.0.0.1:{server.port}", "-service", "shop", "-label", "env=prod",
                      env=dict(os.environ, CPROF_PUSH_AUTH="0123456789abcdef"))
        ((path, headers, body, _),) = server.requests
        self.assertEqual((path, headers["DD-API-KEY"]), ("/profiling/v1/input", "0123456789abcdef"))
        form = email.message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                 for part in form.get_payload()}
        event = json.loads(parts["event"])
        self.assertEqual((event["family"], event["version"], event["attachments"]), ("native", "4", ["profile.pprof"]))
        self.assertIn("service:shop", event["tags_profiler"].split(","))
        self.assertIn("env:prod", event["tags_profiler"].split(","))
        self.assertRegex(event["start"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(totals(Profile(parts["profile.pprof"])), totals(self.kept()))

    def test_the_collectors_receiver_of_pprof_has_the_labels_in_the_samples(self):
        with Server((200, "")) as server:
            self.push(f"otelcol-pprof+http://127.0.0.1:{server.port}/v1/pprof", "-service", "shop")
        ((path, _, body, _),) = server.requests
        self.assertEqual(path, "/v1/pprof")
        self.assertTrue(all(labels["service_name"] == "shop" for _, _, labels in Profile(body).samples))

    def test_a_template_names_an_object_which_is_put(self):
        with Server((200, "")) as server:
            self.push(f"raw+http://127.0.0.1:{server.port}/bucket/{{service}}/{{type}}-{{time}}.pb.gz", "-service", "a/b")
        ((path, _, body, _),) = server.requests
        self.assertRegex(path, r"^PUT /bucket/a%2Fb/cpu-\d{8}T\d{6}Z\.pb\.gz$")
        with open(self.path("kept.pb.gz"), "rb") as file:
            self.assertEqual(file.read(), body)

    def test_block_and_mutex_are_told_apart(self):
        for path, find in (("", lambda path, body: {label["value"][0] for label in decode("PushRequest", body)["series"][0]["labels"]}),
                           ("/ingest", lambda path, body: {"block" if "mode%3Dblock" in path else "mutex"})):
            with self.subTest(path), Server((200, "")) as server:
                self.push(f"http://127.0.0.1:{server.port}{path}", "-mode", "block", target=["locks", "slow"], seconds="1")
                self.assertIn("block", find(server.requests[0][0], server.requests[0][2]))

    def test_dry_run_says_what_would_be_sent_and_sends_nothing(self):
        with Server((200, "")) as server:
            for kind in ("pyroscope", "parca", "otlp", "datadog"):
                done = self.push(f"{kind}+http://me:hidden@127.0.0.1:{server.port}/?key=opensesame", "-dry-run", "-service", "shop",
                                 env=dict(os.environ, CPROF_PUSH_AUTH="topsecret"))
                self.assertRegex(done.stdout, rf"^POST http://\.\.\.@127\.0\.0\.1:{server.port}/")
                self.assertIn("service: shop", done.stdout)
                for secret in ("hidden", "opensesame", "topsecret"):
                    self.assertNotIn(secret, done.stdout + done.stderr)
        self.assertEqual(server.requests, [])

    def test_a_file_is_sent_later(self):
        with Server((503, "later")) as server:
            done = self.push(f"http://127.0.0.1:{server.port}", "-label", "env=prod", status=5)
        self.assertIn("cprof -push", done.stderr)
        with Server((200, "")) as server:
            done = harness.run([harness.CPROF, "-push", f"http://127.0.0.1:{server.port}", self.path("kept.pb.gz")])
        self.assertEqual(done.returncode, 0, done.stderr)
        ((_, _, body, _),) = server.requests
        labels = {label["name"][0]: label["value"][0] for label in decode("PushRequest", body)["series"][0]["labels"]}
        self.assertEqual((labels["__name__"], labels["service_name"], labels["env"]), ("process_cpu", "hot", "prod"))
        sent = Profile(field_bytes(body, 1, 2, 1))
        self.assertEqual((totals(sent), sent.time_nanos), (totals(self.kept()), self.kept().time_nanos))
        with Server((400, "too old")) as server:
            done = harness.run([harness.CPROF, "-push", f"http://127.0.0.1:{server.port}", "-override-timestamp",
                                self.path("kept.pb.gz")])
        self.assertEqual(done.returncode, 5)
        self.assertIn("400: too old", done.stderr)
        self.assertGreater(Profile(field_bytes(server.requests[0][2], 1, 2, 1)).time_nanos, sent.time_nanos)

    def test_each_of_several_servers_gets_it(self):
        with Server((200, "")) as one, Server((400, "no")) as two:
            done = self.push(f"http://127.0.0.1:{two.port}", "-push", f"http://127.0.0.1:{one.port}/ingest", status=5)
        self.assertEqual((len(one.requests), len(two.requests)), (1, 1))
        self.assertIn("delivered", done.stderr)
        self.assertIn("400: no", done.stderr)

    def test_what_cannot_be_right_is_said_before_sampling(self):
        with Target("hot") as target:
            for args in (("-push", "http://127.0.0.1:1", "-label", "a.b=1", "-label", "a-b=2"),
                         ("-push", "carrier+http://127.0.0.1:1"), ("-push", "grpc://127.0.0.1:1"),
                         ("-push", "http://me:secret@collector.invalid/ingest")):
                done = attach("-p", target.pid, "-seconds", "60", *args, cwd=self.dir, timeout=40)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotIn("profiling", done.stderr)
                self.assertIn("hint: ", done.stderr)

    def test_answers_that_pass_and_answers_that_stay(self):
        again, never = 3, 1
        for url, status, text, calls in (
                ("http://127.0.0.1:{}", 429, "push rate limit (4.0 MiB) exceeded while adding 2.4 MiB", again),
                ("http://127.0.0.1:{}", 429, "Maximum active series limit exceeded (5000/5000)", never),
                ("http://127.0.0.1:{}", 500, '{"code":"unknown","message":"proto: Profile: wiretype end group"}', never),
                ("http://127.0.0.1:{}", 501, "", never),
                ("http://127.0.0.1:{}/ingest", 422, '{"message":"pushing failed: unavailable: no ring"}', again),
                ("http://127.0.0.1:{}/ingest", 422, '{"message":"pushing failed: invalid_argument: bad"}', never),
                ("otlp+http://127.0.0.1:{}", 500, "rpc error: code = InvalidArgument", never),
                ("otlp+http://127.0.0.1:{}", 503, "", again),
                ("http://127.0.0.1:{}", 405, "", never)):
            with self.subTest(f"{url} {status} {text}"), Server((status, text)) as server:
                done = self.push(url.format(server.port), status=5)
                self.assertEqual(len(server.requests), calls)
                self.assertIn(f"the server answered {status}", done.stderr)


if __name__ == "__main__":
    harness.main()
