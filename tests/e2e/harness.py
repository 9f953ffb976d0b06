# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: start a target, attach to it, read the profile with somebody else's reader,
and see that the target is still as it was.

The profile is decoded by `protoc --decode`, never by our own reader."""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
ATTACH = os.path.join(BUILD, "cprof-attach")
CPROF = os.path.join(BUILD, "cprof")
# ppoll: what a window waits in. One that looks on its way to the window whether its target lives calls poll.
POLLS = {"x86_64": ("271",), "aarch64": ("73",)}[os.uname().machine]
ALL_POLLS = {"x86_64": ("7", "271"), "aarch64": ("73",)}[os.uname().machine]  # poll, ppoll
FUTEX = {"x86_64": "202", "aarch64": "98"}[os.uname().machine]
READ = {"x86_64": ("0",), "aarch64": ("63",)}[os.uname().machine]
RT_SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137"}[os.uname().machine]


EXIT_SKIPPED = 77  # everything was; what CMake's SKIP_RETURN_CODE says in tests/CMakeLists.txt


def target_path(name):
    return os.path.join(BUILD, "targets", name)


def built_with(*options):
    """Is one of these CMake options on in the build that is tested?"""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return bool(re.search(rf"^({'|'.join(options)}):\w+=(?!OFF$).", file.read(), re.M))


def need(command, reason=None):
    """Skip, saying why, where a program that the test compares with is missing."""
    path = shutil.which(command)
    if not path:
        raise unittest.SkipTest(reason or f"{command} is not installed")
    return path


LIBRARIES = f"/usr/lib/{os.uname().machine}-linux-gnu"


NOBODY = 65534


def as_nobody(caps):
    """The command before another's that lets it run as another user with these capabilities and no more."""
    more = [f"--{kind}-caps=" + ",".join("+" + cap for cap in caps) for kind in ("inh", "ambient")] if caps else []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *more, "env", "HOME=/nonexistent"]


def need_another_user():
    """Root, who can run the build as another user."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("becomes another user")
    need("setpriv")
    if run([*as_nobody([]), ATTACH, "-version"]).returncode != 0:
        raise unittest.SkipTest("the build is where no other user comes")


def need_namespaces(*flags):
    """Namespaces that unshare(1) can make here, with these options."""
    need("unshare", "util-linux is not installed")
    trial = run(["unshare", *flags, "true"])
    if trial.returncode:
        raise unittest.SkipTest(f"unshare {' '.join(flags)}: {trial.stderr.strip()}")


def need_library(name):
    """Where a library lies that a test puts before its target's own."""
    path = os.path.join(LIBRARIES, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def go_pprof():
    """Debian's go tool pprof as an argument list; another Go's prints other header lines."""
    for go in ("/usr/lib/go-1.19/bin/go",):
        if os.path.exists(go):
            return [go, "tool", "pprof"]
    raise unittest.SkipTest("Debian's golang-go (1.19) is not installed")


class Process(subprocess.Popen):
    """Popen whose communicate() has what comes after the lines that readline() has returned. Popen's own reads from the descriptor,
    past the lines that were fetched together with the first one."""

    rest = None

    def communicate(self, input=None, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        left = lambda: None if deadline is None else max(0.01, deadline - time.monotonic())
        if self.stdin and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(input or "")
                self.stdin.close()
        if self.rest is None:
            self.rest = {}
            for name in ("stdout", "stderr"):
                if getattr(self, name):
                    self.rest[name] = concurrent.futures.Future()
                    threading.Thread(target=self.read, args=(name,), daemon=True).start()
        try:
            out = {name: future.result(left()) for name, future in self.rest.items()}
        except concurrent.futures.TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout) from None
        self.wait(left())
        return out.get("stdout"), out.get("stderr")

    def read(self, name):
        with getattr(self, name) as stream:
            self.rest[name].set_result(stream.read())


def await_line(stream, words):
    """The lines up to the one that has these words in it."""
    said = []
    while not said or words not in said[-1]:
        line = stream.readline()
        if not line:
            raise AssertionError(f"{words!r} was not said, but: {said}")
        said.append(line.rstrip("\n"))
    return said


class Target:
    """A running victim program: lines up to `ready` are in .said; .close() ends it and checks its exit."""

    def __init__(self, argv, env=None, wait_for="ready", **popen):
        self.argv = argv if isinstance(argv, list) else [argv]
        if not os.path.isabs(self.argv[0]) and os.path.exists(target_path(self.argv[0])):
            self.argv[0] = target_path(self.argv[0])
        self.process = Process(self.argv, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=env, **popen)
        self.pid = self.process.pid
        self.said = []
        if wait_for:
            self.said = await_line(self.process.stdout, wait_for)
        match = re.search(r"^pid (\d+)$", "\n".join(self.said), re.M)
        if match and not popen.get("preexec_fn"):
            self.pid = int(match.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close(check=exc[0] is None)

    def alive(self):
        return self.process.poll() is None

    def state(self):
        """R, S, D, T, t, Z of the leader, as in proc(5)."""
        with open(f"/proc/{self.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def close(self, sig=signal.SIGTERM, check=True, status=0, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f"{self.argv[0]} did not end on signal {sig}")
        if check and self.process.returncode != status:
            raise AssertionError(f"{self.argv[0]} ended with {self.process.returncode}, want {status}")
        return out


class Footprint:
    """What an attach must leave as it found it: descriptors, mappings, tracer, stop state, signal masks."""

    def __init__(self, pid):
        self.pid = pid
        self.fds = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)
        with open(f"/proc/{pid}/maps") as file:
            # [uprobes] is the kernel's own page, which stays in a process that had a uprobe.
            self.maps = [line for line in file.read().splitlines() if "[heap]" not in line and "[stack" not in line
                         and "[uprobes" not in line and "x" in line.split()[1]]
        with open(f"/proc/{pid}/status") as file:
            status = file.read()
        self.tracer = re.search(r"TracerPid:\s+(\d+)", status).group(1)
        self.masks = re.findall(r"^Sig(?:Ign|Cgt):.*$", status, re.M)
        # While a thread is in sigwait the kernel shows the signals that it waits for as not blocked.
        with open(f"/proc/{pid}/syscall") as file:
            in_sigwait = file.read().split()[0] == RT_SIGTIMEDWAIT
        self.blocked = None if in_sigwait else re.search(r"^SigBlk:.*$", status, re.M).group(0)

    def check_unchanged(self, test):
        now = Footprint(self.pid)
        test.assertEqual(now.fds, self.fds, "file descriptors of the target changed")
        test.assertEqual(now.maps, self.maps, "executable mappings of the target changed")
        test.assertEqual(now.tracer, "0", "somebody still traces the target")
        test.assertEqual(now.masks, self.masks, "signal dispositions of the target changed")
        if now.blocked and self.blocked:
            test.assertEqual(now.blocked, self.blocked, "the signal mask of the target changed")
        with open(f"/proc/{self.pid}/stat") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        test.assertNotIn(state, "tT", "the target is stopped")


def run(argv, timeout=120, **more):
    """Run to the end; .stdout and .stderr as text (bytes with text=False)."""
    more.setdefault("text", True)
    return subprocess.run(argv, capture_output=True, timeout=timeout, **more)


def attach(*args, timeout=120, **more):
    """cprof-attach with these arguments."""
    return run([ATTACH, *map(str, args)], timeout=timeout, **more)


def cpu_ticks(pid):
    """CPU time of a process so far, threads that have ended included: 100 ticks are a second."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until(good, what, timeout=60, pause=0.01):
    """Until `good()`. `what` says in a sentence what is waited for."""
    deadline = time.monotonic() + timeout
    while not good():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s it is still not so that {what}")
        time.sleep(pause)


def let_it_work(pid, ticks, timeout=60):
    """Until the process has used so many more ticks of CPU time."""
    before = cpu_ticks(pid)
    wait_until(lambda: cpu_ticks(pid) >= before + ticks, f"process {pid} was let run", timeout)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def in_system_calls(pid):
    """The number of the system call that each thread waits in, "running" where it is in none."""
    calls = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/syscall") as file:
            calls.append(file.read().split()[0])
    return calls


def in_system_call(pid, numbers):
    """Does the process's first thread wait in one of these calls?"""
    try:
        with open(f"/proc/{pid}/syscall") as file:
            return file.read().split()[0] in numbers
    except OSError:
        return False


def wait_for_window(process, timeout=60):
    """Until cprof-attach waits in its window, whose events are in place then; or has ended."""
    wait_until(lambda: process.poll() is not None or in_system_call(process.pid, POLLS), "cprof-attach is attached", timeout, 0.001)


def attach_while_it_works(pid, ticks, *args, seconds=0, tool=(ATTACH,), timeout=60, **popen):
    """cprof-attach for `seconds`, and on until the process has used `ticks` of CPU time, however long that takes on a busy
    machine; .worked is what it used in the window."""
    process = Process([*tool, "-p", str(pid), "-seconds", "0", *map(str, args)], stderr=subprocess.PIPE, text=True, **popen)
    said = [process.stderr.readline()]
    while "profiling" not in said[-1] and process.poll() is None:
        said.append(process.stderr.readline())
    wait_for_window(process, timeout)
    before, start, worked = cpu_ticks(pid), time.monotonic(), 0
    while process.poll() is None and (worked < ticks or time.monotonic() < start + seconds):
        if time.monotonic() > start + timeout:
            break
        time.sleep(0.01)
        worked = cpu_ticks(pid) - before
    process.send_signal(signal.SIGINT)
    out, more = process.communicate(timeout=timeout)
    done = subprocess.CompletedProcess(process.args, process.returncode, out, "".join(said) + more)
    done.worked = worked
    return done


# ---- profiles, decoded by protoc ----

_TOKEN = re.compile(r'\s*(?:([a-z_]+)\s*(\{|:\s*("(?:[^"\\]|\\.)*"|[^\s{}]+))|(\}))')


def _unescape(text):
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _parse_text_format(text):
    root, stack, at = {}, [], 0
    current = root
    while True:
        match = _TOKEN.match(text, at)
        if not match:
            break
        at = match.end()
        if match.group(4):
            current = stack.pop()
        elif match.group(2) == "{":
            child = {}
            current.setdefault(match.group(1), []).append(child)
            stack.append(current)
            current = child
        else:
            value = match.group(3)
            if value.startswith('"'):
                value = _unescape(value[1:-1])
            elif value in ("true", "false"):
                value = value == "true"
            else:
                value = int(value)
            current.setdefault(match.group(1), []).append(value)
    if text[at:].strip():
        raise AssertionError(f"protoc's output was not understood at {text[at:at + 60]!r}")
    return root


class Profile:
    """A pprof file as plain Python: sample_types, samples [(stack, values, labels)], comments, ..."""

    def __init__(self, data):
        need("protoc", "protobuf-compiler is not installed")
        raw = zlib.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data
        result = subprocess.run(["protoc", f"--proto_path={ROOT}/convert/profile", "--decode=perftools.profiles.Profile",
                                 "profile.proto"], input=raw, capture_output=True)
        if result.returncode:
            raise AssertionError(f"protoc --decode: {result.stderr.decode()}")
        top = _parse_text_format(result.stdout.decode("latin-1"))
        self.raw = top
        self.strings = top.get("string_table", [])
        string = lambda node, key: self.strings[node.get(key, [0])[0]]
        number = lambda node, key: node.get(key, [0])[0]
        self.sample_types = [(string(t, "type"), string(t, "unit")) for t in top.get("sample_type", [])]
        self.period_type = [(string(t, "type"), string(t, "unit")) for t in top.get("period_type", [])]
        self.period = number(top, "period")
        self.time_nanos = number(top, "time_nanos")
        self.duration_nanos = number(top, "duration_nanos")
        self.default_sample_type = string(top, "default_sample_type")
        self.comments = [self.strings[i] for i in top.get("comment", [])]
        self.functions = {number(f, "id"): {"name": string(f, "name"), "system_name": string(f, "system_name"),
                                            "file": string(f, "filename"), "start_line": number(f, "start_line")}
                          for f in top.get("function", [])}
        self.mappings = [{"id": number(m, "id"), "start": number(m, "memory_start"),
                          "limit": number(m, "memory_limit"), "offset": number(m, "file_offset"),
                          "file": string(m, "filename"), "build_id": string(m, "build_id"),
                          "has_functions": m.get("has_functions", [False])[0],
                          "has_inline_frames": m.get("has_inline_frames", [False])[0]}
                         for m in top.get("mapping", [])]
        self.locations = {}
        for loc in top.get("location", []):
            lines = [dict(self.functions[number(line, "function_id")], line=number(line, "line"))
                     for line in loc.get("line", [])]
            self.locations[number(loc, "id")] = {"address": number(loc, "address"), "lines": lines,
                                                 "mapping": number(loc, "mapping_id")}
        self.samples = []
        for sample in top.get("sample", []):
            labels = {}
            for label in sample.get("label", []):
                key = string(label, "key")
                labels[key] = string(label, "str") if "str" in label else number(label, "num")
            self.samples.append((self.stack(sample.get("location_id", [])), sample.get("value", []), labels))

    def stack(self, ids):
        """Function names, leaf first, inlined functions included."""
        names = []
        for location_id in ids:
            lines = self.locations[location_id]["lines"]
            names.extend([line["name"] for line in lines] or [hex(self.locations[location_id]["address"])])
        return names

    def total(self, index=0):
        return sum(values[index] for _, values, _ in self.samples)

    def share(self, predicate, index=0):
        """The part (0..1) of value `index` that is in samples for which predicate(stack, labels) holds."""
        total = self.total(index)
        return sum(v[index] for s, v, labels in self.samples if predicate(s, labels)) / total if total else 0.0

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return Profile(file.read())


def hold_port(test):
    """A port of this machine's on which nobody listens, held until the test has ended: the kernel gives it to nobody who asks for
    any. A server that asks for this one with SO_REUSEADDR, as they all do, may listen on it."""
    held = socket.socket()
    test.addCleanup(held.close)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held.getsockname()[1]


class HangFS:
    """hangfs.py, mounted in a folder of the test's own; skips where there can be none."""

    def __init__(self, test, where, *program_and_user):
        self.where = where
        os.mkdir(where)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hangfs.py")
        self.server = subprocess.Popen([sys.executable, script, where, *program_and_user], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.end)
        if self.server.stdout.readline().strip() != "ready":
            said = self.server.communicate()[1].strip()
            if self.server.returncode == EXIT_SKIPPED:
                raise unittest.SkipTest(said)
            raise AssertionError(f"hangfs.py ended with {self.server.returncode}: {said}")

    def end(self):
        """Whoever waits for a file of it gets an error; only then can a process that hangs in it be ended."""
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.server.stderr.close()
        subprocess.run(["umount", "-l", self.where], stderr=subprocess.DEVNULL)


class TempDir(unittest.TestCase):
    """A test case with a folder of its own in self.dir."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cprof-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)


class _Lines(unittest.TestResult):
    """PASS, FAIL or SKIP and the test's name, a line each, which is what test.sh counts. A test with parts (subTest) has a
    line for each part that fails or is skipped, with the part's parameters, or one PASS."""

    def __init__(self, file):
        super().__init__()
        self.file, self.said = file, set()

    def _say(self, word, test, more=""):
        self.said.add(word)
        print(f"{word} {test.id().replace('__main__', self.file, 1)}{more}", flush=True)

    def _fail(self, test, err):
        print(self._exc_info_to_string(err, getattr(test, "test_case", test)), file=sys.stderr, flush=True)
        self._say("FAIL", test)

    def addSuccess(self, test):
        self._say("PASS", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("SKIP", test, f": {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(subtest, err)


def main():
    """Run the calling file's tests: test_x.py [PART_OF_A_NAME...]; exit status 0 if none failed."""
    wanted = [word for word in sys.argv[1:] if word != "-k"]  # test_x.py -k NAME, as unittest has it, will do too

    def tests(item):
        if isinstance(item, unittest.TestSuite):
            for child in item:
                yield from tests(child)
        elif not wanted or any(word in item.id() for word in wanted):
            yield item

    module = sys.modules["__main__"]
    result = _Lines(os.path.splitext(os.path.basename(module.__file__))[0])
    # A suite and not each test by itself: a class's setUpClass is run by its suite.
    unittest.TestSuite(tests(unittest.defaultTestLoader.loadTestsFromModule(module))).run(result)
    for child in children(os.getpid()):  # what a test that failed has left would hold our output open for ever
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    if not result.said:
        sys.exit(f"{module.__file__}: no test was run" + (f": none has {' or '.join(wanted)} in its name" if wanted else ""))
    if "FAIL" in result.said:
        sys.exit(1)
    sys.exit(0 if "PASS" in result.said else EXIT_SKIPPED)
