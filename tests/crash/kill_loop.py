#!/usr/bin/env python3
"""Kills Posthouse again and again under load, and counts.

Clients submit numbered messages and remember what was answered. Two sinks are the relays, one of
them faulty. Posthouse is killed (SIGKILL) at random moments, also while it starts, and started
again. At the end, when nothing is left to do, this must hold:

  kept        every recipient of an accepted message is at a sink, or reported: bounced, in doubt or
              unknown; a bounce has reached the sender
  whole       a message whose reply was never heard is there with all its recipients or not at all,
              and when the client sent it again it is there once
  unrepeated  no recipient is at the sinks more often than it was sent plus in doubt; one that must
              not be repeated (at-most-once) is there at most once
  balanced    accepted + generated = the sum of all states, after every kill and every start, by the
              counters and by the rows

A seed decides what is sent and when the kills come (the threads' timing stays their own)."""
import argparse
import collections
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig import Books, Refused, Service, Sink, Smtp, Unheard  # noqa: E402

STEADY, FAULTY = "steady.example", "faulty.example"
FAULTS = ["--reply", "rcpt=550 5.1.1 No such user here", "--fail", "rcpt=1", "--fail", "dot=2",
          "--drop", "dot=1", "--drop", "mail=0.3", "--drop-after-accept", "1", "--delay", "dot=8"]


class Letter:
    """One numbered message and what its client knows of it."""

    def __init__(self, number, dice):
        self.number = number
        self.sender = "s%d@%s" % (number, STEADY)
        n = dice.choice([1, 1, 1, 1, 2, 3, 8])
        self.rcpts = ["r%d-%d@%s" % (number, i, dice.choice([STEADY, FAULTY])) for i in range(n)]
        self.once = dice.random() < 0.25
        self.chunked = dice.random() < 0.2
        self.mid = "<%d.kill@client.example>" % number
        size = dice.choice([200, 1000, 4000, 4000, 40000])
        self.content = (
            "From: <%s>\r\nTo: undisclosed:;\r\nSubject: letter %d\r\nMessage-ID: %s\r\n"
            "Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n%s\r\n"
            % (self.sender, number, self.mid, "X-Posthouse-Doubt: at-most-once\r\n" if self.once else "")
            + ("%d was here.\r\n" % number) * (size // 16)).encode()
        self.state = "new"
        self.handed = 0  # how often the service may have had it without an answer

    def __repr__(self):
        return "letter %d (%s, handed %d, %s)" % (self.number, self.state, self.handed, self.rcpts)


class Clients:
    """Threads that submit letters until told to stop, and finish what is unanswered first."""

    def __init__(self, service, seed, threads, per_second):
        self.service = service
        self.lock = threading.Lock()
        self.letters = []
        self.stopping = threading.Event()
        self.abandoned = threading.Event()
        self.refusals = collections.Counter()
        self.pause = threads / per_second
        self.threads = [threading.Thread(target=self._run, args=(random.Random("%d/%d" % (seed, i)),),
                                         daemon=True) for i in range(threads)]
        for t in self.threads:
            t.start()

    def _next(self, dice):
        with self.lock:
            letter = Letter(len(self.letters), dice)
            self.letters.append(letter)
        return letter

    def _run(self, dice):
        letter = smtp = None
        while not self.abandoned.is_set() and (letter is not None or not self.stopping.is_set()):
            try:
                if smtp is None:
                    smtp = Smtp(self.service.port, timeout=60)
                if letter is None:
                    letter = self._next(dice)
                letter.reply = smtp.send(letter.sender, letter.rcpts, letter.content, letter.chunked)
                letter.state = "accepted"
                letter = None
                time.sleep(dice.expovariate(1 / self.pause))
            except Refused as e:
                self.refusals[e.text] += 1
                if e.code >= 500:
                    letter.state = "refused"
                    letter = None
            except Unheard as e:
                smtp = None
                if letter is not None:
                    letter.handed += e.handed
                    if e.handed and dice.random() < 0.2:
                        letter.state = "unheard"  # this client gives up; nobody knows
                        letter = None
                time.sleep(0.02)
        if smtp is not None:
            smtp.quit()

    def finish(self, patience=120):
        """Ends them; what is unanswered after that is given up. False: somebody had to be told twice."""
        self.stopping.set()
        end = time.monotonic() + patience
        for t in self.threads:
            t.join(max(0, end - time.monotonic()))
        in_time = not any(t.is_alive() for t in self.threads)
        self.abandoned.set()
        for t in self.threads:
            t.join(5)
        return in_time

    def count(self):
        with self.lock:
            return collections.Counter(letter.state for letter in self.letters)


class Harness:
    def __init__(self, args):
        self.args = args
        self.dice = random.Random(args.seed)
        self.wrong = []
        self.started = time.monotonic()
        d = args.directory
        self.sinks = [Sink(d, name="steady"),
                      Sink(d, *FAULTS, "--seed", str(args.seed), name="faulty")]
        self.service = Service(d, "--retry-schedule", "1s 2s 4s", "--min-free-disk", "16M")

    def say(self, text):
        print("%6.1f s  %s" % (time.monotonic() - self.started, text), flush=True)

    def complain(self, text):
        self.wrong.append(text)
        self.say("WRONG: " + text)

    def check_books(self, when):
        with Books(self.service.data) as books:
            for w in books.wrongs():
                self.complain("%s: %s" % (when, w))

    def check_equation(self, when):
        t = self.service.totals()
        ends = ["sent", "bounced", "expired", "failed", "cancelled", "suppressed", "unknown", "captured",
                "queued", "in_doubt"]
        if t["accepted"] + t["generated"] != sum(t[e] for e in ends):
            self.complain("%s: the accounting is off: %s" % (when, t))
        return t

    def set_up(self):
        self.service.start()
        self.service.add_relay("faulty", self.sinks[1].port, max_connections=8)
        self.service.add_relay("steady", self.sinks[0].port, max_connections=8)
        self.service.api.post("/routes", {"relay": "steady", "to": "@" + STEADY})

    def one_kill(self, k, clients):
        moment = self.dice.expovariate(1 / self.args.seconds_per_kill)
        in_start = self.dice.random() < 0.15
        if in_start:
            moment = self.dice.uniform(0, 0.05)
        time.sleep(min(moment, 4 * self.args.seconds_per_kill))
        if not self.service.is_up():
            self.complain("ended by itself: %s" % self.service.child.said()[-1500:])
        self.service.kill()
        self.check_books("after kill %d" % k)
        self.service.spawn()
        if not in_start:
            self.service.ready()
            t = self.check_equation("after start %d" % k)
            self.say("kill %2d: clients %s; sent %d, queued %d, in doubt %d, bounced %d" % (
                k, dict(clients.count()), t["sent"], t["queued"], t["in_doubt"], t["bounced"]))

    def drain(self):
        """Lets everything come to its end; what waits for a person is resolved as unknown."""
        end = time.monotonic() + self.args.patience
        while True:
            t = self.check_equation("draining")
            doubts = list(self.service.api.every("/queue/recipients", state="in_doubt"))
            for d in doubts:
                if d["due_at"] is None:
                    self.service.api.post("/queue/resolve", {"id": d["id"], "as": "unknown"})
            if t["queued"] == 0 and t["in_doubt"] == 0:
                return
            if time.monotonic() > end:
                self.complain("not at rest after %d s: %s" % (self.args.patience, t))
                return
            self.say("draining: queued %d, in doubt %d" % (t["queued"], t["in_doubt"]))
            time.sleep(2)

    # ---- the reckoning

    def reckon(self, letters):
        copies = collections.Counter()
        reports = collections.Counter()
        for sink in self.sinks:
            for _, sender, rcpt, _, _ in sink.lines():
                if sender in ("", "<>"):
                    reports[rcpt] += 1
                else:
                    copies[rcpt] += 1
        with Books(self.service.data) as books:
            by_mid = collections.defaultdict(list)
            for r in books.recipients():
                by_mid[r["mid"]].append(r)
            for letter in letters:
                self.check_letter(letter, by_mid.get(letter.mid, []), copies, reports)
            self.summary(books, letters, copies)

    def check_letter(self, letter, rows, copies, reports):
        want = collections.Counter(letter.rcpts)
        have = collections.Counter(r["address"] for r in rows)
        if letter.state == "accepted" and have != want:
            self.complain("%r is kept as %s" % (letter, dict(have)))
        if letter.state == "refused" and rows:
            self.complain("%r was refused and is kept" % letter)
        if letter.state in ("unheard", "new") and have not in (want, collections.Counter()):
            self.complain("%r is kept in part: %s" % (letter, dict(have)))
        bounced = False
        for r in rows:
            n = copies[r["address"]]
            what = "%r: %s is %s after %d doubts and is %d times at the sinks" % (
                letter, r["address"], r["name"], r["doubts"], n)
            bounced = bounced or r["name"] == "bounced"
            if r["name"] not in ("sent", "bounced", "unknown"):
                self.complain(what)
            if r["name"] == "sent" and n == 0:
                self.complain(what + ": lost")
            if n > (r["name"] == "sent") + r["doubts"] or (letter.once and n > 1):
                self.complain(what + ": repeated unseen")
        for address in letter.rcpts:
            if not rows and copies[address]:
                self.complain("%r is at a sink and not in the books" % letter)
        if bounced and reports[letter.sender] == 0:
            self.complain("%r bounced and its sender was not told" % letter)

    def summary(self, books, letters, copies):
        t = books.totals()
        doubtful = [r for r in books.recipients() if r["doubts"] > 0]
        repeats = sum(n - 1 for n in copies.values() if n > 1)
        repeated = sum(1 for r in doubtful if r["attempts"] > r["doubts"])
        if repeats > sum(r["doubts"] for r in doubtful):
            self.complain("%d repeats at the sinks, but only %d doubts" % (repeats, len(doubtful)))
        given = [x for x in letters if x.state == "accepted"]
        self.say("letters %d: accepted %d with %d recipients, given up unheard %d, refused %d" % (
            len(letters), len(given), sum(len(x.rcpts) for x in given),
            sum(x.state == "unheard" for x in letters), sum(x.state == "refused" for x in letters)))
        self.say("sent again after a broken connection: %d, each kept once" % sum(
            x.handed > 0 and x.state == "accepted" for x in letters))
        self.say("books: %s" % t)
        self.say("in doubt at some time %d recipients, of these tried again %d; repeats at the sinks %d"
                 % (len(doubtful), repeated, repeats))

    def run(self):
        self.set_up()
        clients = Clients(self.service, self.args.seed, self.args.clients, self.args.rate)
        try:
            for k in range(1, self.args.kills + 1):
                self.one_kill(k, clients)
            self.service.ready()
            time.sleep(self.args.seconds_per_kill)
        except BaseException:
            clients.finish(0)
            raise
        if not clients.finish():
            self.complain("clients still wait for an answer after two minutes")
        if clients.count()["accepted"] == 0:
            self.complain("nothing was accepted at all: %s" % clients.refusals)
        self.drain()
        try:
            self.service.stop()
        except (RuntimeError, TimeoutError) as e:
            self.complain(str(e))
        self.check_books("at the end")
        self.reckon(clients.letters)
        if clients.refusals:
            self.say("refusals seen by clients: %s" % dict(clients.refusals))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", help="posthouse; else $POSTHOUSE_PROGRAM, else build/posthouse")
    p.add_argument("--kills", type=int, default=30)
    p.add_argument("--seconds-per-kill", type=float, default=2.0, help="mean time between kills")
    p.add_argument("--clients", type=int, default=6)
    p.add_argument("--rate", type=float, default=120, help="messages a second, of all clients")
    p.add_argument("--patience", type=int, default=200, help="seconds for the end to be reached")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--directory", help="kept; else a temporary one that is kept when something is wrong")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # its children go with it
    if args.program:
        os.environ["POSTHOUSE_PROGRAM"] = os.path.abspath(args.program)
    from rig import scratch
    with scratch("crash") as d:
        args.directory = args.directory or d
        os.makedirs(args.directory, exist_ok=True)
        harness = Harness(args)
        harness.say("seed %d, %d kills, in %s" % (args.seed, args.kills, args.directory))
        harness.run()
        if harness.wrong:
            harness.say("%d violations; first: %s" % (len(harness.wrong), harness.wrong[0]))
            sys.exit(1)
        harness.say("nothing accepted is missing, nothing was repeated unseen")


if __name__ == "__main__":
    main()
