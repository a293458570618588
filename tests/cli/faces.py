"""The program under its names, run to its end."""
import os
import pty
import select
import subprocess

import rig


class Ran:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return "status %d\n--- out\n%s\n--- err\n%s" % (self.status, self.out, self.err)


def environment(data=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("POSTHOUSE_") and k != "COLUMNS"}
    env["POSTHOUSE_CONFIG"] = "/dev/null"
    if data:
        env["POSTHOUSE_DATA"] = data
    env.update({k: v for k, v in more.items() if v is not None})
    return env


def run(*words, data=None, stdin="", face=None, env=None, timeout=60):
    """`posthouse WORDS`, or the program called as `face`."""
    args = [rig.program(), *words]
    if face:
        args[0] = face
    if isinstance(stdin, str):
        stdin = stdin.encode()
    p = subprocess.run(args, executable=rig.program(), input=stdin, capture_output=True,
                       timeout=timeout, env=environment(data, **(env or {})))
    return Ran(p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace"))


def on_terminal(*words, data=None, rows=24, columns=80, env=None, typed=b"", timeout=30):
    """What a terminal of that size shows, and the exit status. `typed` is what a person types."""
    pid, fd = pty.fork()
    if pid == 0:
        import fcntl
        import struct
        import termios
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execve(rig.program(), ["posthouse", *words],
                  environment(data, TERM="xterm", **(env or {})))
    shown = b""
    while True:
        ready, _, _ = select.select([fd], [], [], timeout)
        if not ready:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise TimeoutError(shown.decode("utf-8", "replace"))
        try:
            piece = os.read(fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
        if typed and b"(not shown)" in shown or typed and b"[y/N]" in shown:
            os.write(fd, typed)
            typed = b""
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    return Ran(os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace").replace("\r\n", "\n"), "")
