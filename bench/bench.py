#!/usr/bin/env python3
"""Posthouse and Postfix side by side: figures and ratios.

usage: bench.py --program build/posthouse [--quick] [--only NAME ...] [--json FILE] [--dir DIR]

Everything runs on this machine over loopback, with servers of its own. Figures of one run may be compared with each
other, those of different runs hardly: machines drift. Pairs are measured alternately and the median is given. A slow
machine is no failure: the exit status says only whether everything could be measured.
"""
import argparse, json, os, pathlib, shutil, signal, sqlite3, statistics, subprocess, sys, tempfile, time

import machine, servers
from servers import OurSink, Postfix, Posthouse, SmtpSink, wait_until

KB4, KB100 = 4096, 102400


class Bench:
    """The run: its directory, its options, and the rows of figures."""

    def __init__(self, options, directory):
        self.options, self.directory, self.quick = options, directory, options.quick
        self.program = os.path.abspath(options.program)
        self.load_program = os.path.join(os.path.dirname(self.program), 'bench', 'load')
        self.certificate = servers.make_certificate(directory)
        self.rows, self.running = [], []
        self.postfix_missing = Postfix.missing()

    def size(self, full, quick):
        return quick if self.quick else full

    def started(self, server):
        self.running.append(server)
        return server

    def stop_all(self):
        while self.running:
            self.running.pop().stop()

    def subdirectory(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def row(self, what, unit, figures, goal='', note=''):
        """Adds a line: `figures` maps a subject (posthouse, postfix, ceiling ...) to what was measured."""
        row = {'what': what, 'unit': unit, 'goal': goal, 'note': note,
               **{k: round(v, 1 if abs(v) < 100 else 0) for k, v in figures.items() if v is not None}}
        for other in ('postfix', 'ceiling', 'plain'):
            if 'posthouse' in figures and figures.get(other):
                row['to_' + other] = round(figures['posthouse'] / figures[other], 2)
        self.rows.append(row)
        print(line_of(row), flush=True)

    def load(self, port, *words, key=''):
        """Runs the load generator against `port` to its end; its figures. `key` is the API's, where it needs one."""
        done = subprocess.run([self.load_program, '--to', f'127.0.0.1:{port}', *map(str, words)], capture_output=True,
                              text=True, env={**os.environ, 'LOAD_KEY': key})
        if done.returncode != 0:
            raise RuntimeError('load: ' + done.stderr.strip())
        return json.loads(done.stdout.splitlines()[-1])


def line_of(row):
    figure = lambda v: f'{v:,.0f}' if abs(v) >= 100 else f'{v:,.1f}'
    parts = [f'{name} {figure(row[name])}' for name in row
             if isinstance(row[name], (int, float)) and not name.startswith('to_')]
    parts += [f'{row["to_" + other]:.2f} x {other}' for other in ('postfix', 'ceiling', 'plain') if 'to_' + other in row]
    tail = (f'  goal {row["goal"]}' if row['goal'] else '') + (f'  ({row["note"]})' if row['note'] else '')
    return f'  {row["what"] + ", " + row["unit"]:<52} ' + ', '.join(parts) + tail


def median(runs, key):
    values = [r[key] for r in runs if r.get(key) is not None]
    return statistics.median(values) if values else None


# ---- relaying through ----

def source(sink, to_port, messages, size, persistent):
    """Sends with smtp-source and waits until the sink has everything; rates per second."""
    before, began = sink.count(), time.monotonic()
    command = ['smtp-source', *(['-d'] if persistent else []), '-s', '50', '-m', str(messages), '-l', str(size),
               '-f', 'a@x.example', '-t', 'b@y.example', f'127.0.0.1:{to_port}']
    subprocess.run(command, check=True, capture_output=True)
    accepted = time.monotonic()
    wait_until(lambda: sink.count() - before >= messages, 120, f'{sink.name}: all messages')
    ended = time.monotonic()
    return {'accepted': messages / (accepted - began), 'sent': messages / (ended - began)}


def through(server, sink, messages, size, persistent):
    """The same through a server, with what it used of the processors for each message."""
    before = server.cpu()
    rates = source(sink, server.port, messages, size, persistent)
    time.sleep(0.3)  # what is written after the last delivery belongs to it
    used = {name: (s - before.get(name, 0)) * 1e6 / messages for name, s in server.cpu().items()}
    return {**rates, 'cpu_us': sum(used.values()), 'threads_us': used}


def servers_and_sinks(bench, name, **posthouse_options):
    """Posthouse and Postfix, each before a sink of its own; {subject: (server, sink)}."""
    at = bench.subdirectory(name)
    pairs = {}
    sink = bench.started(SmtpSink(at))
    pairs['posthouse'] = (bench.started(Posthouse(bench.program, at, sink.port, **posthouse_options)), sink)
    if not bench.postfix_missing:
        sink = bench.started(SmtpSink(at))
        pairs['postfix'] = (bench.started(Postfix(at, sink.port, bench.certificate)), sink)
    return pairs


def relay_rows(bench, pairs, what, size, persistent, counts, goals):
    """Ceiling, Posthouse, Postfix, and again."""
    runs = {'ceiling': [], **{subject: [] for subject in pairs}}
    ceiling = bench.started(SmtpSink(bench.directory))
    for _ in range(bench.size(3, 1)):
        runs['ceiling'].append(source(ceiling, ceiling.port, counts['ceiling'], size, persistent))
        for subject, (server, sink) in pairs.items():
            runs[subject].append(through(server, sink, counts[subject], size, persistent))
            wait_until(server.is_idle, 60, server.name)
    for key, unit in (('accepted', 'accepted/s'), ('sent', 'sent/s')):
        bench.row(what, unit, {s: median(r, key) for s, r in runs.items()}, goals.get(key, ''))
    cpu = {s: median(r, 'cpu_us') for s, r in runs.items() if s != 'ceiling'}
    threads = runs['posthouse'][-1]['threads_us']
    bench.row(what, 'CPU us/message', cpu, note=', '.join(f'{n} {v:.0f}' for n, v in
                                                         sorted(threads.items(), key=lambda x: -x[1]) if v >= 1))


def relay_through(bench):
    """4 KB and 100 KB through a relay, with smtp-source and smtp-sink."""
    pairs = servers_and_sinks(bench, 'relay')
    for server, sink in pairs.values():
        source(sink, server.port, 1000, KB4, True)
    n = {'ceiling': bench.size(30000, 15000), 'posthouse': bench.size(20000, 10000), 'postfix': bench.size(4000, 2000)}
    relay_rows(bench, pairs, '4 KB, a connection each', KB4, False, n, {})
    relay_rows(bench, pairs, '4 KB, kept connections', KB4, True, n,
               {'sent': '10 x Postfix, 0.4 of the ceiling'})
    n = {'ceiling': bench.size(6000, 3000), 'posthouse': bench.size(3000, 1500), 'postfix': bench.size(1500, 600)}
    relay_rows(bench, pairs, '100 KB, kept connections', KB100, True, n, {'sent': '4 x Postfix'})


def history(bench):
    """4 KB through a relay with a million messages in the history."""
    if bench.quick:
        print('  left out with --quick')
        return
    at = bench.subdirectory('history')
    sink = bench.started(SmtpSink(at))
    server = bench.started(Posthouse(bench.program, at, sink.port))
    runs = {'fresh': [], 'kept': []}
    for _ in range(3):
        runs['fresh'].append(through(server, sink, 15000, KB4, True))
    server.stop()
    grow_history(server.data, 1_000_000)
    began = server.start()
    if (accepted := server.totals()['accepted']) < 1_000_000:
        raise RuntimeError(f'the history holds {accepted:,} messages only')
    for _ in range(3):
        runs['kept'].append(through(server, sink, 15000, KB4, True))
    bench.row('4 KB behind 1,000,000 messages of history', 'sent/s',
              {'posthouse': median(runs['kept'], 'sent'), 'plain': median(runs['fresh'], 'sent')},
              note=f'plain: without; start took {began:.1f} s')


def grow_history(data, up_to):
    """Copies the messages a stopped store holds until there are `up_to`; all are done, so ids only move up."""
    db = sqlite3.connect(f'{data}/mail.db')
    db.execute('PRAGMA synchronous = OFF')
    db.execute('BEGIN')
    while (have := db.execute('SELECT count(*) FROM message').fetchone()[0]) < up_to:
        wanted = min(have, up_to - have)
        moves = {}
        for table in ('message', 'recipient', 'attempt'):
            low, high = db.execute(f'SELECT min(id), max(id) FROM {table}').fetchone()
            moves[table] = (high + 1 - low, low + wanted)
        shifted = {'message': {'id': 'message', 'first_rcpt': 'recipient'},
                   'recipient': {'id': 'recipient', 'msg': 'message', 'last_attempt': 'attempt'},
                   'attempt': {'id': 'attempt', 'rcpt': 'recipient', 'prev': 'attempt'}}
        for table, keys in shifted.items():
            columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
            values = [f'{c} + {moves[keys[c]][0]}' if c in keys else c for c in columns]
            db.execute(f'INSERT INTO {table} SELECT {", ".join(values)} FROM {table} WHERE id < {moves[table][1]}')
        db.execute('UPDATE totals SET accepted = accepted + ?1, sent = sent + ?1 WHERE accepted > 0', (wanted,))
    db.commit()
    db.close()


# ---- TLS ----

def pushed(bench, server, sink, messages, tls):
    """The same as `through`, with our own generator: it speaks TLS."""
    before, began = sink.count(), time.monotonic()
    cpu = server.cpu() if server else {}
    figures = bench.load(server.port if server else sink.port, '--messages', messages, '--connections', 50, '--tls', tls)
    wait_until(lambda: sink.count() - before >= messages, 120, 'posthouse sink: all messages')
    ended = time.monotonic()
    used = sum(server.cpu().values()) - sum(cpu.values()) if server else 0
    return {'accepted': figures['rate'], 'sent': messages / (ended - began), 'cpu_us': used * 1e6 / messages}


def with_tls(bench):
    """4 KB with TLS on both sides, against the same without."""
    n = bench.size(15000, 8000)
    pairs, runs = {}, {}
    for tls in ('none', 'starttls'):
        at = bench.subdirectory('tls-' + tls)
        kind = None if tls == 'none' else tls
        sink = bench.started(OurSink(bench.program, at, kind, bench.certificate))
        pairs['posthouse', tls] = (bench.started(Posthouse(bench.program, at, sink.port, tls,
                                                           bench.certificate[0] if kind else None)), sink, n)
        pairs['ceiling', tls] = (None, bench.started(OurSink(bench.program, at, kind, bench.certificate)), n)
        if not bench.postfix_missing:
            sink = bench.started(OurSink(bench.program, at, kind, bench.certificate))
            pairs['postfix', tls] = (bench.started(Postfix(at, sink.port, bench.certificate, tls)), sink, n // 5)
    for repeat in range(bench.size(3, 1)):
        for (subject, tls), (server, sink, messages) in pairs.items():
            if repeat == 0:
                pushed(bench, server, sink, 500, tls)
            runs.setdefault((subject, tls), []).append(pushed(bench, server, sink, messages, tls))
            if server:
                wait_until(server.is_idle, 60, server.name)
    for key, unit in (('accepted', 'accepted/s'), ('sent', 'sent/s')):
        figures = {s: median(r, key) for (s, tls), r in runs.items() if tls == 'starttls'}
        bench.row('4 KB, TLS in and out', unit, {**figures, 'plain': median(runs['posthouse', 'none'], key)},
                  '0.7 of plain' if key == 'sent' else '')
    bench.row('4 KB, TLS in and out', 'CPU us/message',
              {s: median(r, 'cpu_us') for (s, tls), r in runs.items() if tls == 'starttls' and s != 'ceiling'})


# ---- HTTP ----

def over_http(bench):
    """POST /emails, 4 KB of JSON, answered when it is synced, on 50 kept connections."""
    at = bench.subdirectory('http')
    sink = bench.started(SmtpSink(at))
    server = bench.started(Posthouse(bench.program, at, sink.port))
    n = bench.size(20000, 8000)
    runs = []
    for _ in range(bench.size(3, 1)):
        before, cpu, began = sink.count(), server.cpu(), time.monotonic()
        figures = bench.load(server.http_port, '--http', '--messages', n, key=server.key())
        wait_until(lambda: sink.count() - before >= n, 120, 'smtp-sink: all messages')
        used = sum(server.cpu().values()) - sum(cpu.values())
        runs.append({'accepted': figures['rate'], 'sent': n / (time.monotonic() - began), 'cpu_us': used * 1e6 / n})
    bench.row('POST /emails, 4 KB', 'accepted/s', {'posthouse': median(runs, 'accepted')}, '5,000')
    bench.row('POST /emails, 4 KB', 'sent/s', {'posthouse': median(runs, 'sent')})
    bench.row('POST /emails, 4 KB', 'CPU us/message', {'posthouse': median(runs, 'cpu_us')})


# ---- latency ----

def latency_rows(bench, what, figures, goal):
    for key, unit in (('accept_us', 'until accepted, ms'), ('accepted_to_arrived_us', 'accepted to sent, ms')):
        spread = figures[key]
        bench.row(what, unit, {k: spread[k] / 1000 for k in ('p50', 'p90', 'p99', 'max') if k in spread},
                  goal if key != 'accept_us' else '')


def latency(bench):
    """From the accepting 250 to the dot at the relay, by the clock."""
    at = bench.subdirectory('latency')
    port = servers.free_port()
    server = bench.started(Posthouse(bench.program, at, port))
    seconds = bench.size(30, 8)
    words = ['--receive', f'127.0.0.1:{port}', '--connections', 50]
    bench.load(server.port, *words, '--messages', 2000)
    wait_until(server.is_idle, 30, 'Posthouse')
    figures = bench.load(server.port, *words, '--rate', 1000, '--messages', 1000 * seconds)
    latency_rows(bench, f'Posthouse at 1,000/s for {seconds} s', figures, 'p50 5 ms, p99 25 ms')
    if not bench.postfix_missing:
        port = servers.free_port()
        server = bench.started(Postfix(at, port, bench.certificate))
        figures = bench.load(server.port, '--receive', f'127.0.0.1:{port}', '--connections', 50, '--rate', 200,
                             '--messages', 200 * bench.size(10, 4))
        latency_rows(bench, 'Postfix at 200/s', figures, '')


def overtaking(bench):
    """Transactional mail while a bulk backlog is sent as fast as it goes."""
    at = bench.subdirectory('overtaking')
    port, bulk = servers.free_port(), bench.size(200_000, 40_000)
    server = bench.started(Posthouse(bench.program, at, port))
    server.pause()
    filled = bench.load(server.port, '--messages', bulk, '--prefix', 'bulk', '--header', 'Precedence: bulk')
    generator = subprocess.Popen([bench.load_program, '--to', f'127.0.0.1:{server.port}', '--receive', f'127.0.0.1:{port}',
                                  '--rate', '100', '--messages', '20000', '--behind', str(int(bulk * 0.95)), '--prefix',
                                  'code', '--connections', '20'], stdout=subprocess.PIPE, text=True)
    server.resume()
    figures = json.loads(generator.communicate(timeout=240)[0].splitlines()[-1])
    rate = figures['others'] / figures['drained_s']
    latency_rows(bench, f'codes behind {bulk:,} bulk recipients', figures, 'p99 50 ms')
    bench.row('the bulk meanwhile', 'sent/s', {'posthouse': rate},
              note=f'taken in at {filled["rate"]:,.0f}/s; {figures["begun"]} codes')


# ---- memory ----

def idle(bench):
    """Memory of 10,000 connections that do nothing."""
    at = bench.subdirectory('idle')
    server = bench.started(Posthouse(bench.program, at, servers.free_port()))
    time.sleep(0.5)
    before = machine.rss_mb(server.pid)[0]
    holder = subprocess.Popen([bench.load_program, '--to', f'127.0.0.1:{server.port}', '--connections', '10000', '--idle',
                               '3'], stdout=subprocess.PIPE, text=True)
    held = holder.stdout.readline().split()[-1]
    after = machine.rss_mb(server.pid)[0]
    holder.communicate()
    bench.row(f'{int(held):,} idle connections', 'MB resident', {'posthouse': after, 'before': before}, '200 MB')


def backlog(bench):
    """A million recipients waiting: memory, and how soon the first one leaves after a start."""
    at = bench.subdirectory('backlog')
    waiting = bench.size(1_000_000, 200_000)
    sink = bench.started(SmtpSink(at))
    server = bench.started(Posthouse(bench.program, at, sink.port))
    server.pause()
    filled = bench.load(server.port, '--messages', waiting // 1000, '--rcpts', 1000, '--connections', 10)
    full = machine.rss_mb(server.pid)[0]
    server.stop()
    server.resume_stopped()
    before = sink.count()
    began = time.monotonic()
    ready = server.start()
    wait_until(lambda: sink.count() > before, 60, 'the first delivery')
    first = time.monotonic() - began
    time.sleep(bench.size(10, 4))
    now, peak = machine.rss_mb(server.pid)
    bench.row(f'{waiting:,} recipients waiting', 'MB resident',
              {'filled': full, 'sending': now, 'posthouse': peak}, '300 MB',
              f'filled at {filled["rate"] * 1000:,.0f} recipients/s')
    bench.row(f'{waiting:,} recipients waiting', 's from start', {'ready': ready, 'first_delivery': first}, '2 s')


# ---- the tools themselves ----

def sinks(bench):
    """What generator and sinks can do without a server between."""
    at = bench.subdirectory('sinks')
    n = bench.size(30000, 10000)
    for sink in (bench.started(SmtpSink(at)), bench.started(OurSink(bench.program, at))):
        runs = [pushed(bench, None, sink, n, 'none') for _ in range(bench.size(3, 1))]
        bench.row(f'load straight to {sink.name}, 4 KB', 'sent/s', {'ceiling': median(runs, 'sent')})


SCENARIOS = {'relay': relay_through, 'tls': with_tls, 'http': over_http, 'latency': latency, 'overtaking': overtaking, 'idle': idle,
             'backlog': backlog, 'history': history, 'sinks': sinks}


def parse():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--program', required=True, help='the posthouse binary in its build directory')
    p.add_argument('--quick', action='store_true', help='smaller and once: under three minutes')
    p.add_argument('--only', nargs='+', choices=SCENARIOS, metavar='NAME', help=', '.join(SCENARIOS))
    p.add_argument('--json', metavar='FILE', help='also write the figures there')
    p.add_argument('--dir', default='/var/tmp', help='on the disk that is to be measured (%(default)s)')
    return p.parse_args()


def run(bench):
    """Every scenario; one that cannot be measured does not keep the others from it."""
    failed = []
    for name in bench.options.only or SCENARIOS:
        print(f'{name}: {SCENARIOS[name].__doc__}', flush=True)
        try:
            SCENARIOS[name](bench)
        except (RuntimeError, OSError, subprocess.SubprocessError, sqlite3.Error) as e:
            failed.append(name)
            print(f'  not measured: {e}', flush=True)
        bench.stop_all()
    return failed


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped on the way out
    if shutil.which('smtp-source') is None and os.path.exists('/usr/sbin/smtp-source'):
        os.environ['PATH'] += ':/usr/sbin'
    directory = tempfile.mkdtemp(prefix='posthouse-bench-', dir=options.dir)
    os.chmod(directory, 0o755)  # Postfix's processes change to a user of their own
    bench = Bench(options, directory)
    began, busy = time.monotonic(), machine.busy_s()
    try:
        facts = machine.facts(directory, bench.program)
        print(', '.join(f'{k} {v}' for k, v in facts.items()))
        if bench.postfix_missing:
            print(f'without Postfix: {bench.postfix_missing}')
        failed = run(bench)
    finally:
        bench.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    took = time.monotonic() - began
    others = machine.busy_s() - busy - machine.own_s() - Postfix.used_s
    facts['others_percent'] = round(max(0, others) * 100 / took / facts['cores'], 1)
    print(f'took {took:.0f} s; others used {facts["others_percent"]} % of the processors'
          + (f'; not measured: {", ".join(failed)}' if failed else ''))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({'machine': facts, 'figures': bench.rows}, indent=1) + '\n')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
