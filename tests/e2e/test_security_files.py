"""Files, links, pipes and devices that another user made: nothing of ours is written through them, read through them or
waits for them. Each test ends with a target that still works.

The other user is 65534 ("eve"). The kernel's own protections of sticky directories are switched both ways where a test is
about links and pipes there."""

import contextlib
import ctypes
import os
import re
import signal
import stat
import subprocess
import time
import unittest

import harness
from harness import ATTACH, Profile, Target, TempDir, attach, run

EVE = 65534
PROTECTED = ("symlinks", "hardlinks", "fifos", "regular")


def as_eve(argv, **more):
    done = run(["setpriv", f"--reuid={EVE}", f"--regid={EVE}", "--clear-groups", *argv], **more)
    if done.returncode:
        raise AssertionError(f"{argv}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def protections(value):
    """fs.protected_* all off (0) or on (1), and back."""
    before = {}
    try:
        for name in PROTECTED:
            path = f"/proc/sys/fs/protected_{name}"
            try:
                with open(path) as file:
                    before[path] = file.read()
                with open(path, "w") as file:
                    file.write(str(value))
            except OSError as error:
                raise unittest.SkipTest(f"{path} cannot be changed here: {error.strerror}") from None
        yield
    finally:
        for path, text in before.items():
            with contextlib.suppress(OSError), open(path, "w") as file:
                file.write(text)


class Hostile(TempDir):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("acting as two users needs root")
        harness.need("setpriv", "util-linux's setpriv is not installed")
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.eve = self.path("eve")
        os.mkdir(self.eve)
        os.chown(self.eve, EVE, EVE)
        self.precious = self.path("precious")
        with open(self.precious, "w") as file:
            file.write("precious")
        os.chmod(self.precious, 0o600)

    def hers(self, name):
        return os.path.join(self.eve, name)

    def check_precious(self):
        with open(self.precious) as file:
            self.assertEqual(file.read(), "precious")
        self.assertEqual(stat.S_IMODE(os.stat(self.precious).st_mode), 0o600)

    def check_is_ours(self, path):
        found = os.lstat(path)
        self.assertTrue(stat.S_ISREG(found.st_mode), path)
        self.assertEqual((found.st_uid, stat.S_IMODE(found.st_mode)), (0, 0o600))
        self.assertGreater(Profile.read(path).total(), 0)

    @contextlib.contextmanager
    def window(self, target, *args, **more):
        """cprof-attach in its window; ended by an interrupt, and .stderr is the whole of what it said."""
        process = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0", *map(str, args)], text=True,
                                  stderr=subprocess.PIPE, **more)
        said = process.stderr.readline()
        harness.wait_for_window(process)
        yield process
        if process.poll() is None:
            harness.let_it_work(target.pid, 10)
            process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        process.said = said + rest


class Writing(Hostile):
    def has_events(self, pid):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if "perf_event" in os.readlink(f"/proc/{pid}/fd/{name}"):
                    return True
        return False

    def test_a_pipe_or_link_that_another_user_made_is_never_written_through(self):
        for value in (0, 1):
            sticky = self.path(f"sticky{value}")
            os.mkdir(sticky)
            os.chmod(sticky, 0o1777)
            with protections(value), Target("hot") as target:
                for folder in (self.eve, sticky):
                    pipe, link, dangling, hard = (os.path.join(folder, f"{name}{value}") for name in
                                                  ("pipe", "link", "dangling", "hard"))
                    as_eve(["mkfifo", "-m", "666", pipe])
                    as_eve(["ln", "-s", self.precious, link])
                    as_eve(["ln", "-s", self.path("created"), dangling])
                    for name in (pipe, link, dangling):
                        done = attach("-p", target.pid, "-seconds", "60", "-o", name, timeout=40)  # refused before sampling
                        self.assertEqual(done.returncode, 1, done.stderr)
                        self.assertIn("exists already", done.stderr)
                        done = attach("-p", target.pid, "-seconds", "0.3", "-f", "-o", name)
                        self.assertEqual(done.returncode, 0, done.stderr)
                        self.check_is_ours(name)
            self.check_precious()
            self.assertFalse(os.path.exists(self.path("created")))

    def test_a_directory_behind_a_link_of_another_user_is_refused(self):
        as_eve(["ln", "-s", self.dir, self.hers("way")])
        with Target("hot") as target:
            done = attach("-p", target.pid, "-seconds", "60", "-f", "-o", self.hers("way/precious"), timeout=40)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("could have made", done.stderr)
        self.check_precious()

    def test_what_is_put_in_place_while_we_sample_changes_nothing(self):
        for swap in (["ln", "-sf", self.precious], ["mkfifo"]):
            with self.subTest(swap), Target("hot") as target:
                out = self.hers("x.pb.gz")
                with self.window(target, "-o", out, env=dict(os.environ, TMPDIR=self.path("kept"))) as tool:
                    os.makedirs(self.path("kept"), exist_ok=True)
                    as_eve([*swap, out])
                self.assertEqual(tool.returncode, 1, tool.said)
                self.check_is_ours(re.search(r"is kept in (\S+)", tool.said).group(1))
                os.unlink(out)
                with self.window(target, "-f", "-o", out) as tool:
                    as_eve([*swap, out])
                self.assertEqual(tool.returncode, 0, tool.said)
                self.check_is_ours(out)
                os.unlink(out)
                self.check_precious()

    def test_our_own_names_are_taken_beforehand(self):
        with Target("hot") as target:
            now = int(time.time())
            for second in range(now, now + 60):
                when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
                name = self.hers(f"cprof.hot.{target.pid}.cpu.{when}.pb.gz")
                os.mkfifo(name) if second % 2 else os.symlink(self.precious, name)
                os.chown(name, EVE, EVE, follow_symlinks=False)
            done = attach("-p", target.pid, "-seconds", "0.3", cwd=self.eve)
            self.assertEqual(done.returncode, 0, done.stderr)
        made = [name for name in os.listdir(self.eve) if name.endswith(".pb.gz.2")]
        self.assertEqual(len(made), 1)
        self.check_is_ours(self.hers(made[0]))
        self.check_precious()

    def test_nobody_sees_a_file_before_it_is_whole(self):
        """Everything that appears in the directory is watched: only the finished file does, and it is never eve's."""
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.addCleanup(os.close, watch)
        libc.inotify_add_watch(watch, self.eve.encode(), 0x100 | 0x80)  # IN_CREATE, IN_MOVED_TO
        with Target("hot") as target:
            done = attach("-p", target.pid, "-seconds", "0.3", "-o", self.hers("x.pb.gz"))
            self.assertEqual(done.returncode, 0, done.stderr)
        names = re.findall(rb"[\w.-]{4,}", os.read(watch, 1 << 16))
        self.assertTrue(all(name == b"x.pb.gz" or re.fullmatch(rb"\.cprof-[0-9a-f]{16}\.tmp", name) for name in names), names)
        self.check_is_ours(self.hers("x.pb.gz"))

    def test_what_the_caller_names_is_written_to(self):
        with Target("hot") as target:
            line = f'"{ATTACH}" -q -p {target.pid} -seconds 0.3 -o'
            for form in ("/dev/stdout > out", "/dev/stderr 2> out", "/dev/fd/7 7> out", "/proc/self/fd/7 7> out",
                         ">(cat > part; mv part out)", "/dev/null", "own > out"):
                with self.subTest(form):
                    done = run(["bash", "-c", f"ln -sf /dev/stdout own; {line} {form}"], cwd=self.dir)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if form != "/dev/null":
                        deadline = time.monotonic() + 60  # the shell does not wait for what reads the pipe
                        while not os.path.exists(self.path("out")) and time.monotonic() < deadline:
                            time.sleep(0.01)
                        self.assertGreater(Profile.read(self.path("out")).total(), 0)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self.path("out"))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_a_pipe_of_ours_is_waited_for_only_so_long_and_an_interrupt_ends_that(self):
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("kept"))
        with Target("hot") as target:
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0.3", "-o", self.path("pipe")], text=True,
                                   stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=self.path("kept")))
            _, said = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 1, said)
            self.assertIn("nobody reads the pipe", said)
            self.check_is_ours(re.search(r"is kept in (\S+)", said).group(1))
            # A reader that takes nothing: the pipe is full, and the first interrupt is enough.
            reader = os.open(self.path("pipe"), os.O_RDWR | os.O_NONBLOCK)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(reader, bytes(4096))
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0.3", "-o", self.path("pipe")], text=True,
                                   stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=self.path("kept")))
            said = tool.stderr.readline()
            harness.wait_for_window(tool)
            # The window is over when its events are closed; what it waits for then is the pipe.
            deadline = time.monotonic() + 60
            while self.has_events(tool.pid) or not harness.in_system_call(tool.pid, harness.POLLS):
                self.assertLess(time.monotonic(), deadline, said)
                time.sleep(0.01)
            tool.send_signal(signal.SIGINT)
            _, said = tool.communicate(timeout=60)
            self.assertIn("is kept in", said)
            os.close(reader)


if __name__ == "__main__":
    harness.main()
