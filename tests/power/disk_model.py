"""What a disk may hold after the power is cut, by the log of recorder.c.

A file's writes are pending until a sync of that file which began after them has ended; then they are
durable. A cut keeps all that is durable, and of what is pending:

  nothing   none of it
  all       all of it, as after a kill
  torn      any of the 512-byte sectors of the writes, any change of size, in their order

A directory's changes are pending until the directory itself is synced, as POSIX has it, although
many file systems promise more; a cut keeps the first so many of them, since file systems keep
changes of directories in order. A file whose name is lost is lost."""
import collections
import os
import struct

SECTOR = 512
HEADER = struct.Struct("=QQQQQQ")
KINDS = ["", "open", "write", "size", "reserve", "sync_begin", "sync_end", "mkdir", "unlink", "rename", "link",
         "reply"]
Record = collections.namedtuple("Record", "kind handle a b wall_us data")
O_TRUNC = os.O_TRUNC
CREATED = 1


def read_log(path):
    """The records of one process; a cut-off one at the end is left out."""
    with open(path, "rb") as f:
        data = f.read()
    records, at = [], 0
    while at + HEADER.size <= len(data):
        kind, handle, a, b, wall_us, n = HEADER.unpack_from(data, at)
        if at + HEADER.size + n > len(data):
            break
        records.append(Record(KINDS[kind], handle, a, b, wall_us, data[at + HEADER.size:at + HEADER.size + n]))
        at += HEADER.size + n
    return records


class File:
    """Sectors by number; those that are missing hold zeros."""

    def __init__(self):
        self.size = 0
        self.sectors = {}
        self.pending = []  # (sequence, kind, offset or size, bytes)

    def copy(self):
        f = File()
        f.size, f.sectors, f.pending = self.size, dict(self.sectors), list(self.pending)
        return f

    def pieces(self, at, data):
        """(sector number, offset in it, bytes) for each sector that a write touches."""
        done = 0
        while done < len(data):
            number, start = divmod(at + done, SECTOR)
            n = min(SECTOR - start, len(data) - done)
            yield number, start, data[done:done + n]
            done += n

    def put(self, number, start, piece):
        if start == 0 and len(piece) == SECTOR:
            self.sectors[number] = piece
            return
        old = self.sectors.get(number, bytes(SECTOR))
        self.sectors[number] = old[:start] + piece + old[start + len(piece):]

    def resize(self, size):
        if size < self.size:
            last, rest = divmod(size, SECTOR)
            for number in [n for n in self.sectors if n > last or (n == last and rest == 0)]:
                del self.sectors[number]
            if rest and last in self.sectors:
                self.sectors[last] = self.sectors[last][:rest] + bytes(SECTOR - rest)
        self.size = size

    def apply(self, op, keep=lambda: True):
        _, kind, at, data = op
        if kind == "write":
            for number, start, piece in self.pieces(at, data):
                if keep():
                    self.put(number, start, piece)
                    self.size = max(self.size, number * SECTOR + start + len(piece))
        elif keep():
            self.resize(at if kind == "size" else max(self.size, at))

    def sync(self, before):
        for op in self.pending:
            if op[0] < before:
                self.apply(op)
        self.pending = [op for op in self.pending if op[0] >= before]

    def save(self, path, how, dice):
        f = self.copy()
        share = dice.choice([0.1, 0.5, 0.9])
        for op in f.pending if how != "nothing" else []:
            f.apply(op, (lambda: dice.random() < share) if how == "torn" else (lambda: True))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.truncate(f.size)
            for number, piece in f.sectors.items():
                if number * SECTOR < f.size:
                    out.seek(number * SECTOR)
                    out.write(piece[:f.size - number * SECTOR])


class Directory:
    def __init__(self):
        self.names = {}
        self.pending = []  # (sequence, {name: node or None})

    def sync(self, before):
        while self.pending and self.pending[0][0] < before:
            self.apply(self.names, self.pending.pop(0)[1])

    @staticmethod
    def apply(names, change):
        for name, node in change.items():
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def save(self, path, how, dice):
        names = dict(self.names)
        n = {"nothing": 0, "all": len(self.pending)}.get(how)
        for _, change in self.pending[:dice.randint(0, len(self.pending)) if n is None else n]:
            self.apply(names, change)
        os.makedirs(path, mode=0o700, exist_ok=True)
        for name, node in names.items():
            if not name.endswith("-shm"):  # an index of the WAL, made anew after a cut
                node.save(os.path.join(path, name), how, dice)


class Disk:
    """Follows the log; `save` writes what a cut at this moment may leave."""

    def __init__(self):
        self.root = Directory()
        self.now = {"": self.root}  # what the running system sees
        self.handles = {}
        self.begun = {}
        self.sequence = 0

    def _change(self, *pairs):
        """One change of one directory: (path, node or None) ..."""
        where = os.path.dirname(pairs[0][0])
        assert all(os.path.dirname(p) == where for p, _ in pairs), "between directories: %s" % (pairs,)
        self.now[where].pending.append((self.sequence, {os.path.basename(p): n for p, n in pairs}))
        for path, node in pairs:
            if node is None:
                self.now.pop(path, None)
            else:
                self.now[path] = node

    def follow(self, r):
        self.sequence += 1
        if r.kind == "open":
            self._open(r)
        elif r.kind in ("write", "size", "reserve"):
            self.handles[r.handle].pending.append((self.sequence, r.kind, r.a, r.data))
        elif r.kind == "sync_begin":
            self.begun[r.handle] = self.sequence
        elif r.kind == "sync_end":
            self.handles[r.handle].sync(self.begun[r.handle])
        elif r.kind == "mkdir":
            self._change((self._name(r.data), Directory()))
        elif r.kind == "unlink":
            self._change((self._name(r.data), None))
        elif r.kind in ("rename", "link"):
            old, new = map(self._name, r.data.split(b"\0"))
            gone = [(old, None)] if r.kind == "rename" else []
            self._change((new, self.now[old]), *gone)

    @staticmethod
    def _name(data):
        name = os.path.normpath(data.decode())
        return "" if name == "." else name

    def _open(self, r):
        name = self._name(r.data)
        if r.b == CREATED:
            self._change((name, File()))
        node = self.now.get(name)
        if node is None:  # opened before anything was made: the root itself, or nothing of ours
            node = File()
        self.handles[r.handle] = node
        if r.a & O_TRUNC and isinstance(node, File) and r.b != CREATED:
            node.pending.append((self.sequence, "size", 0, b""))

    def new_process(self):
        """The process is gone; what it wrote is still seen."""
        self.handles.clear()
        self.begun.clear()

    def save(self, path, how, dice):
        self.root.save(path, how, dice)
