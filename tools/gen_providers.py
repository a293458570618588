#!/usr/bin/env python3
"""Turn data/providers.txt into the tables of relay/provider_data.h.

usage: gen_providers.py PROVIDERS PROVIDERS_C SAMPLES_C

The head of the data file says what its fields mean. A fact without certainty, date and source, a server without a
port, two providers with one name: all that fails the build.
"""
import re, sys

CERTAINTIES = 'verified documented reported guess'.split()
TLS = {'implicit': 'RELAY_TLS_IMPLICIT', 'starttls': 'RELAY_TLS_STARTTLS', 'none': 'RELAY_TLS_NONE'}
LOGINS = 'address local constant issued secret none'.split()
SECRETS = 'authorization-code app-password password smtp-password api-key oauth'.split()
LETTERS = 'any lower alnum dashed hex base64'.split()
SENDERS = 'login verified any'.split()
KNOWN = {'yes': 'RELAY_YES', 'no': 'RELAY_NO', 'option': 'RELAY_BY_OPTION'}
LIMITS = 'connections recipients messages size'.split()
PER = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
PLAIN = 'family title title-zh aliases hosts domains mx connections recipients'.split()
FACTS = 'login sender null-sender sent-copy message-id date'.split()
MANY = 'smtp imap secret how how-zh limit note note-zh wrong +'.split()


class Bad(Exception):
    pass


def records(lines):
    """(line number, [(field, value)]) for each record."""
    rec, start = [], 0
    for no, line in enumerate(lines + [''], 1):
        line = line.rstrip('\n')
        if line.startswith('#'):
            continue
        if not line.strip():
            if rec:
                yield start, rec
            rec = []
            continue
        if not rec:
            start = no
        key, _, value = line.partition(' ')
        rec.append((key, value.strip()))


def quote(s):
    out = ''
    for b in s.encode():
        c = chr(b)
        out += '\\' + c if c in '"\\' else c if 32 <= b < 127 else f'\\{b:03o}'
    return f'"{out}"'


def ident(word):
    return word.upper().replace('-', '_')


class Provider:
    def __init__(self, name, sources):
        self.name, self.sources = name, sources
        self.one, self.servers, self.secrets, self.limits, self.notes, self.wrong, self.samples = {}, [], [], [], [], [], []

    def fact(self, value):
        """Cuts "[certainty date source]" off the end: (value, C initialiser)."""
        m = re.fullmatch(r'(.*?)\s*\[(\w+) (\d{4}(?:-\d\d){0,2}) ([^]]+)\]', value)
        if not m or m[2] not in CERTAINTIES:
            raise Bad(f'"{value}" must end with [certainty date source]')
        source = self.sources.get(m[4], m[4])
        return m[1], f'{{ RELAY_FACT_{ident(m[2])}, {quote(m[3])}, {quote(source)} }}'

    def server(self, use, value):
        value, fact = self.fact(value)
        m = re.fullmatch(r'(\S+) (\d+) (implicit|starttls|none)(?: for (.+))?', value)
        if not m or not 0 < int(m[2]) < 65536 or m[1].count('*') > 1:
            raise Bad(f'"{value}" must read HOST PORT TLS, perhaps with "for DOMAIN ..."')
        self.servers.append(f'{{ RELAY_SERVER_{use.upper()}, {quote(m[1])}, {m[2]}, {TLS[m[3]]}, {quote(m[4] or "")}, {fact} }}')

    def secret(self, value):
        value, fact = self.fact(value)
        m = re.fullmatch(r'(\S+)(?: (\d+)(?:-(\d+))?)?(?: (any|lower|alnum|dashed|hex|base64))?(?: prefix (\S+))?', value)
        if not m or m[1] not in SECRETS:
            raise Bad(f'"{value}" must read KIND [N|N-M] [LETTERS] [prefix P]')
        low = int(m[2] or 0)
        self.secrets.append({'kind': m[1], 'min': low, 'max': int(m[3] or low), 'letters': m[4] or 'any', 'prefix': m[5] or '', 'fact': fact})

    def limit(self, value):
        value, fact = self.fact(value)
        m = re.fullmatch(r'(\w+) (\d+)(M?)(?:/(\d*)([smhd]))?', value)
        if not m or m[1] not in LIMITS or (m[1] in ('connections', 'size') and m[5]) or (m[1] == 'messages' and not m[5]):
            raise Bad(f'"{value}" is no limit')
        count = int(m[2]) * (1 << 20 if m[3] else 1)
        per = int(m[4] or 1) * PER[m[5]] if m[5] else 0
        self.limits.append(f'{{ RELAY_LIMIT_{ident(m[1])}, {count}u, {per}, {fact} }}')

    def put(self, key, value):
        if key in ('smtp', 'imap'):
            self.server(key, value)
        elif key == 'secret':
            self.secret(value)
        elif key in ('how', 'how-zh'):
            if not self.secrets or key in self.secrets[-1]:
                raise Bad(f'"{key}" must follow the secret that it is about')
            self.secrets[-1][key] = value
        elif key == 'limit':
            self.limit(value)
        elif key == 'note':
            value, fact = self.fact(value)
            m = re.fullmatch(r'(\d{4}(?:-\d\d){0,2}) (.+\.)', value)
            if not m:
                raise Bad('a note begins with its date and is a sentence')
            self.notes.append([m[1], m[2], '', fact])
        elif key == 'note-zh':
            if not self.notes or self.notes[-1][2]:
                raise Bad('"note-zh" must follow its note')
            self.notes[-1][2] = value
        elif key == 'wrong':
            self.wrong.append(value.split())
            if len(self.wrong[-1]) != 2:
                raise Bad('"wrong" names a host and the right one')
        elif key == '+':
            kind, _, text = value.partition(' ')
            if kind not in ('host', 'domain', 'mx'):
                raise Bad('a sample is of host, domain or mx')
            self.samples.append((kind, text))
        elif key in PLAIN + FACTS:
            if key in self.one:
                raise Bad(f'"{key}" stands twice')
            self.one[key] = value
        else:
            raise Bad(f'there is no field "{key}"')

    def checked(self, key, words):
        if key not in self.one:
            return None, '{ 0 }'
        value, fact = self.fact(self.one[key])
        if value.split()[0] not in words:
            raise Bad(f'{key} must be one of: {" ".join(words)}')
        return value, fact

    def table(self, c, no, name, type_, rows):
        if not rows:
            return 'NULL', 0
        c.append(f'static const struct {type_} p{no}_{name}[] = {{\n\t' + ',\n\t'.join(rows) + ',\n};')
        return f'p{no}_{name}', len(rows)

    def write(self, no, c):
        for key in ('title', 'title-zh', 'connections', 'recipients'):
            if key not in self.one:
                raise Bad(f'"{key}" is missing')
        if not self.samples:
            raise Bad('a sample is missing')
        for s in self.secrets:
            if ('how' in s) != ('how-zh' in s):
                raise Bad('"how" and "how-zh" go together')
        if any(not n[2] for n in self.notes):
            raise Bad('a note has no "note-zh"')
        row = [f'.name = {quote(self.name)}']
        for key in ('family', 'title', 'title-zh', 'aliases', 'hosts', 'domains', 'mx'):
            row.append(f'.{key.replace("-", "_")} = {quote(self.one.get(key, ""))}')
        row += [f'.max_connections = {int(self.one["connections"])}', f'.max_recipients = {int(self.one["recipients"])}']
        tables = [
            ('server', 'relay_provider_server', self.servers),
            ('secret', 'relay_provider_secret', [
                f'{{ RELAY_SECRET_{ident(s["kind"])}, {s["min"]}, {s["max"]}, RELAY_LETTERS_{ident(s["letters"])}, '
                f'{quote(s["prefix"])}, {quote(s.get("how", ""))}, {quote(s.get("how-zh", ""))}, {s["fact"]} }}' for s in self.secrets]),
            ('limit', 'relay_provider_limit', self.limits),
            ('note', 'relay_provider_note', [f'{{ {quote(d)}, {quote(t)}, {quote(z)}, {f} }}' for d, t, z, f in sorted(self.notes)]),
        ]
        for name, type_, rows in tables:
            ref, n = self.table(c, no, name, type_, rows)
            row += [f'.{name}s = {ref}', f'.{name}_count = {n}']
        ref, n = self.table(c, no, 'wrong', 'relay_provider_wrong', [f'{{ {quote(a)}, {quote(b)} }}' for a, b in self.wrong])
        row += [f'.wrong = {ref}', f'.wrong_count = {n}']
        value, fact = self.checked('login', LOGINS)
        if value:
            word = value.split()[1:]
            if (value.split()[0] == 'constant') != bool(word):
                raise Bad('"login constant" names the word, and nothing else does')
            row += [f'.login = RELAY_LOGIN_{ident(value.split()[0])}', f'.login_fact = {fact}']
        row.append(f'.login_word = {quote(" ".join(word) if value else "")}')
        value, fact = self.checked('sender', SENDERS)
        if value:
            row += [f'.sender = RELAY_SENDER_{ident(value)}', f'.sender_fact = {fact}']
        for key, field in (('null-sender', 'null_sender'), ('sent-copy', 'keeps_sent'), ('message-id', 'keeps_message_id'), ('date', 'keeps_date')):
            value, fact = self.checked(key, KNOWN)
            if value:
                row += [f'.{field} = {KNOWN[value]}', f'.{field}_fact = {fact}']
        return '\t{ ' + ',\n\t\t'.join(row) + ' },'


def main():
    src, rows_path, samples_path = sys.argv[1:4]
    sources, providers, tables, rows, samples, names = {}, [], [], [], [], {}
    try:
        for line, rec in records(open(src, encoding='utf-8').readlines()):
            try:
                if rec[0][0] == 'source':
                    for key, value in rec:
                        tag, _, text = value.partition(' ')
                        if key != 'source' or not text:
                            raise Bad('a source has a short name and a text')
                        sources[tag] = text
                    continue
                if rec[0][0] != 'provider':
                    raise Bad('a record begins with "provider"')
                p = Provider(rec[0][1], sources)
                for key, value in rec[1:]:
                    p.put(key, value)
                for word in [p.name] + p.one.get('aliases', '').split():
                    if names.setdefault(word, p) is not p:
                        raise Bad(f'"{word}" is the name of another provider')
                rows.append(p.write(len(providers), tables))
                providers.append(p)
                samples += [f'\t{{ RELAY_SAMPLE_{ident(k)}, {quote(t)}, {quote(p.name)} }},' for k, t in p.samples]
            except Bad as e:
                raise Bad(f'line {line}, {rec[0][1]}: {e}')
        for p in providers:
            if p.one.get('family', p.name) not in names:
                raise Bad(f'{p.name}: there is no provider "{p.one["family"]}"')
    except Bad as e:
        sys.exit(f'{src}: {e}')
    head = '/* Made by gen_providers.py. */\n#include "relay/provider_data.h"\n\n'
    with open(rows_path, 'w') as f:
        f.write(head + '\n'.join(tables) + '\n\nconst struct relay_provider relay_providers[] = {\n' + '\n'.join(rows))
        f.write(f'\n}};\nconst size_t relay_providers_count = {len(rows)};\n')
    with open(samples_path, 'w') as f:
        f.write(head + 'const struct relay_provider_sample relay_provider_samples[] = {\n' + '\n'.join(samples))
        f.write(f'\n}};\nconst size_t relay_provider_sample_count = {len(samples)};\n')


main()
