"""Mailboxes read over IMAP from a real Dovecot, filled by a real Postfix: checks, probes into inbox and junk,
and bounces that come home."""
import json
import os
import pwd
import subprocess
import time

import pytest
from rig import ApiError, Child, Service, Smtp, free_port, listens, program
from servers import Authority, Postfix, need

SECRET = "s3cret of the mailbox"
USERS = ["home", "junky", "desk", "bounces"]
# Where dovecot-imapd has its programs; another place where the package is only unpacked.
PROGRAMS = os.environ.get("DOVECOT_IMAP_DIR", "/usr/lib/dovecot")
SERVICES = ["imap", "imap-hibernate", "imap-urlauth", "imap-urlauth-login", "imap-urlauth-worker"]


class Imap(Child):
    """Dovecot with the mailboxes of USERS as maildirs below `mail`; in the clear with STARTTLS, and in TLS."""

    def __init__(self, place, cert, mail):
        if not os.path.exists(PROGRAMS + "/imap"):
            pytest.skip("dovecot-imapd is not installed")
        d = os.path.join(place, "imap")
        os.makedirs(d)
        self.port, self.tls_port = free_port(), free_port()
        nobody = pwd.getpwnam("nobody")
        with open(os.path.join(d, "users"), "w") as f:
            f.write("".join("%s:{PLAIN}%s\n" % (u, SECRET) for u in USERS))
        os.chmod(os.path.join(d, "users"), 0o644)
        with open(os.path.join(d, "dovecot.conf"), "w") as f:
            f.write("""
protocols = imap
listen = 127.0.0.1
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_verbose = yes
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:{mail}/%n
passdb {{
  driver = passwd-file
  args = username_format=%n {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%n
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
}}
{services}
service imap-login {{
  executable = {programs}/imap-login
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  client_limit = 10
}}
""".format(d=d, cert=cert[0], key=cert[1], uid=nobody.pw_uid, gid=nobody.pw_gid, mail=mail, programs=PROGRAMS,
                services="".join("service %s {\n  executable = %s/%s\n}\n" % (s, PROGRAMS, s) for s in SERVICES),
                port=self.port, tls_port=self.tls_port))
        super().__init__(["/usr/sbin/dovecot", "-F", "-c", os.path.join(d, "dovecot.conf")],
                         os.path.join(d, "out.log"))
        listens(self.tls_port)
        self.log_file = os.path.join(d, "dovecot.log")


class Host(Postfix):
    """Delivers into the maildirs, one user's mail into Junk, and takes mail for nobody, to bounce it later."""

    def _main(self, cert, auth, relayhost):
        maps = ", ".join("{ %s@peer.example = %s/ }" % (u, u + ("/.Junk" if u == "junky" else ""))
                         for u in USERS)
        return super()._main(cert, auth, relayhost) + """
virtual_mailbox_domains = peer.example
virtual_mailbox_maps = inline:{ %s }
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = permit
""" % maps


class World:
    def __init__(self, place):
        self.place = place
        self.authority = Authority(place)
        self.cert = self.authority.cert("mx.example")
        self.postfix = Host(place, self.cert)
        self.mail = os.path.join(self.postfix.dir, "mail")
        self.imap = Imap(place, self.cert, self.mail)
        self.service = Service(place, "--mailbox-poll", "1s", "--hostname", "ours.example").start()
        self.api = self.service.api
        self.secret_file = os.path.join(place, "secret")
        with open(self.secret_file, "w") as f:
            f.write(SECRET + "\n")

    def mailbox(self, name, **more):
        options = dict(name=name, host="127.0.0.1", port=self.imap.tls_port, tls="implicit", tls_name="mx.example",
                       ca_file=self.authority.ca, user=name, secret=SECRET, address=name + "@peer.example")
        options.update(more)
        return self.api.post("/mailboxes", options)

    def relay(self, **more):
        options = {"from": ["desk@peer.example"], "tls": "starttls", "tls_name": "mx.example",
                   "ca_file": self.authority.ca}
        options.update(more)
        self.service.add_relay("main", self.postfix.smtp, **options)

    def run(self, *words):
        return subprocess.run([program(), *words, "--data", self.service.data], capture_output=True, text=True,
                              timeout=120)

    def send(self, rcpt, sender="bounces@peer.example", head=""):
        client = Smtp(self.service.port)
        content = "%sFrom: %s\r\nTo: %s\r\nSubject: hello\r\n\r\nGood day.\r\n" % (head, sender, rcpt)
        reply = client.send(sender, [rcpt], content.encode())
        client.quit()
        return reply.split("Kept as ")[1].split()[0]

    def wait_rcpt(self, message, is_it, patience=40):
        end = time.monotonic() + patience
        while True:
            [rcpt] = self.api.get("/emails/" + message)["recipients"]
            if is_it(rcpt):
                return rcpt
            assert time.monotonic() < end, rcpt
            time.sleep(0.2)

    def drop(self, user, content, folder=""):
        """Puts a mail into a mailbox as a server would."""
        new = os.path.join(self.mail, user, folder, "new")
        for d in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.mail, user, folder, d), exist_ok=True)
        nobody = pwd.getpwnam("nobody")
        subprocess.run(["chown", "-R", "%d:%d" % (nobody.pw_uid, nobody.pw_gid), os.path.join(self.mail, user)],
                       check=True)
        name = "%d.%s.host" % (time.time_ns(), user)
        tmp = os.path.join(self.mail, user, folder, "tmp", name)
        with open(tmp, "wb") as f:
            f.write(content)
        os.chown(tmp, nobody.pw_uid, nobody.pw_gid)
        os.rename(tmp, os.path.join(new, name))


@pytest.fixture
def world(place):
    need("openssl", "postfix", "dovecot")
    w = World(place)
    yield w
    w.service.stop()
    w.postfix.stop()
    w.imap.stop()


# ---- check

@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_mailbox_is_added_and_checked(world, tls):
    port = world.imap.tls_port if tls == "implicit" else world.imap.port
    world.drop("home", b"Subject: one\r\n\r\nx\r\n")
    done = world.run("mailbox", "add", "home", "--host", "127.0.0.1", "--port", str(port), "--tls", tls,
                     "--tls-name", "mx.example", "--ca-file", world.authority.ca, "--user", "home",
                     "--secret-file", world.secret_file, "--address", "home@peer.example")
    assert done.returncode == 0, done.stderr
    done = world.run("mailbox", "check", "home")
    assert done.returncode == 0 and "Good" in done.stdout and "INBOX" in done.stdout, done
    check = json.loads(world.run("mailbox", "check", "home", "--json").stdout)
    folders = {f["role"]: f for f in check["folders"]}
    assert check["passed"] and check["has_junk"] and "TLS" in check["tls"]
    assert folders["inbox"]["messages"] == 1 and folders["junk"]["messages"] == 0
    assert SECRET not in world.run("mailbox", "list", "--json").stdout
    assert world.run("mailbox", "list").stdout.count("home@peer.example") == 1
    assert SECRET.encode() not in open(world.service.log, "rb").read()
    assert world.run("mailbox", "remove", "home").returncode == 0
    assert world.run("mailbox", "check", "home").returncode == 5


def test_what_is_wrong_is_told_by_its_stage(world):
    world.mailbox("home", secret="wrong")
    done = world.run("mailbox", "check", "home")
    assert done.returncode == 15 and "auth" in done.stderr, done
    time.sleep(0.5)
    assert open(world.imap.log_file).read().count("auth failed") <= 1, "one check is one try"
    world.api.patch("/mailboxes/home", {"secret": SECRET})
    assert world.run("mailbox", "check", "home").returncode == 0
    world.api.patch("/mailboxes/home", {"tls_name": "other.example"})
    assert world.run("mailbox", "check", "home").returncode == 14
    world.api.patch("/mailboxes/home", {"tls_name": "mx.example", "port": free_port()})
    assert world.run("mailbox", "check", "home").returncode == 12
    with pytest.raises(ApiError, match="secret is missing"):
        world.api.patch("/mailboxes/home", {"host": "elsewhere.example"})
    with pytest.raises(ApiError, match="inside TLS"):
        world.mailbox("plain", host="imap.example", tls="none")
    with pytest.raises(ApiError, match="no mailbox 'nowhere'"):
        world.relay(bounces="nowhere")
    assert [a["what"] for a in world.api.get("/audit")["data"]][-1] == "mailbox.add"


# ---- probes

def probe(world, *words):
    done = world.run("relay", "probe", "main", "--json", *words)
    return done, json.loads(done.stdout) if done.stdout else None


def test_a_probe_that_arrives_is_found_and_judged(world):
    world.mailbox("home")
    world.relay()
    done, report = probe(world)
    assert done.returncode == 0, (done, report)
    [p] = report["probes"]
    assert p["outcome"] == "inbox" and p["from"] == "desk@peer.example" and p["mailbox"] == "home", p
    assert p["message_id_preserved"] and p["date_preserved"] and p["from_preserved"] and p["header_preserved"]
    assert p["body_unchanged"] and not p["links_rewritten"] and p["received_tls"], p
    assert p["return_path"] == "<desk@peer.example>"
    assert report["passed"] and report["preserves_message_id"] is True and report["preserves_date"] is True
    last = world.run("relay", "probe", "main@1", "--last")
    assert last.returncode == 0 and "arrived in INBOX" in last.stdout, last
    # Nothing was marked as seen.
    assert os.listdir(os.path.join(world.mail, "home", "new")), "the probe was moved or marked"
    # A probe is no queued mail.
    assert world.service.totals()["accepted"] == 0


def test_a_probe_in_junk_does_not_pass(world):
    world.mailbox("junky")
    world.relay()
    done, report = probe(world)
    [p] = report["probes"]
    assert p["outcome"] == "junk" and p["folder"] == "Junk" and not report["passed"], p
    assert done.returncode == 19


def test_accepted_but_not_found_is_a_failure(world):
    world.mailbox("home", address="desk@peer.example")  # its mail goes elsewhere
    world.relay()
    done, report = probe(world, "--within", "8")
    [p] = report["probes"]
    assert p["outcome"] == "missing" and "not delivered" in p["sentence"], p
    assert done.returncode == 19 and report["preserves_date"] is None


def test_a_probe_that_is_refused_names_the_stage(world):
    world.mailbox("home")
    world.relay(tls_name="other.example")
    done, report = probe(world)
    [p] = report["probes"]
    assert p["outcome"] == "refused" and p["stage"] == "tls" and done.returncode == 14, p


def test_a_probe_without_what_it_needs_says_what(world):
    world.relay()
    done = world.run("relay", "probe", "main")
    assert done.returncode == 2 and "no mailbox for probes" in done.stderr, done
    world.mailbox("home")
    assert "no version 7" in world.run("relay", "probe", "main@7").stderr
    assert "no mailbox 'x'" in world.run("relay", "probe", "main", "--to", "x").stderr


def test_bounces_and_receiving_are_proven_too(world):
    world.mailbox("home", smtp_relay="")
    world.mailbox("bounces", **{"for": "bounces", "receive": ["desk@peer.example", "bounces@peer.example"]})
    world.relay(bounces="bounces", **{"from": ["bounces@peer.example"]})
    world.service.add_relay("outside", world.postfix.smtp)
    world.api.patch("/mailboxes/home", {"smtp_relay": "outside"})
    world.api.patch("/mailboxes/bounces", {"receive": ["bounces@peer.example"]})
    done, report = probe(world)
    kinds = {p["kind"]: p for p in report["probes"]}
    assert done.returncode == 0, report
    assert kinds["send"]["outcome"] == "inbox"
    assert kinds["bounce"]["outcome"] == "bounced" and "came home" in kinds["bounce"]["sentence"], kinds["bounce"]
    assert kinds["receive"]["outcome"] == "inbox" and kinds["receive"]["from"] == "home@peer.example"


# ---- bounces come home

def test_a_bounce_that_comes_home_is_told_beside_the_message(world):
    world.mailbox("bounces", **{"for": "bounces"})
    world.relay(bounces="bounces", **{"from": ["bounces@peer.example"]})
    good = world.send("home@peer.example")
    message = world.send("nobody@peer.example")
    rcpt = world.wait_rcpt(message, lambda r: r["reports"])
    assert rcpt["state"] == "sent" and rcpt["delivery"] == "bounced", rcpt
    [report] = rcpt["reports"]
    assert report["action"] == "bounced" and report["status"] == "5.1.1", report
    assert report["attribution"] == "recipient" and report["matched_by"] == "message-id"
    assert report["mailbox"] == "bounces" and "bounced later" in rcpt["words"]
    shown = world.run("message", "show", message).stdout
    assert "bounced later" in " ".join(shown.split()), shown
    [other] = world.api.get("/emails/" + good)["recipients"]
    assert other["delivery"] == "unknown" and "delivery unknown" in other["words"], other
    totals = world.service.totals()
    assert totals["sent"] == 2 and totals["bounced"] == 0, "the books stay as they are"
    [row] = world.api.get("/stats")["data"]
    assert row["sent"] == 2 and row["bounced_later"] == 1, row
    # Read once more after a restart, it counts once.
    world.service.stop()
    world.service.start()
    time.sleep(3)
    [rcpt] = world.api.get("/emails/" + message)["recipients"]
    assert len(rcpt["reports"]) == 1
    assert world.api.get("/mailboxes/bounces")["trouble"] is None
    with pytest.raises(ApiError, match="bounces of relay 'main'"):
        world.api.delete("/mailboxes/bounces")


def test_plain_words_and_junk_are_read_and_strangers_are_left_alone(world):
    world.mailbox("bounces", **{"for": "bounces"})
    world.relay(**{"from": ["bounces@peer.example"]})
    message = world.send("home@peer.example", head="Message-ID: <plain-1@ours.example>\r\n")
    world.wait_rcpt(message, lambda r: r["state"] == "sent")
    world.drop("bounces", b"From: ann@peer.example\r\nSubject: lunch?\r\n\r\nhome@peer.example\r\n")
    world.drop("bounces", "From: postmaster@163.com\r\nSubject: =?UTF-8?B?57O757uf6YCA5L+h?=\r\n"
               "Content-Type: text/html; charset=UTF-8\r\n\r\n<p>收件人：home@peer.example</p>"
               "<p>退信原因：对方邮箱空间不足</p>\r\n".encode(), folder=".Junk")
    rcpt = world.wait_rcpt(message, lambda r: r["reports"])
    assert rcpt["delivery"] == "bounced" and rcpt["reports"][0]["status"] == "5.2.2", rcpt
    assert rcpt["reports"][0]["matched_by"] == "address" and "address alone" in rcpt["words"]


def test_a_mailbox_that_cannot_be_read_says_so_and_recovers(world):
    world.mailbox("bounces", **{"for": "bounces", "secret": "wrong"})
    end = time.monotonic() + 20
    while not (box := world.api.get("/mailboxes/bounces"))["trouble"]:
        assert time.monotonic() < end, box
        time.sleep(0.2)
    assert box["trouble"].startswith("auth"), box
    assert "auth" in world.run("mailbox", "list").stdout
    world.api.patch("/mailboxes/bounces", {"secret": SECRET})
    while world.api.get("/mailboxes/bounces")["trouble"]:
        assert time.monotonic() < end + 20
        time.sleep(0.2)
