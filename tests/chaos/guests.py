# SPDX-License-Identifier: Apache-2.0
"""Programs that are profiled while they answer questions; the answers depend on the question alone.

A guest has .pid, ask(question) -> answer, questions(rng) and close() -> problem or None. What a program cannot promise (a JIT
changes its code, a server closes connections) it says by .steady and .connects."""

import hashlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

RUN_FOLDER = None  # what lasts for the whole run is in here
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from harness import target_path  # noqa: E402

ANSWER_S = 120  # a machine may be busy; a program that does not answer for so long has been stopped or has lost its way


class Silent(Exception):
    """It did not answer, or ended."""


class Guest:
    """A program that reads a question from a line and writes its answer as one."""
    name, steady, connects = None, True, False
    storms = ()

    def __init__(self, folder, rng):
        self.folder = folder
        self.process = subprocess.Popen(self.command(rng), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
                                        stderr=subprocess.DEVNULL)
        self.pid, self.buffer = self.process.pid, b""
        while self.line() != "ready":
            pass

    @staticmethod
    def missing():
        return None

    def command(self, rng):
        raise NotImplementedError

    def line(self):
        deadline = time.monotonic() + ANSWER_S
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Silent(f"no answer within {ANSWER_S} s")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise Silent(f"it ended with {self.process.wait(timeout=ANSWER_S)}")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def questions(self, rng):
        return [f"{rng.choice(self.storms)} {rng.randrange(1, 6)}" for _ in range(rng.randrange(3, 12))]

    def ask(self, question):
        try:
            self.process.stdin.write(question.encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Silent(f"it ended with {self.process.wait(timeout=ANSWER_S)}") from None
        return self.line()

    def close(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            return "it does not end"
        return f"it ended with {status}" if status else None

    def kill(self):
        self.process.kill()
        self.process.wait()


class Storms(Guest):
    name = "storms"
    storms = ("churn", "fibers", "jumps", "throws", "deep", "forks", "vforks", "threads", "signals", "loads", "maps", "grows",
              "execs")

    def command(self, rng):
        return [target_path("storms"), str(rng.choice((0, 0, 1, 4)))]


class Python(Guest):
    name = "python3"
    storms = ("objects", "texts", "zlib", "threads", "sqlite", "spawn")
    script = r"""
import hashlib, json, sqlite3, subprocess, sys, threading, zlib
def objects(k):
    kept = [{str(i * k): [i] * (i % 50)} for i in range(3000)]
    return hashlib.md5(json.dumps(kept).encode()).hexdigest()
def texts(k):
    return hashlib.md5("".join(str(i * k) * (i % 20) for i in range(5000)).encode()).hexdigest()
def compressed(k):
    data = bytes((i * k * 31) >> 3 & 255 for i in range(50000))
    return hashlib.md5(zlib.decompress(zlib.compress(data))).hexdigest()
def threads(k):
    results = [None] * 8
    def work(i):
        results[i] = texts(k + i)
    all = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in all: t.start()
    for t in all: t.join()
    return hashlib.md5("".join(results).encode()).hexdigest()
def sqlite(k):
    db = sqlite3.connect(":memory:")
    db.execute("create table t (k integer primary key, v text)")
    db.executemany("insert into t (v) values (?)", (("x" * (i * k % 900),) for i in range(3000)))
    return "%s %d" % (*db.execute("pragma integrity_check").fetchone(), *db.execute("select sum(length(v)) from t").fetchone())
def spawn(k):
    return subprocess.run(["/bin/echo", str(k)], capture_output=True, text=True).stdout.strip()
storms = {"objects": objects, "texts": texts, "zlib": compressed, "threads": threads, "sqlite": sqlite, "spawn": spawn}
print("ready", flush=True)
for line in sys.stdin:
    name, k = line.split()
    print(storms[name](int(k)), flush=True)
"""

    @staticmethod
    def missing():
        return None if os.path.exists("/usr/bin/python3.11") else "python3.11 is not installed"

    def command(self, rng):
        return ["/usr/bin/python3.11", "-c", self.script]


class Node(Guest):
    name, steady = "node", False
    storms = ("objects", "buffers", "regexps")
    script = r"""
const crypto = require("crypto"), zlib = require("zlib");
const md5 = text => crypto.createHash("md5").update(text).digest("hex");
const storms = {
	objects: k => md5(JSON.stringify(Array.from({length: 5000}, (_, i) => ({["a" + i * k]: [i, i % k]})))),
	buffers: k => md5(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(200000, String(k))))),
	regexps: k => md5(Array.from({length: 3000}, (_, i) => String(i * k).replace(/(\d)(\d)/g, "$2$1")).join()),
};
console.log("ready");
require("readline").createInterface({input: process.stdin}).on("line", line => {
	const [name, k] = line.split(" ");
	console.log(storms[name](Number(k)));
});
"""

    @staticmethod
    def missing():
        return None if shutil.which("node") else "node is not installed"

    def command(self, rng):
        return ["node", "-e", self.script]


class Java(Guest):
    name, steady = "java", False
    storms = ("objects", "texts", "threads")
    source = r"""
import java.util.*;
public class Storms {
	static long objects(long k) {
		Map<String, List<Long>> m = new TreeMap<>();
		for (long i = 0; i < 20000; i++) m.computeIfAbsent("a" + i * k % 977, x -> new ArrayList<>()).add(i);
		return m.hashCode();
	}
	static long texts(long k) {
		StringBuilder s = new StringBuilder();
		for (long i = 0; i < 20000; i++) s.append(i * k);
		return s.toString().hashCode();
	}
	static long threads(long k) throws Exception {
		long[] r = new long[6];
		Thread[] all = new Thread[6];
		for (int i = 0; i < 6; i++) { int n = i; all[i] = new Thread(() -> r[n] = texts(k + n)); all[i].start(); }
		for (Thread t : all) t.join();
		return Arrays.hashCode(r);
	}
	public static void main(String[] args) throws Exception {
		Scanner in = new Scanner(System.in);
		System.out.println("ready");
		while (in.hasNext()) {
			String name = in.next();
			long k = in.nextLong();
			System.out.println(name.equals("objects") ? objects(k) : name.equals("texts") ? texts(k) : threads(k));
		}
	}
}
"""

    @staticmethod
    def missing():
        return None if shutil.which("javac") and shutil.which("java") else "no JDK is installed"

    def command(self, rng):
        folder = RUN_FOLDER  # compiled once
        if not os.path.exists(os.path.join(folder, "Storms.class")):
            with open(os.path.join(folder, "Storms.java"), "w", encoding="utf-8") as file:
                file.write(self.source)
            subprocess.run(["javac", "-d", folder, os.path.join(folder, "Storms.java")], check=True)
        return ["java", "-Xmx128m", "-cp", folder, "Storms"]


class Perl(Guest):
    name = "perl"
    storms = ("hashes", "texts", "forks")
    script = r"""
$| = 1; print "ready\n";
while (<STDIN>) {
	my ($name, $k) = split;
	my $h = 0;
	if ($name eq "hashes") { my %m; $m{$_ * $k % 4099} .= "x$_" for 1 .. 20000; $h += length $m{$_} * $_ for keys %m; }
	elsif ($name eq "texts") { my $s = join ",", map { $_ * $k } 1 .. 20000; $s =~ s/(\d)(\d)/$2$1/g; $h = unpack "%32C*", $s; }
	else { for (1 .. 3) { my $p = fork; if (!$p) { my @a = map { "x" x ($_ % 99) } 1 .. 3000; exit @a % 100 + $k; } waitpid $p, 0; $h += $? >> 8; } }
	print "$h\n";
}
"""

    def command(self, rng):
        return ["/usr/bin/perl", "-e", self.script]


class Ruby(Guest):
    name = "ruby"
    storms = ("hashes", "texts", "fibers", "threads")
    script = r"""
require "digest"
$stdout.sync = true
storms = {
  "hashes" => ->(k) { h = Hash.new { |m, x| m[x] = [] }; 20000.times { |i| h[i * k % 977] << i.to_s }; h.sort.to_s },
  "texts" => ->(k) { (1..20000).map { |i| (i * k).to_s.reverse }.join(",").gsub(/(\d)(\d)/, '\2\1') },
  "fibers" => ->(k) { (1..200).map { |i| Fiber.new { Fiber.yield("x" * (i * k % 500)); i * k } }.map { |f| [f.resume, f.resume] }.to_s },
  "threads" => ->(k) { (1..6).map { |i| Thread.new { (1..3000).map { |j| "y" * (i * j * k % 99) }.join } }.map(&:value).join },
}
puts "ready"
while line = $stdin.gets
  name, k = line.split
  puts Digest::MD5.hexdigest(storms[name].call(k.to_i))
end
"""

    @staticmethod
    def missing():
        return None if shutil.which("ruby") else "ruby is not installed"

    def command(self, rng):
        return ["ruby", "-e", self.script]


class Server(Guest):
    """A guest that is spoken to by a socket. It may close some of its connections late."""
    connects = True

    def __init__(self, folder, rng):
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.process = subprocess.Popen(self.command(rng), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd=folder)
        self.pid, self.socket = self.process.pid, None
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                self.connect()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Silent(f"{self.name} does not listen") from None
                time.sleep(0.01)

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S)

    def close(self):
        if self.socket:
            self.socket.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            return "it does not end"
        return None if status in (0, -signal.SIGTERM) else f"it ended with {status}"


class Redis(Server):
    name = "redis-server"

    @staticmethod
    def missing():
        return None if shutil.which("redis-server") else "redis-server is not installed"

    def command(self, rng):
        return ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", self.folder,
                "--io-threads", str(rng.choice((1, 1, 3)))]

    def questions(self, rng):
        return [str(rng.randrange(1, 40)) for _ in range(rng.randrange(3, 12))]

    def ask(self, question):
        k, commands = int(question), ["FLUSHALL"]
        for i in range(400):
            key, text = f"k{i * k % 97}", "x" * (i * k % 700)
            commands += [f"APPEND {key} {text}y", f"STRLEN {key}", f"LPUSH l{i % 7} {text}z", f"ZADD z {i * k % 31} m{i % 50}"]
            if i % 9 == 0:
                commands += [f"DEL {key}", f"LRANGE l{i % 7} 0 3", "ZRANGE z 0 -1"]
        commands.append("ECHO over-and-out")
        try:
            self.socket.sendall("".join(command + "\r\n" for command in commands).encode())
            answer = b""
            while not answer.endswith(b"over-and-out\r\n"):
                more = self.socket.recv(1 << 20)
                if not more:
                    raise Silent("it closed the connection")
                answer += more
        except OSError as error:
            raise Silent(str(error)) from None
        return hashlib.md5(answer).hexdigest()


class Nginx(Server):
    name = "nginx"

    @staticmethod
    def missing():
        return None if shutil.which("nginx") else "nginx is not installed"

    def command(self, rng):
        for i in range(4):
            with open(os.path.join(self.folder, f"{i}.txt"), "w", encoding="utf-8") as file:
                file.write("".join(f"{i * j} " for j in range(20000)))
        with open(os.path.join(self.folder, "conf"), "w", encoding="utf-8") as file:
            file.write(f"daemon off; master_process off; pid {self.folder}/pid; error_log /dev/null;\n"
                       "events { worker_connections 64; }\n"
                       f"http {{ access_log off; gzip on; gzip_types *; gzip_min_length 10; client_body_temp_path {self.folder}/b;\n"
                       f"proxy_temp_path {self.folder}/p; fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u;\n"
                       f"scgi_temp_path {self.folder}/s; server {{ listen 127.0.0.1:{self.port}; root {self.folder}; }} }}\n")
        return ["nginx", "-p", self.folder, "-c", os.path.join(self.folder, "conf")]

    def questions(self, rng):
        return [f"{rng.randrange(4)} {rng.randrange(2)}" for _ in range(rng.randrange(10, 60))]

    def ask(self, question):
        number, packed = question.split()
        try:
            http_ = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
            http_.request("GET", f"/{number}.txt", headers={"Accept-Encoding": "gzip"} if packed == "1" else {})
            answer = http_.getresponse()
            body = answer.read()
            http_.close()
        except (OSError, http.client.HTTPException) as error:
            raise Silent(repr(error)) from None
        return f"{answer.status} {hashlib.md5(body).hexdigest()}"


class Postgres(Guest):
    """One session's backend; the server is started once for the whole run."""
    name = "postgres"
    tools = max((path for path in (f"/usr/lib/postgresql/{n}/bin" for n in range(10, 30)) if os.path.isdir(path)), default=None)
    started = None  # the folder of the server

    @classmethod
    def missing(cls):
        if not cls.tools or not os.path.exists(f"{cls.tools}/initdb"):
            return "postgresql is not installed"
        return "only root can run postgres as its user" if os.geteuid() or not shutil.which("runuser") else None

    @classmethod
    def start(cls, folder):
        cls.started = os.path.join(folder, "postgres")
        os.mkdir(cls.started)
        os.chmod(folder, 0o755)
        shutil.chown(cls.started, "postgres")
        user = ["runuser", "-u", "postgres", "--"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": cls.started}
        subprocess.run(user + [f"{cls.tools}/initdb", "-D", f"{cls.started}/data", "-A", "trust", "--no-sync"], check=True, **quiet)
        subprocess.run(user + [f"{cls.tools}/pg_ctl", "-D", f"{cls.started}/data", "-w", "-t", str(ANSWER_S), "-o",
                               f"-k {cls.started} -c listen_addresses= -c fsync=off", "start"], check=True, **quiet)

    @classmethod
    def stop(cls):
        if cls.started:
            subprocess.run(["runuser", "-u", "postgres", "--", f"{cls.tools}/pg_ctl", "-D", f"{cls.started}/data", "-m", "immediate",
                            "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cls.started, check=False)

    def __init__(self, folder, rng):
        if not Postgres.started:
            Postgres.start(RUN_FOLDER)
        self.folder, self.buffer = folder, b""
        self.process = subprocess.Popen(["runuser", "-u", "postgres", "--", "psql", "-h", Postgres.started, "-X", "-q", "-A", "-t"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
        self.pid = int(self.ask("select pg_backend_pid()"))

    def questions(self, rng):
        k = rng.randrange(1, 50)
        return [rng.choice((
            f"select md5(string_agg(x::text, ',')) from (select i * {k} x from generate_series(1, 20000) i order by md5(i::text)) y",
            f"select count(*), sum(n) from (select i % {k * 100} g, count(*) n from generate_series(1, 50000) i group by 1) x",
            f"select 1 / 0 from generate_series(1, {k}) union select 1; select {k}",  # an error leaves by longjmp
            f"select length(repeat('x', {k} * 10000)) + {k}")) for _ in range(rng.randrange(3, 10))]

    def ask(self, question):
        return super().ask(question + ";")


class Tokio(Server):
    """A server of Debian's tokio: tasks that wait for each other, on two threads."""
    name = "tokio"
    registry = "/usr/share/cargo/registry"
    source = r"""
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
async fn part(i: u64, k: u64) -> u64 {
    let mut all: Vec<String> = Vec::new();
    for j in 0..500u64 {
        all.push("z".repeat((i * j * k % 300) as usize));
        if j % 50 == 0 { tokio::task::yield_now().await; }
    }
    all.iter().map(|s| s.len() as u64).fold(0, |a, n| a.wrapping_mul(31).wrapping_add(n))
}
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap();
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let k: u64 = line.trim().parse().unwrap_or(1);
                let tasks: Vec<_> = (1..20u64).map(|i| tokio::spawn(part(i, k))).collect();
                let mut sum = 0u64;
                for task in tasks { sum = sum.wrapping_mul(7).wrapping_add(task.await.unwrap()); }
                if write.write_all(format!("{}\n", sum).as_bytes()).await.is_err() { break; }
            }
        });
    }
}
"""

    @classmethod
    def missing(cls):
        there = os.path.exists("/usr/bin/cargo") and any(name.startswith("tokio-1") for name in
                                                         (os.listdir(cls.registry) if os.path.isdir(cls.registry) else ()))
        return None if there else "cargo or librust-tokio-dev is not installed"

    def command(self, rng):
        folder = os.path.join(RUN_FOLDER, "tokio-server")  # built once
        if not os.path.exists(folder):
            os.makedirs(f"{folder}/src")
            os.makedirs(f"{folder}/.cargo")
            for name, text in (("src/main.rs", self.source), (".cargo/config.toml", "[source.crates-io]\nreplace-with = 'debian'\n"
                                                              f"[source.debian]\ndirectory = '{self.registry}'\n"),
                               ("Cargo.toml", "[package]\nname = 'server'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\n"
                                "tokio = { version = '1', features = ['rt-multi-thread', 'net', 'io-util', 'macros'] }\n")):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            subprocess.run(["/usr/bin/cargo", "build", "-q", "--release", "--offline"], check=True, cwd=folder,
                           env=os.environ | {"RUSTC": "/usr/bin/rustc", "CARGO_HOME": f"{folder}/home"})
        return [f"{folder}/target/release/server", str(self.port)]

    def questions(self, rng):
        return [str(rng.randrange(1, 40)) for _ in range(rng.randrange(3, 12))]

    def ask(self, question):
        try:
            self.socket.sendall(question.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = self.socket.recv(4096)
                if not more:
                    raise Silent("it closed the connection")
                answer += more
        except OSError as error:
            raise Silent(str(error)) from None
        return answer.decode().strip()


class MariaDB(Guest):
    """One client of a server that is started once for the whole run, and profiled as a whole."""
    name, steady = "mariadb", False
    started = None  # the server

    @staticmethod
    def missing():
        tools = ("mariadbd", "mariadb-install-db", "mariadb")
        return next((f"{tool} is not installed" for tool in tools if not shutil.which(tool)), None)

    @classmethod
    def start(cls, folder):
        place = os.path.join(folder, "mariadb")
        os.mkdir(place)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        subprocess.run(["mariadb-install-db", "--user=root", f"--datadir={place}/data", "--auth-root-authentication-method=normal",
                        "--skip-test-db"], check=True, **quiet)
        cls.started = subprocess.Popen(["mariadbd", "--no-defaults", "--user=root", f"--datadir={place}/data", "--skip-networking",
                                        f"--socket={place}/socket", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0",
                                        f"--pid-file={place}/pid"], **quiet)
        deadline = time.monotonic() + ANSWER_S
        while not os.path.exists(f"{place}/socket"):
            if cls.started.poll() is not None or time.monotonic() > deadline:
                raise Silent("mariadbd does not listen")
            time.sleep(0.05)

    @classmethod
    def stop(cls):
        if cls.started:
            cls.started.kill()
            cls.started.wait()

    def __init__(self, folder, rng):
        if not MariaDB.started or MariaDB.started.poll() is not None:
            MariaDB.start(RUN_FOLDER)
        self.folder, self.buffer, self.pid = folder, b"", MariaDB.started.pid
        self.process = subprocess.Popen(["mariadb", "--no-defaults", f"--socket={RUN_FOLDER}/mariadb/socket", "-N", "-B", "-n", "-f"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ask("create database if not exists test; use test; set session group_concat_max_len = 1000000; select 1")

    def questions(self, rng):
        k = rng.randrange(1, 50)
        return [rng.choice((
            f"select md5(group_concat(x order by x)) from (select seq * {k} % 977 x from seq_1_to_20000) t",
            f"select count(*), sum(n) from (select seq % {k * 10} g, count(*) n from seq_1_to_50000 group by 1) t",
            f"select json_length(json_array({k}, repeat('x', {k} * 1000))), md5(repeat('y', {k} * 9999))",
            f"select length(uncompress(compress(repeat('ab', {k} * 5000))))")) for _ in range(rng.randrange(3, 10))]

    def ask(self, question):
        if MariaDB.started.poll() is not None:
            raise Silent(f"the server ended with {MariaDB.started.returncode}")
        return super().ask(question + ";")


class Chromium(Guest):
    """The page's process of a browser without a window, spoken to by its debugging protocol."""
    name, steady = "chromium", False
    storms = ("objects", "texts", "nodes")
    page = """
storms = {
  objects: k => JSON.stringify(Array.from({length: 5000}, (_, i) => ({["a" + i * k]: [i, i % k]}))),
  texts: k => Array.from({length: 5000}, (_, i) => String(i * k).replace(/(\\d)(\\d)/g, "$2$1")).join(),
  nodes: k => { const d = document.createElement("div"); for (let i = 0; i < 500; i++) { const p = document.createElement("p");
    p.textContent = "x".repeat(i * k % 90); d.append(p); } return d.innerHTML; },
};
hash = text => { let h = 0; for (const c of text) h = (h * 31 + c.codePointAt(0)) | 0; return h; };
"""

    @staticmethod
    def missing():
        return None if shutil.which("chromium") else "chromium is not installed"

    def command(self, rng):
        return ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                f"--user-data-dir={self.folder}/profile", "--no-first-run", "about:blank"]

    def __init__(self, folder, rng):
        self.folder, self.buffer, self.number = folder, b"", 0
        theirs, self.to = os.pipe()
        self.back, theirs_too = os.pipe()
        # The shell puts them where the protocol is spoken.
        self.process = subprocess.Popen(["sh", "-c", f'exec "$@" 3<&{theirs} 4>&{theirs_too}', "sh", *self.command(rng)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
                                        pass_fds=(theirs, theirs_too))
        os.close(theirs)
        os.close(theirs_too)
        target = next(t["targetId"] for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.evaluate(self.page)
        self.pid = self.renderer()

    def renderer(self):
        found = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.is_renderer(pid)]
        if not found:
            raise Silent("there is no process of the page")
        return max(found)

    def is_renderer(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read()
            return b"--type=renderer" in words and f"{self.folder}/profile".encode() in words
        except OSError:
            return False

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S
        while True:
            while b"\0" not in self.buffer:
                if not select.select([self.back], [], [], max(0, deadline - time.monotonic()))[0]:
                    raise Silent(f"no answer within {ANSWER_S} s")
                more = os.read(self.back, 1 << 20)
                if not more:
                    raise Silent("it ended")
                self.buffer += more
            text, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("method") in ("Inspector.targetCrashed", "Target.targetCrashed"):
                raise Silent("the page's process ended")
            if answer.get("id") == self.number:
                return answer.get("result", {})

    def evaluate(self, text):
        return self.call("Runtime.evaluate", self.session, expression=text, returnByValue=True).get("result", {}).get("value")

    def ask(self, question):
        name, k = question.split()
        return str(self.evaluate(f"hash(storms.{name}({k}))"))

    def close(self):
        self.call("Browser.close")
        for fd in (self.to, self.back):
            os.close(fd)
        try:
            status = self.process.wait(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            return "it does not end"
        return f"it ended with {status}" if status else None


class Compiler:
    """gcc as a COMMAND: what it writes is the answer. It is started by the profiler itself."""
    name = "gcc"

    @staticmethod
    def missing():
        return None if shutil.which("gcc") else "gcc is not installed"

    @staticmethod
    def source(folder, k):
        path = os.path.join(folder, "c.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(f"int f{i}(int x) {{ return x * {i * k} + f{i - 1}(x - 1); }}\n" if i else
                               "int f0(int x) { return x; }\n" for i in range(200)))
        return ["gcc", "-O2", "-c", "-o", "c.o", "c.c"]


class Encoder:
    """ffmpeg in the same way."""
    name = "ffmpeg"

    @staticmethod
    def missing():
        return None if shutil.which("ffmpeg") else "ffmpeg is not installed"

    @staticmethod
    def source(_folder, k):
        return ["ffmpeg", "-nostdin", "-v", "quiet", "-y", "-f", "lavfi", "-i", f"testsrc=duration={k}:size=160x120:rate=25", "-c:v", "mpeg4",
                "-threads", "2", "-flags", "+bitexact", "-fflags", "+bitexact", "-f", "avi", "c.o"]


COMMANDS = (Compiler, Encoder)
LINE_GUESTS = (Storms, Python, Node, Java, Perl, Ruby, Redis, Nginx, Postgres, MariaDB, Tokio, Chromium)
SOURCES = re.compile(r"^(/[^\s]+)")
