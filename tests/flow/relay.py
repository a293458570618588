"""A relay whose every word the test decides: it waits where it is told to."""
import socket
import threading


class Relay:
    """Takes mail on loopback. `before` maps a stage ("greeting", "354", "dot") to an event that must be
    set before the relay goes on there; `reached` says which stages it has come to."""

    def __init__(self, **before):
        self.before = before
        self.reached = {}
        self.taken = []  # (sender, recipients, content), in the order of the dots
        self.cond = threading.Condition()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.is_closed = True
        self.socket.close()
        for event in self.before.values():
            event.set()

    def wait_until(self, what, patience=20):
        with self.cond:
            if not self.cond.wait_for(lambda: what(self), patience):
                raise TimeoutError("it did not come to that: %s" % self.reached)

    def wait_reached(self, stage, patience=20):
        self.wait_until(lambda r: r.reached.get(stage, 0) > 0, patience)

    def _stage(self, stage):
        with self.cond:
            self.reached[stage] = self.reached.get(stage, 0) + 1
            self.cond.notify_all()
        if stage in self.before:
            self.before[stage].wait()

    def _accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            with peer, peer.makefile("rwb") as f:
                self._talk(f)
        except (OSError, ValueError):
            pass

    def _say(self, f, line):
        f.write(line.encode() + b"\r\n")
        f.flush()

    def _talk(self, f):
        sender, rcpts = "", []
        self._stage("greeting")
        self._say(f, "220 relay.example ESMTP")
        for line in f:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self._say(f, "250-relay.example\r\n250 PIPELINING")
            elif verb == b"MAIL":
                sender, rcpts = line.split(b"<")[1].split(b">")[0].decode(), []
                self._say(f, "250 2.1.0 ok")
            elif verb == b"RCPT":
                rcpts.append(line.split(b"<")[1].split(b">")[0].decode())
                self._say(f, "250 2.1.5 ok")
            elif verb == b"DATA":
                self._stage("354")
                self._say(f, "354 go on")
                content = b""
                for part in f:
                    if part == b".\r\n":
                        break
                    content += part
                else:
                    return
                with self.cond:
                    self.taken.append((sender, tuple(rcpts), content))
                    self.cond.notify_all()
                self._stage("dot")
                self._say(f, "250 2.0.0 kept")
            elif verb == b"QUIT":
                self._say(f, "221 2.0.0 bye")
                return
            else:
                self._say(f, "250 2.0.0 ok")
