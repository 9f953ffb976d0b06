# SPDX-License-Identifier: Apache-2.0
"""Files, links, pipes and devices that another user made: nothing of ours is written through them, read through them or
waits for them. Each test ends with a target that still works.

The other user is 65534 ("eve"). The kernel's own protections of sticky directories are switched both ways where a test is
about links and pipes there."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import unittest

import harness
from harness import ATTACH, CPROF, Profile, Target, TempDir, attach, run

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
        Profile.read(path)

    @contextlib.contextmanager
    def window(self, target, *args, **more):
        """cprof-attach in its window; ended by an interrupt, and .stderr is the whole of what it said."""
        process = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0", *map(str, args)], text=True,
                                  stderr=subprocess.PIPE, **more)
        said = process.stderr.readline()
        harness.wait_for_window(process)
        yield process
        if process.poll() is None:
            harness.let_it_work(target.pid, 2)
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
                        done = attach("-p", target.pid, "-seconds", "0.05", "-f", "-o", name)
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
            done = attach("-p", target.pid, "-seconds", "0.05", cwd=self.eve)
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
            done = attach("-p", target.pid, "-seconds", "0.05", "-o", self.hers("x.pb.gz"))
            self.assertEqual(done.returncode, 0, done.stderr)
        names = re.findall(rb"[\w.-]{4,}", os.read(watch, 1 << 16))
        self.assertTrue(all(name == b"x.pb.gz" or re.fullmatch(rb"\.cprof-[0-9a-f]{16}\.tmp", name) for name in names), names)
        self.check_is_ours(self.hers("x.pb.gz"))

    def test_what_the_caller_names_is_written_to(self):
        with Target("hot") as target:
            line = f'"{ATTACH}" -q -p {target.pid} -seconds 0.05 -o'
            for form in ("/dev/stdout > out", "/dev/stderr 2> out", "/dev/fd/7 7> out", "/proc/self/fd/7 7> out",
                         ">(cat > part; mv part out)", "/dev/null", "own > out"):
                with self.subTest(form):
                    done = run(["bash", "-c", f"ln -sf /dev/stdout own; {line} {form}"], cwd=self.dir)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if form != "/dev/null":
                        deadline = time.monotonic() + 60  # the shell does not wait for what reads the pipe
                        while not os.path.exists(self.path("out")) and time.monotonic() < deadline:
                            time.sleep(0.01)
                        Profile.read(self.path("out"))
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self.path("out"))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_a_pipe_that_nobody_empties_holds_up_nobody_after_an_interrupt(self):
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("kept"))
        with Target("hot") as target:
            reader = os.open(self.path("pipe"), os.O_RDWR | os.O_NONBLOCK)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(reader, bytes(4096))
            # Long enough for its window to be seen on a busy machine.
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "1", "-o", self.path("pipe")], text=True,
                                   stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=self.path("kept")))
            said = tool.stderr.readline()
            harness.wait_for_window(tool)
            # The window is over when its events are closed; what it waits for then is the pipe.
            deadline = time.monotonic() + 60
            while self.has_events(tool.pid) or not harness.in_system_call(tool.pid, harness.ALL_POLLS):
                self.assertLess(time.monotonic(), deadline, said)
                time.sleep(0.01)
            tool.send_signal(signal.SIGINT)
            _, said = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 1, said)
            self.check_is_ours(re.search(r"is kept in (\S+)", said).group(1))
            os.close(reader)


class Reading(Hostile):
    """What a process or a file of eve's names."""

    def program(self, name, source=None):
        """A copy of the target `hot` of eve's, with a debug link to NAME.debug."""
        path = self.hers(name)
        shutil.copy(source or harness.target_path("hot"), path)
        with open(self.path("x.debug"), "w") as file:
            file.write("anything")
        shutil.copy(self.path("x.debug"), path + ".debug")
        harness.need("objcopy", "binutils is not installed")
        done = run(["objcopy", "-S", "--remove-section=.note.gnu.build-id", f"--add-gnu-debuglink={path}.debug", path])
        self.assertEqual(done.returncode, 0, done.stderr)
        os.unlink(path + ".debug")
        os.chown(path, EVE, EVE)
        os.chmod(path, 0o755)
        return path

    def eves(self, argv, **more):
        more.setdefault("preexec_fn", None)
        return Target(["setpriv", f"--reuid={EVE}", f"--regid={EVE}", "--clear-groups", *argv], **more)

    def opens(self, argv):
        """The files that a program tried to open to read or write, as strace saw it."""
        harness.need("strace")
        log = self.path("strace")
        done = run(["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log, *argv], stdin=subprocess.DEVNULL)
        with open(log) as file:
            return done, [line for line in file if "O_PATH" not in line]

    def test_devices_and_pipes_that_a_target_names_are_never_opened(self):
        program = self.program("prog")
        os.mkfifo(self.path("watchdog"), 0o600)  # whoever opens it to read waits for ever
        with self.eves([program]) as target:
            for link in (self.path("watchdog"), "/dev/null", "/dev/kmsg", "/proc/kmsg", "/sys/kernel/notes", "/dev/fd/0"):
                with self.subTest(link):
                    as_eve(["ln", "-sf", link, program + ".debug"])
                    done, opens = self.opens([ATTACH, "-q", "-p", str(target.pid), "-seconds", "0.05", "-f",
                                              "-o", self.path("x.pb.gz")])
                    self.assertEqual(done.returncode, 0, done.stderr)
                    touched = [line for line in opens if "prog.debug" in line or link in line]
                    self.assertEqual(touched, [])
            as_eve(["ln", "-sf", self.path("watchdog"), program + ".debug"])
            done = attach("-why", "-p", target.pid)
            self.assertIn("is no regular file", done.stdout)

    def test_a_mapped_device_is_not_opened(self):
        with Target(["jit_spin", "/dev/zero"]) as target:
            done, opens = self.opens([ATTACH, "-q", "-p", str(target.pid), "-seconds", "0.05", "-o", self.path("x.pb.gz")])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse([line for line in opens if "map_files" in line or "/dev/zero" in line], "the device itself was opened")

    def map_of(self, target, name):
        (code,) = [line for line in target.said if line.startswith("code ")]
        return f"{code.removeprefix('code ')} {name}\n"

    def names(self, target, *args, **more):
        out = self.path("x.pb.gz")
        done = harness.attach_while_it_works(target.pid, 3, "-hz", "500", "-f", "-o", out, *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {line["name"] for where in Profile.read(out).locations.values() for line in where["lines"]}, done.stderr

    def test_the_map_of_names_is_taken_from_the_process_s_user_and_root_only(self):
        cases = (("its user's", EVE, EVE, 0o644, True), ("its user's and group's", EVE, EVE, 0o664, True),
                 ("root's", 0, 0, 0o644, True), ("root's alone", 0, 0, 0o600, False),
                 ("another user's", EVE - 1, EVE - 1, 0o644, False), ("for all to write", EVE, EVE, 0o666, False),
                 ("of another group", EVE, EVE - 1, 0o664, False))
        with self.eves([harness.target_path("jit_spin")]) as target:
            path = f"/tmp/perf-{target.pid}.map"
            self.addCleanup(lambda: os.path.lexists(path) and os.unlink(path))
            for what, uid, gid, mode, taken in cases:
                with self.subTest(what):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                    with open(path, "w") as file:
                        file.write(self.map_of(target, "named_by_a_map"))
                    os.chmod(path, mode)
                    os.chown(path, uid, gid)
                    names, said = self.names(target)
                    self.assertEqual("named_by_a_map" in names, taken, said)
                    self.assertEqual("can have written" in said, not taken, said)
            secret = self.path("secret.map")
            with open(secret, "w") as file:
                file.write(self.map_of(target, "secret_of_root"))
            for what, make in (("a link", os.symlink), ("another name", os.link)):
                with self.subTest(what):
                    os.unlink(path)
                    try:
                        make(secret, path)
                    except OSError:  # another file system
                        shutil.copy(secret, path)
                        os.link(path, path + ".2")
                        self.addCleanup(os.unlink, path + ".2")
                    names, said = self.names(target)
                    self.assertNotIn("secret_of_root", names)
            os.unlink(path)
            os.mkfifo(path)
            names, said = self.names(target)
            self.assertIn("can have written", said)

    def test_no_link_in_a_target_s_root_leads_out_of_it(self):
        """A root of eve's, whose /tmp is a link to a directory of root's out here."""
        secret, root = self.path("secret"), self.hers("root")
        os.mkdir(secret, 0o700)
        for name in ("proc", "bin"):
            os.makedirs(os.path.join(root, name))
        shutil.copy(harness.target_path("jit_spin"), os.path.join(root, "bin"))
        os.symlink(secret, os.path.join(root, "tmp"))
        run(["chown", "-R", "--no-dereference", f"{EVE}:{EVE}", root])
        script = f"exec chroot {root} /bin/jit_spin"
        try:
            target = Target(["setpriv", f"--reuid={EVE}", f"--regid={EVE}", "--clear-groups", "unshare", "-Urm", "sh", "-c",
                             script])
        except AssertionError:
            self.skipTest("user namespaces are not allowed here")
        with target:
            with open(os.path.join(secret, f"perf-{target.pid}.map"), "w") as file:
                file.write(self.map_of(target, "secret_of_root"))
            for mode in (0o600, 0o644):
                os.chmod(file.name, mode)
                names, _ = self.names(target)
                self.assertNotIn("secret_of_root", names)

    def test_a_jitdump_of_somebody_else_is_not_believed(self):
        dump = self.path("jit-1.dump")
        with open(dump, "wb") as file:
            file.write(bytes(8192))
        os.chmod(dump, 0o644)
        for uid, mode, taken in ((0, 0o644, True), (EVE, 0o644, False), (0, 0o666, False)):
            with self.subTest(uid=uid, mode=mode), Target(["jit_spin", dump]) as target:
                os.chown(dump, uid, uid)
                os.chmod(dump, mode)
                _, said = self.names(target)
                self.assertEqual("may have been written by another user" in said, not taken, said)

    def test_pipes_in_a_target_s_root_hold_up_nobody(self):
        """Its lists of packages, which are read for advice."""
        root = self.hers("root")
        for name in ("etc", "usr/lib", "bin", "tmp", "var/lib/dpkg/info"):
            os.makedirs(os.path.join(root, name))
        os.mkfifo(os.path.join(root, "etc/os-release"))
        os.mkfifo(os.path.join(root, "var/lib/dpkg/info/x.list"))
        with open(os.path.join(root, "usr/lib/os-release"), "w") as file:
            file.write("ID=debian\n")
        shutil.copy(harness.target_path("hot_static"), os.path.join(root, "bin"))
        run(["strip", os.path.join(root, "bin/hot_static")])
        with Target(["chroot", root, "/bin/hot_static"]) as target:
            done = attach("-p", target.pid, "-seconds", "0.05", "-o", self.path("x.pb.gz"), timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = attach("-why", "-p", target.pid, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)


NAMED = r"""
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
static volatile uint64_t sink;
static volatile sig_atomic_t stop;
static void end(int number) { (void)number; stop = 1; }
__attribute__((noinline)) void true_words(void) { for (uint64_t i = 0; i < 100000; i++) sink += i * i; }
int main(void)
{
	signal(SIGTERM, end);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (!stop)
		true_words();
	return 0;
}
"""


class Caches(Hostile):
    """Names that are kept, and whose word is taken for them."""

    def setUp(self):
        super().setUp()
        self.env = dict(os.environ, XDG_CACHE_HOME=self.path("cache"))
        harness.need("gcc")
        harness.need("readelf", "binutils is not installed")
        done = run(["gcc", "-g", "-O1", "-Wl,--build-id=sha1", "-xc", "-", "-o", self.path("program")], input=NAMED)
        self.assertEqual(done.returncode, 0, done.stderr)

    def names(self, target, *args, env=None):
        out = self.path("x.pb.gz")
        done = harness.attach_while_it_works(target.pid, 3, "-hz", "500", "-f", "-o", out, *args, env=env or self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {line["name"] for where in Profile.read(out).locations.values() for line in where["lines"]}

    def kept(self, folder="cache/cprof"):
        """The file that is kept of the program: it is called by its build-id."""
        done = run(["readelf", "-n", self.path("program")])
        name = re.search(r"Build ID: (\w+)", done.stdout).group(1) + ".names"
        return [name] if os.path.exists(os.path.join(self.path(folder), name)) else []

    def forge(self, path, by=EVE):
        """The same program with the same build-id, size and time, whose names are other ones."""
        with open(self.path("program"), "rb") as file:
            text = file.read()
        with open(path, "wb") as file:
            file.write(text.replace(b"true_words", b"fake_words"))
        before = os.stat(self.path("program"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.chmod(path, 0o755)
        os.chown(path, by, by)

    def test_a_copy_with_other_names_under_the_same_build_id_gets_its_own(self):
        self.forge(self.hers("copy"))
        with Target([self.path("program")]) as honest, Target([self.hers("copy")]) as forged:
            for _ in range(2):  # whoever comes first
                self.assertIn("fake_words", self.names(forged))
                names = self.names(honest)
                self.assertIn("true_words", names)
                self.assertNotIn("fake_words", names)
        self.assertTrue(self.kept())

    def test_a_copy_whose_debug_file_says_other_names_gets_its_own(self):
        harness.need("objcopy", "binutils is not installed")
        self.forge(self.hers("forged"))
        for whole, program in ((self.path("program"), self.path("bare")), (self.hers("forged"), self.hers("bare"))):
            for argv in (["objcopy", "--only-keep-debug", whole, program + ".debug"], ["objcopy", "-S", whole, program],
                         ["objcopy", f"--add-gnu-debuglink={program}.debug", program]):
                done = run(argv)
                self.assertEqual(done.returncode, 0, done.stderr)
        # Her program is a copy of ours to the last byte; only what lies beside it differs.
        shutil.copy(self.path("bare"), self.hers("bare"))
        with Target([self.path("bare")]) as honest, Target([self.hers("bare")]) as forged:
            for _ in range(2):
                self.names(forged)
                names = self.names(honest)
                self.assertIn("true_words", names)
                self.assertNotIn("fake_words", names)

    def test_a_cache_in_which_others_can_write_is_neither_read_nor_written_nor_trimmed(self):
        with Target([self.path("program")]) as target:
            self.names(target)
            (name,) = self.kept()
            with open(self.path("cache/cprof/" + name), "rb") as file:
                good = file.read()
            def spoil():
                with open(self.path("cache/cprof/" + name), "wb") as file:
                    file.write(b"old")
            def check(what, path="cache/cprof"):
                spoil()
                self.assertIn("true_words", self.names(target), what)
                with open(self.path("cache/cprof/" + name), "rb") as file:
                    self.assertEqual(file.read(), b"old", what)
            folder = self.path("cache/cprof")
            os.chmod(folder, 0o770)
            check("written by a group")
            os.chmod(folder, 0o700)
            os.chown(folder, EVE, EVE)
            check("somebody else's")
            os.chown(folder, 0, 0)
            os.chown(self.path("cache"), EVE, EVE)
            check("in somebody else's")
            os.chown(self.path("cache"), 0, 0)
            self.env["XDG_CACHE_HOME"] = self.eve
            as_eve(["ln", "-s", folder, self.hers("cprof")])
            check("behind a link of somebody else")
            self.env["XDG_CACHE_HOME"] = self.path("cache2")
            os.mkdir(self.path("cache2"))
            os.symlink(folder, self.path("cache2/cprof"))
            check("a link")
            self.env["XDG_CACHE_HOME"] = self.path("cache")
            self.names(target)
            with open(self.path("cache/cprof/" + name), "rb") as file:
                self.assertEqual(file.read()[:8], good[:8])  # and now it is ours again

    def test_root_puts_nothing_into_the_home_of_who_called_it(self):
        """As sudo runs it, with HOME and without XDG_CACHE_HOME."""
        os.mkdir(self.path("root"))
        script = f"mount --bind {self.path('root')} /root && exec \"$@\""
        env = {name: text for name, text in os.environ.items() if name != "XDG_CACHE_HOME"}
        env.update(HOME=self.eve, SUDO_UID=str(EVE))
        if run(["unshare", "-m", "sh", "-c", f"mount --bind {self.path('root')} /root"]).returncode:
            self.skipTest("mounting is not allowed here")
        with Target([self.path("program")]) as target:
            done = harness.attach_while_it_works(target.pid, 3, "-hz", "500", "-v", "-o", self.path("x.pb.gz"), env=env,
                                                 tool=("unshare", "-m", "sh", "-c", script, "sh", ATTACH))
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("names are kept in /root/.cache/cprof\n", done.stderr)
        self.assertEqual(os.listdir(self.eve), [])
        self.assertTrue(self.kept("root/.cache/cprof"))

    def test_a_home_that_does_not_exist_is_not_made(self):
        """As of service accounts (/nonexistent), and of a cache that is to lie in it."""
        with Target([self.path("program")]) as target:
            for more in ({"HOME": self.path("none"), "XDG_CACHE_HOME": ""}, {"HOME": self.path("none/deeper"), "XDG_CACHE_HOME": ""},
                         {"HOME": "/root", "XDG_CACHE_HOME": self.path("none/.cache")}):
                done = run([ATTACH, "-p", str(target.pid), "-seconds", "0.05", "-f", "-o", self.path("x.pb.gz")],
                           env={**os.environ, **more})
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertFalse(os.path.exists(self.path("none")), more)

    def test_profiles_that_were_fetched_and_other_files_survive_the_trimming(self):
        with Target([self.path("program")]) as target:
            self.names(target)
            folder = self.path("cache/cprof/")
            for name in ("pprof.x.cpu.001.pb.gz", "notes.txt", "old.names", "older.names", "link.names"):
                if name == "link.names":
                    os.symlink(self.precious, folder + name)
                    continue
                with open(folder + name, "w") as file:
                    file.truncate(300 << 20)
                os.chmod(folder + name, 0o600)
                os.utime(folder + name, (1000, 1000))
            os.unlink(folder + self.kept()[0])
            self.names(target)
            left = os.listdir(folder)
            for name in ("pprof.x.cpu.001.pb.gz", "notes.txt", "link.names", "key"):
                self.assertIn(name, left)
            self.assertFalse({"old.names", "older.names"} <= set(left), left)
        self.check_precious()


class Viewing(Hostile):
    """cprof, with a profile from elsewhere that names files of ours."""

    def profile(self, mapping, source, name="work"):
        """One sample in function NAME of SOURCE, line 1, and MAPPING."""
        harness.need("protoc")
        quote = lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        strings = ["", "cpu", "nanoseconds", mapping, name, source]
        text = ("sample_type { type: 1 unit: 2 } sample { location_id: 1 value: 1000 }\n"
                f"mapping {{ id: 1 memory_start: 0x400000 memory_limit: 0x500000 filename: 3 has_functions: {'true' if source else 'false'} }}\n"
                "location { id: 1 mapping_id: 1 address: 0x401000" + (" line { function_id: 1 line: 1 }" if source else "") + " }\n"
                + ("function { id: 1 name: 4 system_name: 4 filename: 5 }\n" if source else "")
                + "".join(f"string_table: {quote(string)}\n" for string in strings))
        done = run(["protoc", f"--proto_path={harness.ROOT}/convert/profile", "--encode=perftools.profiles.Profile",
                    "profile.proto"], input=text.encode(), text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = self.path("from_elsewhere.pb")
        with open(path, "wb") as file:
            file.write(done.stdout)
        return path

    def cprof(self, *args, **more):
        more.setdefault("cwd", self.here)
        return run([CPROF, *args], timeout=60, stdin=subprocess.DEVNULL, **more)

    def setUp(self):
        super().setUp()
        self.here = self.path("here")
        os.mkdir(self.here)
        os.mkdir(os.path.join(self.here, "src"))
        with open(os.path.join(self.here, "src/a.c"), "w") as file:
            file.write("int public_line;\n")

    def test_pipes_and_devices_that_a_profile_names_are_not_waited_for(self):
        pipe = os.path.join(self.here, "pipe")
        os.mkfifo(pipe)
        for args, mapping, source in ((["-top"], pipe, ""), (["-list=work"], "/bin/true", pipe), (["-list=work"], "/bin/true", "pipe"),
                                      (["-list=work"], "/bin/true", "/dev/zero"), (["-weblist=work"], "/bin/true", pipe),
                                      (["-disasm=work"], pipe, "a.c"), (["-symbolize=local", "-top"], pipe, ""),
                                      (["-source_path=/", "-list=work"], "/bin/true", "/dev/tty")):
            with self.subTest(args=args, source=source):
                self.cprof(*args, self.profile(mapping, source))  # ends, whatever it finds
        done = self.cprof("-source_path=/", "-list=work", self.profile("/bin/true", pipe))
        self.assertIn("no regular file", done.stdout + done.stderr)

    def test_sources_are_read_below_the_given_directories_only(self):
        secret, inside = self.path("secret.c"), os.path.join(self.here, "src/a.c")
        with open(secret, "w") as file:
            file.write("int secret_line;\n")
        os.symlink(secret, os.path.join(self.here, "src/link.c"))
        os.symlink(self.dir, os.path.join(self.here, "src/way"))
        os.symlink("src", os.path.join(self.here, "own"))
        for source, args, line in ((inside, [], "public"), ("src/a.c", [], "public"), ("own/a.c", [], "public"),
                                   ("here/src/a.c", [], "public"), (inside, ["-source_path=/nonexistent"], None),
                                   (inside, [f"-source_path=/nonexistent:{self.here}"], "public"),
                                   (secret, [], None), ("secret.c", [], None), ("../secret.c", [], None),
                                   ("src/link.c", [], None), ("src/way/secret.c", [], None),
                                   (f"{self.here}/../secret.c", [], None), ("/proc/self/cwd/../secret.c", [], None),
                                   (secret, ["-source_path=/"], "secret"), (secret, [f"-source_path={self.dir}"], "secret"),
                                   ("src/link.c", ["-source_path=/:."], "secret")):
            for report in ("-list=work", "-weblist=work"):
                with self.subTest(source=source, args=args, report=report):
                    done = self.cprof(*args, report, "-output", self.path("out"), self.profile("/nonexistent", source))
                    with open(self.path("out")) as file:
                        text = file.read()
                    os.unlink(self.path("out"))
                    self.assertEqual([word for word in ("public", "secret") if f"{word}_line" in text], [line] if line else [],
                                     done.stderr)
                    if not line and source == secret:
                        self.assertIn("-source_path=/", text)

    def test_reports_are_written_as_safely_as_profiles(self):
        profile = self.profile("/nonexistent", "src/a.c")
        as_eve(["ln", "-s", self.precious, self.hers("link")])
        as_eve(["mkfifo", self.hers("pipe")])
        for name in ("link", "pipe", "new"):
            for args in (["-top"], ["-proto"]):
                done = self.cprof(*args, "-output", self.hers(name), profile)
                self.assertEqual(done.returncode, 0, done.stderr)
                found = os.lstat(self.hers(name))
                self.assertTrue(stat.S_ISREG(found.st_mode))
                self.assertEqual((found.st_uid, stat.S_IMODE(found.st_mode)), (0, 0o600))
        self.check_precious()
        # Names of our own: the first that is free, and none is gone through.
        for number in (1, 2):
            as_eve(["ln", "-s", self.path(f"made{number}"), self.hers(f"cprof00{number}.html")])
        browser = self.path("browser")
        with open(browser, "w") as file:
            file.write("#!/bin/sh\n:\n")
        os.chmod(browser, 0o755)
        done = self.cprof("-weblist=work", profile, env=dict(os.environ, TMPDIR=self.eve, BROWSER=browser))
        self.assertFalse(os.path.exists(self.path("made1")) or os.path.exists(self.path("made2")), done.stderr)
        done = self.cprof(f"-symbolize={profile}")
        named = profile.removesuffix(".pb") + ".pb.named.pb.gz"
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(named), os.listdir(self.dir))
        done = self.cprof(f"-symbolize={profile}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("exists already", done.stderr)

    def test_pipes_that_the_user_names_stay_possible(self):
        profile = self.profile("/nonexistent", "src/a.c")
        done = run(["bash", "-c", f'"{CPROF}" -top <(cat {profile}) <(cat {profile}) > >(cat)'], cwd=self.here)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("work", done.stdout)
        self.assertIn("2000ns", done.stdout.replace(" ", "").replace("2us", "2000ns"))
        done = run(["bash", "-c", f'"{CPROF}" -top -output >(cat >&2) {profile}; sleep 0.1'], cwd=self.here)
        self.assertIn("work", done.stderr)


if __name__ == "__main__":
    harness.main()
