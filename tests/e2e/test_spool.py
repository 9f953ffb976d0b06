# SPDX-License-Identifier: Apache-2.0
"""-spool and cprof -push-spool: profiles wait on the disk while their server is away, whatever else goes wrong meanwhile; and the
ways to a server: TLS by nginx, proxies. The servers are real ones on this machine."""

import gzip
import os
import signal
import socket
import subprocess
import threading

import harness
from harness import CPROF, Target, TempDir, attach, run
from test_push import Server
from test_push_servers import field_bytes, varint


class ServerAt(Server):
    """The same on a port that is known before: the one on which nobody was."""

    def __init__(self, port, *answers, **more):
        import http.server

        class At(http.server.ThreadingHTTPServer):
            def __init__(self, _, handler):
                super().__init__(("127.0.0.1", port), handler)

        before = http.server.ThreadingHTTPServer
        http.server.ThreadingHTTPServer = At
        try:
            super().__init__(*answers, **more)
        finally:
            http.server.ThreadingHTTPServer = before


class Base(TempDir):
    def record(self, *args, status=0, **more):
        with Target("hot") as target:
            done = attach("-p", target.pid, "-seconds", "0.2", *args, cwd=self.dir, timeout=120, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def waiting(self, spool="spool"):
        return sorted(name for name in os.listdir(self.path(spool)) if name.endswith(".push"))

    def send(self, *args, status=0, spool="spool"):
        done = run([CPROF, "-push-spool", self.path(spool), *args], cwd=self.dir, timeout=120)
        self.assertEqual(done.returncode, status, done.stderr)
        return done


class Spool(Base):
    def test_what_was_not_delivered_waits_and_goes_with_the_next_one(self):
        port = harness.hold_port(self)
        url = f"http://127.0.0.1:{port}"
        done = self.record("-push", url, "-spool", "spool", "-service", "first", "-label", "env=prod", status=5)
        self.assertIn(f"cprof -push-spool {os.path.realpath(self.path('spool'))}", done.stderr)
        self.assertEqual([name for name in os.listdir(self.dir) if name.endswith(".pb.gz")], [])
        (name,) = self.waiting()
        self.assertEqual(os.stat(self.path(f"spool/{name}")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.path("spool")).st_mode & 0o777, 0o700)
        self.assertRegex(self.send("-dry-run").stdout, rf"^{url} cpu of first, for \d+ s\n$")
        with ServerAt(port, (200, "")) as server:
            done = self.record("-push", url, "-spool", "spool", "-service", "second")
        self.assertIn("and 1 that waited in the spool", done.stderr)
        services = [b"first" in body for _, _, body, _ in server.requests]
        self.assertEqual(services, [False, True])
        self.assertIn(b"prod", server.requests[1][2])
        self.assertEqual(self.waiting(), [])

    def test_several_runs_share_a_spool_and_each_profile_arrives_once(self):
        port = harness.hold_port(self)
        threads = [threading.Thread(target=self.record, args=("-push", f"http://127.0.0.1:{port}", "-spool", "spool",
                                                              "-service", f"number{i}"), kwargs={"status": 5}) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.waiting()), 4)
        with ServerAt(port, (200, "")) as server:
            senders = [subprocess.Popen([CPROF, "-push-spool", self.path("spool")], stderr=subprocess.PIPE) for _ in range(3)]
            for sender in senders:
                sender.communicate(timeout=120)
            self.send()
        for i in range(4):
            self.assertEqual(sum(f"number{i}".encode() in body for _, _, body, _ in server.requests), 1)
        self.assertEqual(self.waiting(), [])

    def test_kill_9_while_it_is_sent_loses_nothing(self):
        port = harness.hold_port(self)
        with socket.create_server(("127.0.0.1", port)) as silent, Target("hot") as target:
            silent.settimeout(120)
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-seconds", "0.2", "-push", f"http://127.0.0.1:{port}",
                                        "-spool", "spool"], cwd=self.dir, stderr=subprocess.DEVNULL)
            connection, _ = silent.accept()  # it is being sent now
            process.send_signal(signal.SIGKILL)
            process.wait()
            connection.close()
        self.assertEqual(len(self.waiting()), 1)
        with ServerAt(port, (200, "")) as server:
            self.send()
        self.assertEqual((len(server.requests), self.waiting()), (1, []))

    def test_a_damaged_file_keeps_nothing_from_being_sent_and_env_is_the_server_that_the_environment_names(self):
        def again(turn):  # the same profile once more, behind
            with open(self.path(f"spool/{turn:016x}{name[16:]}"), "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(profile)

        with Server((401, "who?")) as server:
            self.record("-push", f"http://127.0.0.1:{server.port}", "-spool", "spool", status=5)
            server.answers = ((200, ""),)
            (name,) = self.waiting()
            with open(self.path(f"spool/{name}"), "rb") as file:
                profile = file.read()
            os.truncate(self.path(f"spool/{name}"), 50)
            again(2)
            self.assertIn("is damaged", self.send("-dry-run").stderr)
            self.assertEqual(len(self.waiting()), 2)  # to look removes nothing
            done = self.send(status=5)
            self.assertIn("1 delivered, 1 dropped (1 damaged)", done.stderr)
            self.assertEqual((len(server.requests), self.waiting()), (2, []))
            again(3)
            for port, status in ((1, 2), (server.port, 0)):
                env = dict(os.environ, PYROSCOPE_SERVER_ADDRESS=f"http://127.0.0.1:{port}")
                done = run([CPROF, "-push-spool", self.path("spool"), "-push", "env"], env=env)
                self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual((len(server.requests), self.waiting()), (3, []))

    def test_what_the_server_does_not_want_does_not_wait(self):
        with Server((400, "bad labels")) as server:
            done = self.record("-push", f"http://127.0.0.1:{server.port}", "-spool", "spool", "-o", "kept.pb.gz", status=5)
        self.assertIn("the profile is kept in kept.pb.gz", done.stderr)
        self.assertEqual(self.waiting(), [])

    def test_no_secret_is_in_the_spool_and_the_login_goes_where_it_went(self):
        port = harness.hold_port(self)
        env = dict(os.environ, CPROF_PUSH_AUTH="me:topsecret")
        self.record("-push", f"http://127.0.0.1:{port}/ingest?key=opensesame", "-spool", "spool", status=5, env=env)
        self.record("-push", f"http://127.0.0.1:{port}", "-spool", "spool", status=5)
        for name in self.waiting():
            with open(self.path(f"spool/{name}"), "rb") as file:
                data = file.read()
            for secret in (b"topsecret", b"opensesame", b"me:"):
                self.assertNotIn(secret, name.encode() + data)
        with ServerAt(port, (200, "")) as server:
            done = run([CPROF, "-push-spool", self.path("spool")], env=env)
            self.assertEqual(done.returncode, 5, done.stderr)  # where it goes is secret in part
            self.assertIn("say it again with -push URL", done.stderr)
            done = run([CPROF, "-push-spool", self.path("spool"), "-push", f"http://127.0.0.1:{port}/ingest?key=opensesame"],
                       env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
        seen = [(path.split("?")[0], headers.get("Authorization")) for path, headers, _, _ in server.requests]
        self.assertEqual(seen, [("/push.v1.PusherService/Push", None), ("/ingest", "Basic bWU6dG9wc2VjcmV0")])

    def in_a_small_disk(self, script):
        """`script` with a disk of 64 KB at "disk"."""
        if os.geteuid() != 0:
            raise harness.unittest.SkipTest("needs root, to mount a small disk")
        os.mkdir(self.path("disk"))
        done = run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", self.path("disk")])
        self.assertEqual(done.returncode, 0, done.stderr)
        try:
            done = run(["sh", "-ec", script], cwd=self.dir, timeout=120)
        finally:
            run(["umount", self.path("disk")])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_a_full_disk_and_one_that_is_read_only(self):
        port = harness.hold_port(self)
        with Target("hot") as target, ServerAt(port, (200, "")) as server:
            record = f"{harness.ATTACH} -p {target.pid} -seconds 0.2"
            done = self.in_a_small_disk(f"""
                mkdir -m 700 disk/empty
                {record} -spool disk/spool -push http://127.0.0.1:1/a -service old || [ $? = 5 ]
                head -c 200000 /dev/zero > disk/full || true
                {record} -spool disk/empty -push http://127.0.0.1:{port} -service one
                {record} -spool disk/empty -push http://127.0.0.1:1/b -o kept.pb.gz || [ $? = 5 ]
                {record} -spool disk/spool -push http://127.0.0.1:1/c -service new || [ $? = 5 ]
                ls disk/spool | grep -c push$
                rm disk/full
                mount -o remount,ro disk
                {record} -spool disk/spool -push http://127.0.0.1:{port} -service two
                {record} -spool disk/spool -push http://127.0.0.1:1/d -o kept2.pb.gz || [ $? = 5 ]
                """)
        self.assertEqual(done.stdout, "1\n")  # the old one has given way to the new one
        self.assertIn("No space left on device", done.stderr)
        self.assertIn("Read-only file system", done.stderr)
        for name in (b"one", b"two"):
            self.assertEqual(sum(name in body for _, _, body, _ in server.requests), 1, name)
        for name in ("kept.pb.gz", "kept2.pb.gz"):
            self.assertTrue(os.path.exists(self.path(name)))


class Slow(Base):
    def test_an_answer_whose_body_comes_a_byte_a_second_is_an_answer(self):
        """Asked again after its time-out, the profile would be counted twice."""
        requests = []

        def serve(server):
            connection, _ = server.accept()
            with connection:
                requests.append(connection.recv(1 << 20))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
                for _ in range(4000):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return
                    threading.Event().wait(1)

        self.record("-o", "file.pb.gz")
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=serve, args=(server,), daemon=True).start()
            done = run([CPROF, "-push", f"http://127.0.0.1:{server.getsockname()[1]}", self.path("file.pb.gz")], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("delivered", done.stderr)
        self.assertEqual(len(requests), 1)


class Ways(Base):
    def make(self, name, *more):
        done = run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}", *more],
                   cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)

    def make_certificates(self):
        harness.need("openssl")
        self.make("ca", "-x509", "-days", "2", "-out", "ca.pem")
        for name, more in (("localhost", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")):
            self.make(name, "-out", f"{name}.csr")
            with open(self.path(f"{name}.ext"), "w") as file:
                file.write(more)
            done = run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                        "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem"], cwd=self.dir)
            self.assertEqual(done.returncode, 0, done.stderr)

    def start(self, *command):
        process = subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def wait_for_port(self, port):
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                threading.Event().wait(0.05)
        self.fail(f"nobody listens on {port}")

    def nginx(self, behind):
        nginx = harness.shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(nginx):
            raise harness.unittest.SkipTest("nginx is not installed")
        old, new = harness.hold_port(self), harness.hold_port(self)
        one = f"""server {{ listen 127.0.0.1:%d ssl; ssl_protocols %s; client_max_body_size 32m;
            ssl_certificate {self.path('localhost.pem')}; ssl_certificate_key {self.path('localhost.key')};
            ssl_client_certificate {self.path('ca.pem')}; ssl_verify_client on;
            location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}"""
        temps = "".join(f"{kind}_temp_path {self.path(kind)};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(self.path("nginx.conf"), "w") as file:
            file.write(f"daemon off; master_process off; pid {self.path('nginx.pid')}; error_log {self.path('nginx.log')};\n"
                       f"events {{}}\nhttp {{ access_log off; {temps}\n" + one % (old, "TLSv1.2") + one % (new, "TLSv1.3") + "}\n")
        self.start(nginx, "-c", self.path("nginx.conf"), "-e", self.path("nginx.log"))
        self.wait_for_port(new)
        return old, new

    def test_nginx_in_front_with_its_own_ca_client_certificates_and_tls_versions(self):
        self.make_certificates()
        trust = ("-push-ca", "ca.pem")
        client = trust + ("-push-cert", "client.pem", "-push-key", "client.key")
        with Server((200, "")) as server:
            old, new = self.nginx(server.port)
            self.assertRegex(self.record("-push", f"https://localhost:{old}", status=5).stderr, "certificate")
            self.assertIn("400", self.record("-push", f"https://localhost:{old}", *trust, status=5).stderr)
            self.assertEqual(server.requests, [])
            self.record("-push", f"https://localhost:{old}", *client)
            self.record("-push", f"https://localhost:{new}", *client, "-push-tls", "1.3", "-push-tenant", "team-a")
            self.assertEqual(server.requests[1][1]["X-Scope-OrgID"], "team-a")
            self.record("-push", f"https://localhost:{old}", *client, "-push-tls", "1.3", status=5)
            self.assertEqual(len(server.requests), 2)
            self.record("-push", f"https://localhost:{new}", "-push-ca", "none.pem", status=2)
            self.record("-push", f"https://localhost:{new}", "-push-tls", "1.0", status=2)
            self.record("-o", "file.pb.gz")
            named = {f"OTEL_EXPORTER_OTLP_{name}": self.path(file) for name, file in (
                ("CERTIFICATE", "ca.pem"), ("CLIENT_CERTIFICATE", "client.pem"), ("CLIENT_KEY", "client.key"))}
            for url, env, status in ((f"otlp+https://localhost:{new}", named, 0), (f"https://localhost:{new}", named, 5),
                                     (f"otlp+https://localhost:{new}", {}, 5)):
                done = run([CPROF, "-push", url, "file.pb.gz"], cwd=self.dir, env=dict(os.environ, **env))
                self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(len(server.requests), 3)

    def test_tinyproxy_on_the_way_sees_no_secret_of_a_server_behind_tls(self):
        harness.need("tinyproxy")
        self.make_certificates()
        with Server((200, "")) as server:
            _, tls = self.nginx(server.port)
            port = harness.hold_port(self)
            with open(self.path("tinyproxy.conf"), "w") as file:
                file.write(f'Port {port}\nListen 127.0.0.1\nLogFile "{self.path("tinyproxy.log")}"\nLogLevel Info\nDisableViaHeader No\n'
                           'BasicAuth who word\n')
            self.start("tinyproxy", "-d", "-c", self.path("tinyproxy.conf"))
            self.wait_for_port(port)
            client = ("-push-ca", "ca.pem", "-push-cert", "client.pem", "-push-key", "client.key")
            env = dict(os.environ, CPROF_PUSH_AUTH="0123456789abcdef", no_proxy="")
            through = dict(env, https_proxy=f"http://who:word@127.0.0.1:{port}", http_proxy=f"http://who:word@127.0.0.1:{port}")
            self.record("-push", f"https://localhost:{tls}", *client, env=through)
            self.assertEqual(server.requests[0][1]["Authorization"], "Bearer 0123456789abcdef")
            locked_out = dict(env, https_proxy=f"http://127.0.0.1:{port}")
            self.assertIn("the proxy wants", self.record("-push", f"https://localhost:{tls}", *client, env=locked_out,
                                                         status=5).stderr)
            # A secret that http:// may bear to this machine takes no way round over a proxy; what has none does.
            self.record("-push", f"http://127.0.0.1:{server.port}", env=through)
            self.assertNotIn("Via", server.requests[1][1])
            del through["CPROF_PUSH_AUTH"]
            self.record("-push", f"http://127.0.0.1:{server.port}", env=through)
            self.assertIn("Via", server.requests[2][1])
            self.record("-push", f"http://127.0.0.1:{server.port}", env=dict(through, no_proxy="127.0.0.1"))
            self.assertNotIn("Via", server.requests[3][1])
            with open(self.path("tinyproxy.log")) as file:
                self.assertNotIn("0123456789abcdef", file.read())


def number(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(key, value):
    return number(key << 3) + number(value) if isinstance(value, int) else number(key << 3 | 2) + number(len(value)) + value


def numbers_of(data, want):
    """The message's fields of that number: bytes, or numbers."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            at += value
            value = data[at - value:at]
        if key >> 3 == want:
            yield value


class Large(Base):
    def test_60000_samples_of_12_mib_with_names_that_are_no_utf8_arrive_with_their_sums(self):
        count = 60000
        strings = [b"", b"samples", b"count"] + [b"caf\xe9_%d_" % i + b"n" * 175 for i in range(count)]
        data = bytearray(field(1, field(1, 1) + field(2, 2)))
        for i in range(count):
            data += field(2, field(1, number(i + 1)) + field(2, number(i % 7 + 1)))
            data += field(4, field(1, i + 1) + field(4, field(1, i + 1) + field(2, 1)))
            data += field(5, field(1, i + 1) + field(2, i + 3))
        data += b"".join(field(6, text) for text in strings)
        self.assertGreater(len(data), 12 << 20)
        with open(self.path("large.pb.gz"), "wb") as file:
            file.write(gzip.compress(data, 1))
        with Server((200, "")) as server:
            done = run([CPROF, "-push", f"http://127.0.0.1:{server.port}", "-service", "large", self.path("large.pb.gz")], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        total = samples = 0
        for _, _, body, _ in server.requests:
            part = gzip.decompress(field_bytes(body, 1, 2, 1))
            self.assertLessEqual(len(part), 3 << 19)
            mine = list(numbers_of(part, 2))
            self.assertLessEqual(len(mine), 16000)
            samples += len(mine)
            total += sum(sum(value if isinstance(value, int) else varint(value, 0)[0] for value in numbers_of(sample, 2))
                         for sample in mine)
            for text in numbers_of(part, 6):
                text.decode()
        self.assertEqual((samples, total), (count, sum(i % 7 + 1 for i in range(count))))


if __name__ == "__main__":
    harness.main()
