#!/usr/bin/env python3
"""Plays SMTP conversations against a server and says where one goes wrong.

usage: talk.py --sink PROGRAM SCRIPT.talk ...      starts `PROGRAM --listen ...` for each script
       talk.py --server HOST:PORT SCRIPT.talk ...  talks to a running server; scripts that need
                                                   a sink of their own (@sink) are skipped

A script is a list of lines; `#` begins a comment line.

  @sink OPTIONS     options for this script's server, such as: @sink --auth joe:secret
  @tls              TLS from the first byte on
  C: text           sends text and CRLF
  C< bytes          sends bytes; escapes \\r \\n \\t \\0 \\\\ \\xNN
  C* N bytes        sends bytes N times
  S: text           the next line begins with text, where * stands for anything
  S+ code           the next reply, of however many lines, has that code
  S- text           no line of the reply read last contains text
  CLOSED            the server has closed the connection, and said nothing more
  CLOSE             closes
  TLS               TLS handshake, now
  PAUSE ms          waits
  QUIET ms          nothing comes until so long after what was sent last (or the CONN)
  CONN name         goes on with the connection of that name, made if need be; the first is `main`
  SCRAM user secret [code]    a whole SCRAM-SHA-256 login that ends in code (235)
  KEPT n            so many messages are kept
  KEPT~ bytes       the message kept last contains bytes
  KEPT= bytes       the message kept last is bytes
  COUNT n           so many lines of count are written
  COUNT~ text       the last of them contains text (\\t is a tab)
  SIGNAL name       sends a signal to the server
  EXIT n text       the server ends with status n and has printed text
"""
import base64
import concurrent.futures
import fnmatch
import glob
import hashlib
import hmac
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PATIENCE = 20.0


class Wrong(Exception):
    pass


def unescape(text):
    names = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
    out = b""
    at = 0
    while at < len(text):
        c = text[at]
        if c != "\\":
            out += c.encode()
            at += 1
        elif text[at + 1] == "x":
            out += bytes([int(text[at + 2:at + 4], 16)])
            at += 4
        else:
            out += names[text[at + 1]]
            at += 2
    return out


class Connection:
    def __init__(self, address, tls):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(PATIENCE)
        self.since = time.monotonic()
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.reply = []
        if tls:
            self.start_tls()

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname="sink.invalid")

    def send(self, data):
        self.since = time.monotonic()
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the script says what the server should have done instead

    def receive(self):
        """More bytes; False at the end."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        except socket.timeout:
            raise Wrong("nothing came; had %r" % self.data)
        self.data += data
        return data != b""

    def line(self):
        while b"\n" not in self.data:
            if not self.receive():
                raise Wrong("the server closed; it had said %r" % self.data)
        line, self.data = self.data.split(b"\n", 1)
        if not line.endswith(b"\r"):
            raise Wrong("a line without CR: %r" % line)
        return line[:-1].decode("utf-8", "replace")

    def expect(self, pattern):
        line = self.line()
        if self.reply and self.reply[-1][3:4] != "-":
            self.reply = []
        self.reply.append(line)
        wanted = "".join("*" if c == "*" else "[%s]" % c if c in "?[" else c for c in pattern)
        if not fnmatch.fnmatchcase(line, wanted + "*"):
            raise Wrong("got %r" % line)

    def expect_reply(self, code):
        self.reply = []
        while True:
            line = self.line()
            self.reply.append(line)
            if not line.startswith(code):
                raise Wrong("got %r" % line)
            if line[3:4] != "-":
                return

    def expect_end(self):
        while self.receive():
            pass
        if self.data:
            raise Wrong("said %r before it closed" % self.data)

    def expect_quiet(self, seconds):
        """Counted from what the server answers to, so that a machine too busy to run us in time cannot fail it."""
        end = self.since + seconds
        if time.monotonic() >= end:
            return
        self.sock.settimeout(max(end - time.monotonic(), 0.001))
        try:
            self.data += self.sock.recv(65536)
            if time.monotonic() < end:
                raise Wrong("not quiet: %r" % (self.data or "closed"))
        except socket.timeout:
            pass
        self.sock.settimeout(PATIENCE)

    def scram(self, user, secret, code):
        def hash_hmac(key, text):
            return hmac.new(key, text, hashlib.sha256).digest()

        def ask(text):
            self.send(base64.b64encode(text.encode()) + b"\r\n")
            line = self.line()
            if not line.startswith("334 "):
                raise Wrong("got %r" % line)
            return base64.b64decode(line[4:]).decode()

        bare = "n=%s,r=%s" % (user, base64.b64encode(os.urandom(18)).decode())
        self.send(b"AUTH SCRAM-SHA-256\r\n")
        line = self.line()
        if not line.startswith("334"):
            raise Wrong("got %r" % line)
        first = ask("n,," + bare)
        facts = dict(f.split("=", 1) for f in first.split(","))
        final = "c=biws,r=" + facts["r"]
        auth = ",".join((bare, first, final)).encode()
        salted = hashlib.pbkdf2_hmac(
            "sha256", secret.encode(), base64.b64decode(facts["s"]), int(facts["i"]))
        client_key = hash_hmac(salted, b"Client Key")
        stored = hashlib.sha256(client_key).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, hash_hmac(stored, auth)))
        final += ",p=" + base64.b64encode(proof).decode()
        self.send(base64.b64encode(final.encode()) + b"\r\n")
        line = self.line()
        if line.startswith("334 "):
            signature = hash_hmac(hash_hmac(salted, b"Server Key"), auth)
            if base64.b64decode(line[4:]) != b"v=" + base64.b64encode(signature):
                raise Wrong("the server's signature is wrong: %r" % line)
            self.send(b"\r\n")
            line = self.line()
        if not line.startswith(code):
            raise Wrong("got %r" % line)


class Sink:
    """A server of the script's own."""

    def __init__(self, program, options):
        self.dir = tempfile.mkdtemp(prefix="talk-")
        self.keep = os.path.join(self.dir, "keep")
        self.count = os.path.join(self.dir, "count")
        command = [program, "--listen", "127.0.0.1:0", "--keep", self.keep, "--count", self.count]
        self.process = subprocess.Popen(command + options, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"listening on (.*):(\d+)$", line)
        if not match:
            self.close()
            raise Wrong("the server did not start: %r" % line)
        self.address = (match.group(1), int(match.group(2)))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def kept(self):
        names = sorted(glob.glob(os.path.join(self.keep, "*.eml")), key=os.path.getmtime)
        return names

    def counted(self):
        with open(self.count) as f:
            return f.readlines()


class Play:
    def __init__(self, sink, address, tls):
        self.sink = sink
        self.address = address
        self.tls = tls
        self.connections = {}
        self.go_on_with("main")

    def go_on_with(self, name):
        if name not in self.connections:
            self.connections[name] = Connection(self.address, self.tls)
        self.conn = self.connections[name]
        self.conn.since = time.monotonic()

    def close(self):
        for c in self.connections.values():
            c.sock.close()

    def check_kept(self, verb, rest):
        names = self.sink.kept()
        if verb == "KEPT":
            if len(names) != int(rest):
                raise Wrong("kept %d" % len(names))
            return
        with open(names[-1], "rb") as f:
            content = f.read()
        wanted = unescape(rest)
        if wanted not in content if verb == "KEPT~" else wanted != content:
            raise Wrong("kept %r" % content)

    def check_count(self, verb, rest):
        lines = self.sink.counted()
        if verb == "COUNT" and len(lines) != int(rest):
            raise Wrong("counted %d" % len(lines))
        if verb == "COUNT~" and unescape(rest).decode() not in lines[-1]:
            raise Wrong("counted %r" % lines[-1])

    def check_exit(self, rest):
        status, text = (rest.split(" ", 1) + [""])[:2]
        out = self.sink.process.communicate(timeout=PATIENCE)[0]
        if self.sink.process.returncode != int(status) or text not in out:
            raise Wrong("ended with %d and %r" % (self.sink.process.returncode, out))

    def step(self, verb, rest):
        conn = self.conn
        if verb == "C:":
            conn.send(rest.encode() + b"\r\n")
        elif verb == "C<":
            conn.send(unescape(rest))
        elif verb == "C*":
            times, text = rest.split(" ", 1)
            conn.send(unescape(text) * int(times))
        elif verb == "S:":
            conn.expect(rest)
        elif verb == "S+":
            conn.expect_reply(rest)
        elif verb == "S-":
            if any(rest in line for line in conn.reply):
                raise Wrong("%r is there: %r" % (rest, conn.reply))
        elif verb == "CLOSED":
            conn.expect_end()
        elif verb == "CLOSE":
            conn.sock.close()
        elif verb == "TLS":
            conn.start_tls()
        elif verb == "PAUSE":
            time.sleep(int(rest) / 1000)
        elif verb == "QUIET":
            conn.expect_quiet(int(rest) / 1000)
        elif verb == "CONN":
            self.go_on_with(rest)
        elif verb == "SCRAM":
            conn.scram(*(rest.split() + ["235"])[:3])
        elif verb in ("KEPT", "KEPT~", "KEPT="):
            self.check_kept(verb, rest)
        elif verb in ("COUNT", "COUNT~"):
            self.check_count(verb, rest)
        elif verb == "SIGNAL":
            self.sink.process.send_signal(getattr(signal, "SIG" + rest))
        elif verb == "EXIT":
            self.check_exit(rest)
        else:
            raise Wrong("no such step")


def play(path, program, server):
    """True when it went well, None when it was skipped; else the complaint is printed."""
    with open(path, encoding="utf-8") as f:
        lines = [(n, line.rstrip("\n")) for n, line in enumerate(f, 1)]
    options = [o for _, l in lines if l.startswith("@sink") for o in shlex.split(l[5:])]
    needs_sink = any(re.match(r"@sink|KEPT|COUNT|SIGNAL|EXIT", l) for _, l in lines)
    if server and needs_sink:
        return None
    sink = stage = None
    number, line = 0, "start"
    try:
        sink = None if server else Sink(program, options)
        tls = any(l == "@tls" for _, l in lines)
        stage = Play(sink, server or sink.address, tls)
        for number, line in lines:
            if line and line[0] not in "#@":
                verb, rest = (line.split(" ", 1) + [""])[:2]
                stage.step(verb, rest)
        return True
    except (Wrong, OSError, KeyError, IndexError, ValueError) as e:
        print("%s:%d: %s\n    %s: %s" % (path, number, line, type(e).__name__, e))
        return False
    finally:
        if stage:
            stage.close()
        if sink:
            sink.close()


def main(args):
    program = server = None
    if len(args) >= 2 and args[0] == "--sink":
        program = args[1]
    elif len(args) >= 2 and args[0] == "--server":
        host, port = args[1].rsplit(":", 1)
        server = (host.strip("[]"), int(port))
    else:
        print(__doc__)
        return 2
    scripts = args[2:] or sorted(glob.glob(os.path.join(os.path.dirname(__file__), "*.talk")))
    # They mostly wait; each has a server of its own.
    with concurrent.futures.ThreadPoolExecutor(1 if server else 8) as pool:
        results = list(pool.map(lambda path: play(path, program, server), scripts))
    failed = results.count(False)
    print("%d conversations, %d skipped, %d failed" % (len(results), results.count(None), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
