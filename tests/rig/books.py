"""The service's books, read from a copy of its database while it is down.

This is the second opinion: the counters of the accounting equation are compared with the rows that
they are supposed to count."""
import os
import shutil
import sqlite3
import tempfile

STATES = ["queued", "in_doubt", "held", "captured", "sent", "bounced", "expired", "failed",
          "cancelled", "suppressed", "unknown"]


class Books:
    """Everything a test asks about, from DATA as it is now (or as a crash has left it)."""

    def __init__(self, data):
        self.copy = tempfile.mkdtemp(prefix="posthouse-books-")
        try:
            for name in ("mail.db", "mail.db-wal"):
                path = os.path.join(data, name)
                if os.path.exists(path):
                    shutil.copyfile(path, os.path.join(self.copy, name))
            self.db = sqlite3.connect(os.path.join(self.copy, "mail.db"))
            self.db.row_factory = sqlite3.Row
        except BaseException:
            shutil.rmtree(self.copy)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.db.close()
        shutil.rmtree(self.copy, ignore_errors=True)

    def is_empty(self):
        """True before the first migration was committed."""
        return self.db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'totals'").fetchone()[0] == 0

    def totals(self):
        row = self.db.execute(
            "SELECT " + ", ".join("total(%s) AS %s" % (c, c) for c in
                                  ["accepted", "generated", "queued"] + STATES[1:2] + STATES[3:])
            + " FROM totals").fetchone()
        return {k: int(row[k]) for k in row.keys()}

    def wrongs(self):
        """What does not add up, in words; empty when all does."""
        if self.is_empty():
            return []
        wrong = []
        t = self.totals()
        sides = t["accepted"] + t["generated"], sum(v for k, v in t.items() if k not in ("accepted", "generated"))
        if sides[0] != sides[1]:
            wrong.append("accepted + generated = %d, but the states add up to %d: %s" % (*sides, t))
        counted = dict.fromkeys(STATES, 0)
        for state, n in self.db.execute("SELECT state, count(*) FROM recipient GROUP BY state"):
            counted[STATES[state]] = n
        counted["queued"] += counted.pop("held")
        for name, n in counted.items():
            if n != t[name]:
                wrong.append("%d recipients are %s, but the counter says %d" % (n, name, t[name]))
        check = self.db.execute("PRAGMA integrity_check").fetchone()[0]
        if check != "ok":
            wrong.append("the database is damaged: " + check)
        lost = self.db.execute("SELECT count(*) FROM recipient r LEFT JOIN message m ON m.id = r.msg"
                               " WHERE m.id IS NULL").fetchone()[0]
        if lost:
            wrong.append("%d recipients have no message" % lost)
        return wrong

    def messages(self):
        return self.db.execute("SELECT * FROM message ORDER BY id").fetchall()

    def recipients(self):
        """Rows of recipient, with `name` (the state), `mid` (Message-ID) and `kind`."""
        rows = self.db.execute("SELECT r.*, m.message_id AS mid, m.kind, m.sender, m.n_rcpt"
                               " FROM recipient r JOIN message m ON m.id = r.msg ORDER BY r.id")
        return [dict(r, name=STATES[r["state"]]) for r in rows]

    def attempts(self):
        return self.db.execute("SELECT * FROM attempt ORDER BY id").fetchall()
