"""The processes a benchmark is made of, each started and stopped by it alone.

Servers listen on loopback, on free ports, and keep everything under a directory of the run.
"""
import contextlib, http.client, json, os, pathlib, re, shutil, signal, socket, sqlite3, subprocess, time

import machine


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_until(ready, seconds, what):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f'{what}: not within {seconds} s')
        time.sleep(0.01)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1) as s:
        return s.recv(3) == b'220'
    return False


def make_certificate(directory):
    """A certificate for localhost; returns (certificate, key)."""
    cert, key = os.path.join(directory, 'cert.pem'), os.path.join(directory, 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
                    '-keyout', key, '-out', cert], check=True, capture_output=True)
    return cert, key


class Process:
    """A child that ends with us, its output in a file."""

    def __init__(self, command, log):
        self.log = pathlib.Path(log)
        with open(log, 'wb') as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.pid = self.child.pid

    def stop(self, seconds=30):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def cpu_s(self):
        return sum(machine.threads_s(self.pid).values())


class SmtpSink(Process):
    """Postfix's smtp-sink; counts on its standard output."""
    name = 'smtp-sink'

    def __init__(self, directory):
        self.port = free_port()
        user = ['-u', 'nobody'] if os.getuid() == 0 else []
        super().__init__(['smtp-sink', *user, '-c', f'127.0.0.1:{self.port}', '1000'], f'{directory}/sink-{self.port}.log')
        wait_until(lambda: answers(self.port), 5, 'smtp-sink')

    def count(self):
        with open(self.log, 'rb') as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 200))
            found = re.findall(rb'mesg=(\d+)[\s\0]', f.read() + b' ')
        return int(found[-1]) if found else 0


class OurSink(Process):
    """`posthouse sink`; counts the lines of its count file."""
    name = 'posthouse sink'

    def __init__(self, program, directory, tls=None, certificate=None):
        self.port = free_port()
        self.lines, self.read = 0, 0
        self.counted = f'{directory}/sink-{self.port}.count'
        secure = ['--tls', tls, '--cert', certificate[0], '--key', certificate[1]] if tls else []
        super().__init__([program, 'sink', '--listen', f'127.0.0.1:{self.port}', '--count', self.counted, *secure],
                         f'{directory}/sink-{self.port}.log')
        wait_until(lambda: answers(self.port), 5, 'posthouse sink')

    def count(self):
        with contextlib.suppress(FileNotFoundError), open(self.counted, 'rb') as f:
            f.seek(self.read)
            new = f.read()
            self.read += len(new)
            self.lines += new.count(b'\n')
        return self.lines


class Posthouse:
    """`posthouse serve` on a data directory of its own, with one relay."""
    name = 'Posthouse'

    def __init__(self, program, directory, relay_port, tls='none', ca_file=None, settings=()):
        self.program, self.data = program, os.path.join(directory, f'posthouse-{relay_port}')
        self.port, self.http_port = free_port(), free_port()
        self.settings = [*settings]
        self.process = None
        self.start()
        relay = {'name': 'main', 'host': 'localhost' if tls != 'none' else '127.0.0.1', 'port': relay_port, 'tls': tls,
                 'max_connections': 50}
        if ca_file:
            relay['ca_file'] = ca_file
        self.call('POST', '/relays', relay)

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        """Starts and returns the seconds until it was ready."""
        began = time.monotonic()
        self.process = Process([self.program, 'serve', '--data', self.data, '--smtp', f'127.0.0.1:{self.port}', '--smtps',
                                'none', '--http', f'127.0.0.1:{self.http_port}', *self.settings], self.data + '.log')
        wait_until(lambda: self.ended() or 'serve.ready' in self.process.log.read_text(), 60, 'posthouse serve')
        if self.ended():
            raise RuntimeError('posthouse serve ended: ' + self.process.log.read_text()[-500:])
        return time.monotonic() - began

    def ended(self):
        return self.process.child.poll() is not None

    def stop(self):
        self.process.stop()

    def call(self, method, path, body=None):
        """One request over the control socket; the answer as JSON, or the text where it is none."""
        connection = http.client.HTTPConnection('localhost')
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.path.join(self.data, 'control.sock'))
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {'Content-Type': 'application/json'} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f'{method} {path}: {answer.status} {text}')
        return json.loads(text) if text.startswith(('{', '[')) else text

    def key(self):
        """The admin's API key."""
        return pathlib.Path(self.data, 'admin.key').read_text().strip()

    def pause(self):
        self.call('POST', '/relays/main/pause', {'why': 'the backlog is being filled'})

    def resume(self):
        self.call('POST', '/relays/main/resume')

    def resume_stopped(self):
        """The same with the service stopped, so that its next start finds the relay ready."""
        with contextlib.closing(sqlite3.connect(f'{self.data}/mail.db')) as db:
            db.execute("UPDATE relay SET state = 'active', state_why = NULL")
            db.commit()

    def totals(self):
        """The counters, added up over accounts."""
        with contextlib.closing(sqlite3.connect(f'file:{self.data}/mail.db?mode=ro', uri=True)) as db:
            db.row_factory = sqlite3.Row
            rows = db.execute('SELECT * FROM totals').fetchall()
        return {key: sum(row[key] for row in rows) for key in (rows[0].keys() if rows else ()) if key != 'account'}

    def is_idle(self):
        return self.totals().get('queued', 0) == 0

    def cpu(self):
        return machine.threads_s(self.pid)


MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60    1 pickup
cleanup   unix n - n -     0 cleanup
qmgr      unix n - n 300   1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
tlsproxy  unix - - n -     0 tlsproxy
rewrite   unix - - n -     - trivial-rewrite
bounce    unix - - n -     0 bounce
defer     unix - - n -     0 bounce
trace     unix - - n -     0 bounce
verify    unix - - n -     1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n -     - proxymap
proxywrite unix - - n -    1 proxymap
smtp      unix - - n -     - smtp
relay     unix - - n -     - smtp
showq     unix n - n -     - showq
error     unix - - n -     - error
retry     unix - - n -     - error
discard   unix - - n -     - discard
anvil     unix - - n -     1 anvil
scache    unix - - n -     1 scache
"""

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
myhostname = postfix.bench.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{relay_port}
smtpd_relay_restrictions = permit_mynetworks, reject
append_dot_mydomain = no
biff = no
readme_directory = no
smtpd_tls_security_level = may
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtp_tls_security_level = {out_tls}
smtp_tls_CAfile = {cert}
smtpd_tls_session_cache_database = btree:${{data_directory}}/smtpd_scache
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache
"""


class Postfix:
    """An instance of its own beside whatever runs on the system: Debian's defaults, a relayhost, no chroot."""
    name = 'Postfix'
    used_s = 0  # seconds of processor of all instances that were stopped; they are no children of ours

    @staticmethod
    def missing():
        """Why it cannot be measured here, or None."""
        if shutil.which('postfix') is None:
            return 'postfix is not installed'
        return 'Postfix can only be started by root' if os.getuid() != 0 else None

    def __init__(self, directory, relay_port, certificate, tls='none'):
        base = os.path.join(directory, f'postfix-{relay_port}')
        self.config, self.base = os.path.join(base, 'etc'), base
        self.port = free_port()
        for made in (self.config, base + '/queue', base + '/data'):
            os.makedirs(made)
        shutil.chown(base + '/data', 'postfix', 'postfix')
        pathlib.Path(self.config, 'master.cf').write_text(MASTER_CF.format(port=self.port))
        pathlib.Path(self.config, 'main.cf').write_text(MAIN_CF.format(
            base=base, relay_port=relay_port, cert=certificate[0], key=certificate[1],
            out_tls='may' if tls == 'none' else 'encrypt'))
        self.run('start')
        wait_until(lambda: answers(self.port), 20, 'postfix')
        self.pid = int(pathlib.Path(base, 'queue/pid/master.pid').read_text())

    def run(self, what):
        done = subprocess.run(['postfix', '-c', self.config, what], capture_output=True, text=True)
        if done.returncode != 0 and what == 'start':
            raise RuntimeError('postfix start: ' + done.stderr[-500:])

    def stop(self):
        Postfix.used_s += machine.family_s(self.pid)
        self.run('stop')

    def is_idle(self):
        return not any(os.path.isfile(os.path.join(at, name)) for queue in ('incoming', 'active', 'deferred')
                       for at, _, names in os.walk(f'{self.base}/queue/{queue}') for name in names)

    def cpu(self):
        return {'all': machine.family_s(self.pid)}
