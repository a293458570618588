"""Clients that submit numbered messages in the background and remember what was answered."""
import collections
import threading
import time

from .smtp import Refused, Smtp, Unheard


class Load:
    """`with Load(port) as load: ...`; afterwards all clients have ended."""

    def __init__(self, port, clients=4, size=4000, pause=0.02, domain="load.example", name="m"):
        self.port = port
        self.size = size
        self.pause = pause
        self.domain = domain
        self.name = name
        self.lock = threading.Lock()
        self.accepted = []  # recipients, each of one message
        self.seconds = []  # from MAIL to the answer, of the accepted ones
        self.refused = collections.Counter()  # reply: how often
        self.unheard = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join(120)

    def _run(self, i):
        smtp, n = None, 0
        while not self.stopping.is_set():
            n += 1
            rcpt = "%s%d.%d@%s" % (self.name, i, n, self.domain)
            content = ("From: a@%s\r\nTo: %s\r\nSubject: %d\r\nMessage-ID: <%s>\r\n\r\n"
                       % (self.domain, rcpt, n, rcpt)).encode()
            content += b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * (self.size // 64)
            try:
                smtp = smtp or Smtp(self.port)
                began = time.monotonic()
                smtp.send("a@" + self.domain, [rcpt], content)
                with self.lock:
                    self.accepted.append(rcpt)
                    self.seconds.append(time.monotonic() - began)
            except Refused as e:
                with self.lock:
                    self.refused[e.text] += 1
            except Unheard:
                smtp = None
                with self.lock:
                    self.unheard += 1
            self.stopping.wait(self.pause)
        if smtp:
            smtp.quit()

    def count(self):
        with self.lock:
            return len(self.accepted)

    def wait_more(self, n=20, patience=30):
        """Until n more are accepted: the door is open."""
        self._wait(lambda: self.count(), self.count() + n, patience, "accepted")

    def wait_refusals(self, n=5, patience=30):
        total = lambda: sum(self.refused.values())  # noqa: E731
        self._wait(total, total() + n, patience, "refused")

    def _wait(self, what, until, patience, word):
        end = time.monotonic() + patience
        while what() < until:
            if time.monotonic() > end:
                raise TimeoutError("%d of %d %s; refused so far: %s" % (what(), until, word, dict(self.refused)))
            time.sleep(0.02)

    def slowest(self, share=0.99):
        """The latency that `share` of the accepted ones kept below."""
        with self.lock:
            ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def all_arrived(load, sink):
    """Recipients that were accepted and are not at the sink exactly once; empty when all is well."""
    copies = collections.Counter(line[2] for line in sink.lines())
    return {r: copies[r] for r in load.accepted if copies[r] != 1}
