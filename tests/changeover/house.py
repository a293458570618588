"""A service between clients under load and two servers, one of which takes over from the other.

Behind each door stand sinks; which of them is behind it can change at any time, so a server can go
wrong in the middle without going away."""
import collections
import datetime
import socket
import subprocess
import threading
import time

from rig import Load, Service, Sink, program


class Door:
    """A port that leads to whatever stands behind it at the moment."""

    def __init__(self, behind, address="127.0.0.1"):
        self.behind = behind  # a port; None: refuses; "silence": takes connections and says nothing
        self.address = address
        self.pairs = set()
        self.lock = threading.Lock()
        self.server = socket.create_server((address, 0), backlog=200)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, behind):
        """From now on; connections that are open break."""
        self.behind = behind
        if behind is None:
            self.server.close()
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for s in pairs:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def open_again(self, behind):
        """After it led nowhere."""
        self.behind = behind
        self.server = socket.create_server((self.address, self.port), backlog=200)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        server = self.server
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            if self.behind == "silence":
                with self.lock:
                    self.pairs.add(peer)
                continue
            try:
                other = socket.create_connection(("127.0.0.1", self.behind), timeout=10)
            except (OSError, TypeError):
                peer.close()
                continue
            other.settimeout(None)
            with self.lock:
                self.pairs |= {peer, other}
            for a, b in ((peer, other), (other, peer)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.lock:
            self.pairs -= {a, b}


class Stamped(list):
    """Remembers when each was added."""

    def __init__(self):
        super().__init__()
        self.at = {}

    def append(self, item):
        self.at[item] = time.time()
        super().append(item)


class House:
    """`old` and `new` are the doors of the two relays of these names; `sinks` all that was behind them."""

    def __init__(self, place, *options, retry="1s 2s 4s"):
        self.place = place
        self.sinks = []
        self.loads = []
        self.service = Service(place, "--retry-schedule", retry, *options).start()
        self.api = self.service.api
        self.old = Door(self.sink().port)
        self.new = Door(self.sink().port, "127.0.0.2")  # limits of a login count by user and host
        self.service.add_relay("old", self.old.port)

    def sink(self, *options):
        self.sinks.append(Sink(self.place, *options, name="sink%d" % len(self.sinks)))
        return self.sinks[-1]

    def relay(self, name="new", **more):
        """The relay that mail moves to."""
        options = dict(host=self.new.address, port=self.new.port)
        options.update(more)
        self.service.add_relay(name, **options)

    def load(self, clients=3, pause=0.01, **more):
        load = Load(self.service.port, clients=clients, pause=pause, **more)
        load.accepted = Stamped()
        self.loads.append(load)
        return load

    # ---- commands

    def run(self, *words, timeout=180):
        return subprocess.run([program(), *words, "--data", self.service.data], capture_output=True, text=True,
                              timeout=timeout)

    def start(self, *more, to="new", schedule="fast"):
        r = self.run("changeover", "start", "--to", to, "--schedule", schedule, "--yes", *more)
        return r

    def status(self, which="last"):
        return self.api.get("/changeovers/" + str(which))

    def events(self, which="last"):
        return [e["text"] for e in self.api.get("/changeovers/%s/events" % which)["data"]]

    def wait_state(self, *states, patience=60, step=None, through=()):
        """The changeover, as soon as it is in one of these states (and at this step or behind it)."""
        end = time.monotonic() + patience
        while True:
            c = self.status()
            if c["state"] in states and (step is None or c["step"] >= step):
                return c
            over = {"confirmed", "reverted", "refused", "held"} - set(states) - set(through)
            assert c["state"] not in over and time.monotonic() < end, (states, c, self.events())
            time.sleep(0.02)

    # ---- what must hold whatever happens

    def copies(self):
        return collections.Counter(line[2] for sink in self.sinks for line in sink.lines())

    def accepted(self):
        return [r for load in self.loads for r in load.accepted]

    def wait_all_settled(self, patience=90):
        return self.service.wait_idle(patience)

    def check_accounting(self, doubled=0, longest=10.0):
        """Nothing lost, nothing bounced, nothing twice but for `doubled` that were in doubt, and nobody
        waited longer than `longest` seconds."""
        totals = self.wait_all_settled()
        copies = self.copies()
        accepted = self.accepted()
        lost = [r for r in accepted if copies[r] == 0]
        twice = [r for r in accepted if copies[r] > 1]
        assert not lost or len(lost) <= totals["in_doubt"] + totals["unknown"], (len(lost), lost[:5], totals)
        assert len(twice) <= doubled, (len(twice), twice[:5], totals)
        assert totals["bounced"] == totals["failed"] == totals["expired"] == 0, totals
        waits = sorted(self.waits())
        assert waits[-1] <= longest, (waits[-5:], len(waits))
        return totals

    def waits(self):
        """Seconds from acceptance to the arrival at a sink, of each recipient."""
        accepted = {}
        for load in self.loads:
            accepted.update(load.accepted.at)
        for sink in self.sinks:
            for line in sink.lines():
                if line[2] in accepted:
                    yield stamp(line[0]) - accepted[line[2]]

    def close(self):
        if self.service.is_up():
            self.service.stop()


def stamp(text):
    """Seconds since the epoch of an RFC 3339 time in UTC."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
