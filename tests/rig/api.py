"""HTTP over the control socket."""
import http.client
import json
import socket
import urllib.parse


class NoService(Exception):
    """Nobody answers at the socket."""


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__("%s: %s" % (status, body))
        self.status = status
        self.body = body


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    def __init__(self, path, timeout=30):
        self.path = path
        self.timeout = timeout

    def call(self, method, path, body=None, headers=None):
        c = _Connection(self.path, self.timeout)
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            c.request(method, path, body, headers)
            answer = c.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as e:
            raise NoService("%s %s: %r" % (method, path, e))
        finally:
            c.close()
        is_json = "json" in (answer.getheader("Content-Type") or "")
        value = json.loads(text) if is_json and text else text.decode("utf-8", "replace")
        if answer.status >= 400:
            raise ApiError(answer.status, value)
        return value

    def get(self, path, **query):
        query = {k: v for k, v in query.items() if v is not None}
        return self.call("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path, body=None):
        return self.call("POST", path, body if body is not None else {})

    def patch(self, path, body):
        return self.call("PATCH", path, body)

    def delete(self, path):
        return self.call("DELETE", path)

    def every(self, path, **query):
        """All rows of a list, page by page."""
        after = None
        while True:
            page = self.get(path, limit=500, after=after, **query)
            yield from page["data"]
            if not page["has_more"] or not page["data"]:
                return
            after = page["data"][-1]["id"]
