"""Postfix and Dovecot of this test alone: own configuration, queue, ports and users' mail; the system's
instances are neither used nor touched. And a certificate authority of our own."""
import os
import pwd
import shutil
import socket
import subprocess
import threading

import pytest
from rig import Child, free_port, listens

DAEMONS = "/usr/lib/postfix/sbin"


def need(*programs):
    for p in programs:
        if shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            pytest.skip("%s is not installed" % p)


def run(*args, **more):
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 0, "%s: %s %s" % (" ".join(args), done.stdout, done.stderr)
    return done.stdout


class Authority:
    """A private CA; `cert(name)` gives (certificate file, key file) for a host name."""

    def __init__(self, place):
        self.place = place
        self.ca = os.path.join(place, "ca.pem")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=Private test authority", "-days", "2", "-keyout", os.path.join(place, "ca.key"),
            "-out", self.ca)

    def cert(self, name):
        at = os.path.join(self.place, name)
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=" + name, "-keyout", at + ".key", "-out", at + ".csr")
        with open(at + ".ext", "w") as f:
            f.write("subjectAltName=DNS:%s\n" % name)
        run("openssl", "x509", "-req", "-in", at + ".csr", "-CA", self.ca, "-CAkey", self.ca[:-4] + ".key",
            "-CAcreateserial", "-days", "2", "-extfile", at + ".ext", "-out", at + ".pem")
        return at + ".pem", at + ".key"


class Dovecot(Child):
    """Only its authentication service, on a port. `users`: name -> password."""

    def __init__(self, place, users):
        need("dovecot")
        d = os.path.join(place, "dovecot")
        os.makedirs(d)
        self.port = free_port()
        with open(os.path.join(d, "users"), "w") as f:
            f.write("".join("%s:{PLAIN}%s\n" % u for u in users.items()))
        os.chmod(os.path.join(d, "users"), 0o644)
        with open(os.path.join(d, "dovecot.conf"), "w") as f:
            f.write("""
protocols =
listen = 127.0.0.1
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
auth_verbose = yes
passdb {{
  driver = passwd-file
  args = username_format=%u {d}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  client_limit = 10
}}
""".format(d=d, port=self.port))
        super().__init__(["/usr/sbin/dovecot", "-F", "-c", os.path.join(d, "dovecot.conf")],
                         os.path.join(d, "out.log"))
        listens(self.port)


class AccessTable:
    """What Postfix says to recipients: a table that it asks over a socket (socketmap_table(5)), so that
    it can change at any time. A dict: recipient -> action of access(5)."""

    def __init__(self):
        self.rows = {}
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            peer, _ = self.server.accept()
            threading.Thread(target=self._answer, args=(peer.makefile("rwb"),), daemon=True).start()

    def _answer(self, f):
        while length := b"".join(iter(lambda: f.read(1).rstrip(b":"), b"")):  # a netstring
            key = f.read(int(length) + 1)[:-1].decode().split(" ", 1)[1]
            answer = ("OK " + self.rows[key] if key in self.rows else "NOTFOUND ").encode()
            f.write(b"%d:%s," % (len(answer), answer))
            f.flush()


class Postfix(Child):
    """Takes mail for peer.example into one mailbox, and relays the rest to `relayhost`, if given.

    `smtp` and `smtps` are its ports; `access` what it says to recipients."""

    def __init__(self, place, cert=None, auth=None, relayhost=None, name="postfix"):
        need("postfix", "postconf")
        if os.geteuid() != 0:
            pytest.skip("Postfix can be started by root only")
        self.dir = os.path.join(place, name)
        self.conf = os.path.join(self.dir, "conf")
        for sub in ("conf", "queue", "data", "mail"):
            os.makedirs(os.path.join(self.dir, sub))
        os.chown(os.path.join(self.dir, "data"), pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(os.path.join(self.dir, "mail"), pwd.getpwnam("nobody").pw_uid, -1)
        self.smtp, self.smtps = free_port(), free_port()
        self.table = AccessTable()
        self.access = self.table.rows
        self._write("main.cf", self._main(cert, auth, relayhost))
        self._write("master.cf", self._master(cert))
        self._start()

    def _start(self):
        super().__init__(["/usr/sbin/postfix", "-c", self.conf, "start-fg"], os.path.join(self.dir, "out.log"))
        listens(self.smtp)

    def again(self):
        """The same, started once more after it was stopped."""
        self._start()

    def _write(self, name, text):
        with open(os.path.join(self.conf, name), "w") as f:
            f.write(text)

    def _main(self, cert, auth, relayhost):
        nobody = pwd.getpwnam("nobody")
        lines = {
            "compatibility_level": "3.6", "queue_directory": self.dir + "/queue",
            "data_directory": self.dir + "/data", "command_directory": "/usr/sbin",
            "daemon_directory": DAEMONS, "maillog_file": self.dir + "/mail.log",
            "maillog_file_prefixes": self.dir, "myhostname": "mx.example", "mydestination": "",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "alias_maps": "", "alias_database": "",
            "smtputf8_enable": "yes", "virtual_mailbox_domains": "peer.example",
            "virtual_mailbox_maps": "static:inbox/", "virtual_mailbox_base": self.dir + "/mail",
            "virtual_uid_maps": "static:%d" % nobody.pw_uid, "virtual_gid_maps": "static:%d" % nobody.pw_gid,
            "virtual_minimum_uid": "1", "smtpd_peername_lookup": "no", "message_size_limit": "20000000",
            "smtpd_recipient_restrictions": "check_recipient_access socketmap:inet:127.0.0.1:%d:access, permit"
            % self.table.port,
            "smtpd_relay_restrictions": "permit_sasl_authenticated, %s reject_unauth_destination" % (
                "" if auth else "permit_mynetworks,"),
            "mynetworks": "127.0.0.0/8", "disable_dns_lookups": "yes", "relayhost": relayhost or "",
            "minimal_backoff_time": "2s", "queue_run_delay": "2s", "maximal_backoff_time": "4s",
            "smtpd_client_connection_count_limit": "0", "default_process_limit": "20",
        }
        if cert:
            lines.update(smtpd_tls_cert_file=cert[0], smtpd_tls_key_file=cert[1], smtpd_tls_security_level="may",
                         smtpd_tls_received_header="yes")
        if auth:
            lines.update(smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot",
                         smtpd_sasl_path="inet:127.0.0.1:%d" % auth, smtpd_tls_auth_only="yes")
        return "".join("%s = %s\n" % row for row in lines.items())

    def _master(self, cert):
        rows = ["127.0.0.1:%d inet n - n - - smtpd" % self.smtp]
        if cert:
            rows.append("127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes" % self.smtps)
        rows += ["pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr",
                 "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite",
                 "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce",
                 "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush",
                 "proxymap unix - - n - - proxymap", "proxywrite unix - - n - 1 proxymap",
                 "smtp unix - - n - - smtp", "relay unix - - n - - smtp", "showq unix n - n - - showq",
                 "error unix - - n - - error", "retry unix - - n - - error", "discard unix - - n - - discard",
                 "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache",
                 "postlog unix-dgram n - n - 1 postlogd"]
        return "\n".join(rows) + "\n"

    def stop(self, patience=60):
        """All of it: a master alone would leave servers behind that have a client."""
        if self.is_up():
            run("/usr/sbin/postfix", "-c", self.conf, "stop")
        return super().stop(patience)

    def mails(self):
        """What is in its mailbox, as bytes."""
        new = os.path.join(self.dir, "mail", "inbox", "new")
        if not os.path.isdir(new):
            return []
        return [open(os.path.join(new, n), "rb").read() for n in sorted(os.listdir(new))]

    def log_text(self):
        with open(self.dir + "/mail.log") as f:
            return f.read()
