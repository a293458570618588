"""Children: started with their output in a file, waited for by what they say, ended by their id."""
import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .api import Api, ApiError, NoService

_running = set()


@atexit.register
def end_children():
    """Kills what was started here and still runs."""
    for child in list(_running):
        child.kill()


def program():
    """The program under test: $POSTHOUSE_PROGRAM, else build/posthouse."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("POSTHOUSE_PROGRAM") or os.path.join(here, "../../build/posthouse")
    return os.path.abspath(path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port, patience=20):
    """Waits until somebody answers there."""
    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise TimeoutError("nobody listens on port %d" % port)
            time.sleep(0.02)


class scratch:
    """A directory that goes when all went well, and stays, with its path printed, when not."""

    def __init__(self, name):
        self.path = tempfile.mkdtemp(prefix="posthouse-%s-" % name)
        os.chmod(self.path, 0o755)

    def __enter__(self):
        return self.path

    def __exit__(self, kind, value, trace):
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print("kept for a look: %s" % self.path, flush=True)


class Child:
    """One process; its output is appended to `log`."""

    def __init__(self, args, log, env=None, cwd=None):
        self.log = log
        with open(log, "ab") as out:
            self.from_byte = out.tell()
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=dict(os.environ, **(env or {})), cwd=cwd)
        _running.add(self)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        """All it has said since it was started."""
        with open(self.log, "rb") as f:
            f.seek(self.from_byte)
            return f.read().decode("utf-8", "replace")

    def is_up(self):
        return self.process.poll() is None

    def wait_for(self, pattern, patience=30):
        """The match of `pattern` in its output, as soon as it is there."""
        end = time.monotonic() + patience
        while True:
            match = re.search(pattern, self.said())
            if match:
                return match
            if not self.is_up():
                raise RuntimeError("ended with %s: %s" % (self.process.returncode, self.said()[-2000:]))
            if time.monotonic() > end:
                raise TimeoutError("no %r in: %s" % (pattern, self.said()[-2000:]))
            time.sleep(0.01)

    def kill(self):
        """SIGKILL; returns when it is gone."""
        if self.is_up():
            self.process.kill()
        self.process.wait()
        _running.discard(self)

    def stop(self, patience=60):
        """SIGTERM; its exit status."""
        if self.is_up():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            said = self.said()[-2000:]
            self.kill()
            raise TimeoutError("did not end within %d s of SIGTERM: %s" % (patience, said))
        _running.discard(self)
        return status

    def rss_bytes(self):
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Sink(Child):
    """`posthouse sink`; `options` as on its command line."""

    def __init__(self, directory, *options, name="sink", port=None, keep=False, address="127.0.0.1"):
        self.port = port or free_port()
        self.count_file = os.path.join(directory, name + ".count")
        self.keep_dir = os.path.join(directory, name + ".kept") if keep else None
        args = [program(), "sink", "--listen", "%s:%d" % (address, self.port),
                "--count", self.count_file, *options]
        if keep:
            os.makedirs(self.keep_dir, exist_ok=True)
            args += ["--keep", self.keep_dir]
        super().__init__(args, os.path.join(directory, name + ".log"))
        listens(self.port)

    def lines(self):
        """What was accepted: (time, sender, recipient, Message-ID, size), whole lines only."""
        try:
            with open(self.count_file, encoding="utf-8") as f:
                text = f.read()
        except FileNotFoundError:
            return []
        whole = text[:text.rfind("\n") + 1]
        return [tuple(line.split("\t")) for line in whole.splitlines()]

    def wait_count(self, n, patience=30):
        end = time.monotonic() + patience
        while len(self.lines()) < n:
            if time.monotonic() > end:
                raise TimeoutError("%d of %d arrived at the sink" % (len(self.lines()), n))
            time.sleep(0.02)
        return self.lines()

    def kept(self):
        """Whole messages, as bytes."""
        names = [n for n in os.listdir(self.keep_dir) if n.endswith(".eml")]
        return [open(os.path.join(self.keep_dir, n), "rb").read() for n in sorted(names)]


class Service:
    """`posthouse serve` on a data directory; can be started again and again."""

    def __init__(self, directory, *options, data=None, smtps=False, env=None):
        self.directory = directory
        self.data = data or os.path.join(directory, "data")
        self.port = free_port()
        self.smtps_port = free_port() if smtps else None
        self.options = list(options)
        self.env = env
        self.log = os.path.join(directory, "serve.log")
        self.child = None
        self.api = Api(os.path.join(self.data, "control.sock"))

    def spawn(self):
        """Starts it and does not wait."""
        smtps = "127.0.0.1:%d" % self.smtps_port if self.smtps_port else "none"
        self.child = Child([program(), "serve", "--data", self.data, "--smtp",
                            "127.0.0.1:%d" % self.port, "--smtps", smtps, "--http", "none",
                            *self.options], self.log, self.env)
        return self

    def ready(self, patience=60):
        self.child.wait_for(r"serve\.ready", patience)
        return self

    def start(self, patience=60):
        return self.spawn().ready(patience)

    def stop(self, patience=60):
        status = self.child.stop(patience)
        if status != 0:
            raise RuntimeError("posthouse ended with %s: %s" % (status, self.child.said()[-2000:]))

    def kill(self):
        if self.child:
            self.child.kill()

    def is_up(self):
        return self.child is not None and self.child.is_up()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # ---- settings, through the admin API

    def add_relay(self, name, port, host="127.0.0.1", tls="none", **more):
        self.api.post("/relays", dict(name=name, host=host, port=port, tls=tls, **more))

    def totals(self):
        return self.api.get("/status")["totals"]

    def wait_idle(self, patience=60):
        """Until nothing is queued or in flight; held, captured and in doubt aside."""
        end = time.monotonic() + patience
        while True:
            try:
                t = self.totals()
                if t["queued"] - t["held"] == 0:
                    return t
            except (NoService, ApiError):
                if not self.is_up():
                    raise
            if time.monotonic() > end:
                raise TimeoutError("still not idle after %d s: %s" % (patience, self.totals()))
            time.sleep(0.1)
