#!/usr/bin/env python3
"""Cuts the power at random moments of a recorded run, and starts Posthouse on what the disk may hold.

A run under load is recorded by recorder.c, with a SIGKILL in the middle of it. disk_model.py makes an
image of the data directory for a moment of the run. On each image Posthouse must start, and:

  kept      a message is there with all its recipients if the promise to keep it ("250 ... Kept as")
            was on its way by then; it is sent with its content whole, or in doubt
  journal   a message that was at the sink by then is recorded as sent or about to finish, so that
            nothing is repeated unseen
  balanced  counters and rows agree
"""
import argparse
import collections
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..")]
import disk_model  # noqa: E402
from rig import Books, Refused, Service, Sink, Smtp, Unheard, preload, scratch  # noqa: E402


class Run:
    """A run that is recorded from its first start on, and what clients and sink have seen."""

    def __init__(self, directory, seed, seconds):
        self.directory = directory
        self.seed = seed
        self.letters = {}  # public id: (Message-ID, recipients, body)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.log = os.path.join(directory, "recording")
        self.sink = Sink(directory, "--delay", "dot=25", name="first", keep=True)
        # With files of its own elsewhere it does not make and sync some in the data directory.
        given = {"--tls-cert": "tls.crt", "--tls-key": "tls.key", "--admin-key-file": "admin.key"}
        self.files = [w for key, name in given.items() for w in (key, os.path.join(directory, "virgin/data", name))]
        self.service = Service(directory, "--min-free-disk", "16M", *self.files)
        os.mkdir(self.service.data, 0o700)
        self.service.env = preload(directory, self.service.data, log=self.log)
        self._load(seconds)
        self.sink.stop()

    def _load(self, seconds):
        self.logs = []
        threads = [threading.Thread(target=self._client, args=(i,)) for i in range(6)]
        self.service.start()
        self.service.add_relay("main", self.sink.port, max_connections=4)
        for t in threads:
            t.start()
        for last in (False, True):
            self.logs.append("%s.%d" % (self.log, self.service.child.pid))
            time.sleep(seconds / 2)
            if not last:
                self.service.kill()
                self.service.start()
        self.stopping.set()
        for t in threads:
            t.join(60)
        self.service.stop()

    def _client(self, i):
        dice = random.Random("%d/%d" % (self.seed, i))
        smtp, n = None, 0
        while not self.stopping.is_set():
            n += 1
            mid = "<%d.%d@client.example>" % (i, n)
            rcpts = ["r%d.%d.%d@power.example" % (i, n, k) for k in range(dice.choice([1, 1, 1, 3]))]
            body = "".join("%d %d %d\r\n" % (i, n, k) for k in range(dice.choice([3, 100, 400, 4000])))
            once = "X-Posthouse-Doubt: at-most-once\r\n" if dice.random() < 0.5 else ""
            head = "From: a@power.example\r\nMessage-ID: %s\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n%s\r\n"
            try:
                smtp = smtp or Smtp(self.service.port)
                reply = smtp.send("a@power.example", rcpts, (head % (mid, once) + body).encode())
                with self.lock:
                    self.letters[reply.split("Kept as ")[1].split()[0]] = (mid, rcpts, body.encode())
                time.sleep(dice.expovariate(40))
            except Refused:
                pass
            except Unheard:
                smtp = None
                time.sleep(0.02)

    def records(self):
        """All of it, in order, with None where the process was killed."""
        records = []
        for log in self.logs:
            records += disk_model.read_log(log) + [None]
        return records


def to_us(text):
    """2026-11-23T08:54:01.251Z; the end of that millisecond."""
    import calendar
    whole, ms = text.rstrip("Z").split(".")
    return (calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(ms) + 1) * 1000


class Cuts:
    """Makes and judges the images of one run."""

    def __init__(self, run, n, seed, say):
        self.run = run
        self.n = n
        self.dice = random.Random(seed)
        self.say = say
        self.wrong = []
        self.old_lines = run.sink.lines()
        self.made = 0

    def choose(self, records):
        """Places in the log: a third right after promises, a third around syncs, the rest anywhere."""
        replies = [i for i, r in enumerate(records) if r and r.kind == "reply"]
        syncs = [i for i, r in enumerate(records) if r and r.kind in ("sync_begin", "sync_end")]
        cuts = set()
        while len(cuts) < min(self.n, len(records)):
            source = self.dice.choice([replies, syncs, range(len(records))])
            cuts.add(self.dice.choice(source or range(len(records))))
        return cuts

    def go(self):
        records = self.run.records()
        cuts = self.choose(records)
        disk = disk_model.Disk()
        promised = []
        for i, r in enumerate(records):
            if r is None:
                disk.new_process()
                continue
            disk.follow(r)
            if r.kind == "reply":
                promised.append(r.data.decode().split("Kept as ")[1].split()[0])
            if i in cuts:
                how = self.dice.choice(["nothing", "torn", "torn", "torn", "all"])
                self.judge(disk, i, how, promised, r.wall_us)

    def complain(self, text):
        self.wrong.append(text)
        self.say("WRONG: " + text)

    def judge(self, disk, i, how, promised, wall_us):
        place = tempfile.mkdtemp(prefix="image-%d-%s-" % (i, how), dir=self.run.directory)
        data = os.path.join(place, "data")
        throw = self.dice.getstate()
        disk.save(data, how, self.dice)
        before = len(self.wrong)
        by_then = [line for line in self.old_lines if to_us(line[0]) < wall_us]
        name = "cut %d (%s, in %s)" % (i, how, place)
        self.check_journal(name, data, by_then)
        try:
            self.live_on(name, place, data, promised)
        except (RuntimeError, TimeoutError) as e:
            self.complain("%s: %s" % (name, e))
        self.made += 1
        if len(self.wrong) == before:
            shutil.rmtree(place)
        else:  # the same once more, as it was
            self.dice.setstate(throw)
            disk.save(data + ".as-cut", how, self.dice)
        self.say("cut at %6d, %-7s: %d promised, %d were at the sink" % (i, how, len(promised), len(by_then)))

    def check_journal(self, name, data, by_then):
        with Books(data) as books:
            begun = {r["address"] for r in books.recipients()
                     if r["last_attempt"] is not None or r["attempts"] > 0}
            ids = {a["rcpt"] for a in books.attempts()}
            begun |= {r["address"] for r in books.recipients() if r["id"] in ids}
        for line in by_then:
            if line[2] not in begun:
                self.complain("%s: %s was at the sink, and nothing says so" % (name, line[2]))

    def live_on(self, name, place, data, promised):
        sink = Sink(place, name="second", port=self.run.sink.port, keep=True)
        service = Service(place, "--min-free-disk", "16M", *self.run.files, data=data)
        try:
            with service:
                service.wait_idle(60)
                said = service.child.said()
                service.stop()
            if "content_lost" in said:
                self.complain("%s: %s" % (name, re.search(".*content_lost.*", said).group()))
            with Books(data) as books:
                for w in books.wrongs():
                    self.complain("%s: %s" % (name, w))
                self.check_promises(name, books, promised, sink)
        finally:
            service.kill()
            sink.kill()

    def check_promises(self, name, books, promised, sink):
        bodies = {}
        for message in sink.kept():
            head, body = message.split(b"\r\n\r\n", 1)
            bodies[re.search(rb"(?mi)^message-id: *(\S+)", head).group(1).decode()] = body
        at_sinks = {line[2] for line in self.old_lines + sink.lines()}
        rows = collections.defaultdict(dict)
        for r in books.recipients():
            rows[r["mid"]][r["address"]] = r["name"]
        for public in promised:
            if public not in self.run.letters:
                continue  # promised as the service was killed; the client did not hear it
            mid, rcpts, body = self.run.letters[public]
            if sorted(rows[mid]) != sorted(rcpts):
                self.complain("%s: %s to %s was promised, and there is %s" % (name, mid, rcpts, dict(rows[mid])))
            for rcpt, state in rows[mid].items():
                if state not in ("sent", "in_doubt") or (state == "sent" and rcpt not in at_sinks):
                    self.complain("%s: %s of %s is %s" % (name, rcpt, mid, state))
            if mid in bodies and bodies[mid] != body:
                self.complain("%s: the content of %s has changed" % (name, mid))


def first_starts(directory, n, seed, say):
    """Cuts in a first start: whatever is left, the next start must do."""
    place = os.path.join(directory, "virgin")
    os.mkdir(place)
    service = Service(place)
    os.mkdir(service.data, 0o700)
    log = os.path.join(place, "recording")
    service.env = preload(directory, service.data, log=log)
    with service:
        service.stop()
    records = disk_model.read_log("%s.%d" % (log, service.child.pid))
    dice = random.Random(seed)
    cuts = set(dice.sample(range(len(records)), min(n, len(records))))
    disk, wrong = disk_model.Disk(), []
    for i, r in enumerate(records):
        disk.follow(r)
        if i not in cuts:
            continue
        how = dice.choice(["nothing", "torn", "torn", "all"])
        image = os.path.join(directory, "first-%d-%s" % (i, how))
        disk.save(os.path.join(image, "data"), how, dice)
        again = Service(image)
        try:
            with again:
                again.stop()
            shutil.rmtree(image)
        except (RuntimeError, TimeoutError) as e:
            wrong.append("first start cut at %d (%s), in %s: %s" % (i, how, image, e))
            say("WRONG: " + wrong[-1])
    say("%d cuts in a first start of %d steps" % (len(cuts), len(records)))
    return wrong


def check(directory, images, seed, seconds, say):
    """What is wrong, in words."""
    wrong = first_starts(directory, images // 3, seed, say)
    run = Run(directory, seed, seconds)
    say("recorded: %d accepted, %d at the sink" % (len(run.letters), len(run.sink.lines())))
    cuts = Cuts(run, images, seed, say)
    cuts.go()
    if not run.letters or cuts.made == 0:
        wrong.append("there was nothing to check: %d accepted, %d images" % (len(run.letters), cuts.made))
    return wrong + cuts.wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program")
    p.add_argument("--images", type=int, default=36)
    p.add_argument("--seconds", type=float, default=6, help="length of the recorded run")
    p.add_argument("--seed", type=int, default=int(time.time()))
    args = p.parse_args()
    if args.program:
        os.environ["POSTHOUSE_PROGRAM"] = os.path.abspath(args.program)
    started = time.monotonic()

    def say(text):
        print("%6.1f s  %s" % (time.monotonic() - started, text), flush=True)

    say("seed %d" % args.seed)
    with scratch("power") as directory:
        wrong = check(directory, args.images, args.seed, args.seconds, say)
        if wrong:
            say("%d violations; first: %s" % (len(wrong), wrong[0]))
            sys.exit(1)
    say("every image started and kept its promises")


if __name__ == "__main__":
    main()
