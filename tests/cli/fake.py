"""A service that answers what a test tells it to, on a control socket."""
import http.server
import json
import os
import socketserver
import threading
import urllib.parse


class Fake:
    """`answers` is {"GET /path": (status, value)}; what was asked is in `asked`."""

    def __init__(self, data, answers):
        self.data, self.answers, self.asked = data, answers, []
        os.makedirs(data, exist_ok=True)
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                n = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(n)
                path, _, query = self.path.partition("?")
                fake.asked.append((self.command, path, urllib.parse.parse_qsl(query), body,
                                   dict(self.headers)))
                status, value = fake.answers.get("%s %s" % (self.command, path), (
                    404, {"statusCode": 404, "name": "not_found", "message": "there is no such thing"}))
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

            def address_string(self):
                return "unix"

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(os.path.join(data, "control.sock"), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def body(self, method, path):
        """The JSON that was last sent there."""
        return [json.loads(a[3]) for a in self.asked if a[:2] == (method, path)][-1]
