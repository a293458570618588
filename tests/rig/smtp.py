"""An SMTP client that knows exactly how far it came: refused, unheard, or accepted."""
import socket
import ssl


class Refused(Exception):
    """The server said no. `code` and `text` as it said."""

    def __init__(self, stage, reply):
        super().__init__("%s: %s" % (stage, reply))
        self.stage = stage
        self.code = int(reply[:3])
        self.text = reply


class Unheard(Exception):
    """The connection broke. `handed` says whether the server may have had the whole message."""

    def __init__(self, why, handed):
        super().__init__(str(why))
        self.handed = handed


def stuffed(content):
    """`content` with CRLF line ends, dots doubled, and the final dot."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class Smtp:
    def __init__(self, port, host="127.0.0.1", timeout=30, hello="client.example", tls=False):
        try:
            self.sock = socket.create_connection((host, port), timeout=timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.sock = self._context().wrap_socket(self.sock)
        except OSError as e:
            raise Unheard(e, False)
        self.data = b""
        self._expect("connect", 220)
        self.said_hello = self.command("EHLO " + hello, 250)

    @staticmethod
    def _context():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def reply(self, handed=False):
        """One reply, lines joined by newlines."""
        lines = []
        while True:
            while b"\r\n" not in self.data:
                try:
                    more = self.sock.recv(65536)
                except OSError as e:
                    raise Unheard(e, handed)
                if not more:
                    raise Unheard("closed", handed)
                self.data += more
            line, self.data = self.data.split(b"\r\n", 1)
            lines.append(line.decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def _expect(self, stage, code, handed=False):
        reply = self.reply(handed)
        if int(reply[:3]) != code:
            raise Refused(stage, reply)
        return reply

    def write(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Unheard(e, False)

    def command(self, line, code=None):
        self.write(line.encode() + b"\r\n")
        return self._expect(line.split(" ")[0], code) if code else self.reply()

    def starttls(self):
        self.command("STARTTLS", 220)
        self.sock = self._context().wrap_socket(self.sock)
        self.said_hello = self.command("EHLO client.example", 250)

    def _envelope(self, sender, rcpts):
        lines = ["MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in rcpts]
        return "".join(line + "\r\n" for line in lines).encode()

    def send(self, sender, rcpts, content, chunked=False):
        """The reply that accepted the message. Raises Unheard, or Refused, which leaves the session
        ready for the next message; a message is sent to all of its recipients or to none."""
        self.write(self._envelope(sender, rcpts))
        no = None
        for stage in ["MAIL"] + ["RCPT"] * len(rcpts):
            try:
                self._expect(stage, 250)
            except Refused as e:
                no = no or e
        try:
            if no:
                raise no
            if chunked:
                self._hand_over(b"BDAT %d LAST\r\n" % len(content) + content)
            else:
                self.command("DATA", 354)
                self._hand_over(stuffed(content))
            return self._expect("dot", 250, handed=True)
        except Refused as e:
            if e.stage != "dot":
                self.command("RSET", 250)
            raise

    def _hand_over(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Unheard(e, True)

    def quit(self):
        try:
            self.command("QUIT")
        except Unheard:
            pass
        self.close()

    def close(self):
        self.sock.close()
