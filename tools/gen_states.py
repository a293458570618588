#!/usr/bin/env python3
"""Draw every table of states (src/*/*_states.def) into docs/states/.

usage: gen_states.py [--check]

With --check nothing is written; the exit status says whether the drawings are those of the tables. A table's head
comment begins "States of WHAT: COLUMN, COLUMN, COLUMN."; its rows are X(NAME, VALUE, SUCCESSOR | SUCCESSOR).
"""
import pathlib, re, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / 'docs' / 'states'
TIMES = {'TIME_NEVER': 'none', 'SECONDS': 's', 'MINUTES': 'min', 'HOURS': 'h'}


class Table:
    def __init__(self, path):
        self.source = path.relative_to(ROOT)
        self.name = path.stem.removesuffix('_states')
        text = path.read_text()
        head = re.match(r'/\*(.*?)\*/', text, re.S)
        if not head:
            raise SystemExit(f'{self.source}: the head comment is missing')
        lines = [re.sub(r'^\s*\*? ?', '', l) for l in head.group(1).strip().split('\n')]
        first, _, rest = '\n'.join(lines).partition('\n\n')
        what, _, columns = ' '.join(first.split()).partition(': ')
        self.title = re.sub(r'^(The s|S)tates of ', '', what)
        columns = re.sub(r'\.( .*)?$', '', columns)
        columns = re.sub(r'^X\((.*)\)$', r'\1', columns)
        self.columns = [c.strip().strip('"') for c in columns.split(',')]
        self.more = ' '.join(re.sub(r'^.*?\.( |$)', '', ' '.join(first.split()), count=1).split()) if not rest else rest
        body = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
        self.rows = [self.row(r) for r in re.findall(r'^X\((.*?)\)\s*$', body, re.S | re.M)]
        names = {r[0] for r in self.rows}
        for name, _, follow in self.rows:
            if set(follow) - names:
                raise SystemExit(f'{self.source}: {name} may be followed by {set(follow) - names}, which is no state')

    def row(self, text):
        name, value, follow = [part.strip() for part in re.split(r',\s*(?![^(]*\))', ' '.join(text.split()), maxsplit=2)]
        return name, self.value(value), re.findall(r'IN\((\w+)\)', follow)

    def value(self, v):
        m = re.fullmatch(r'(\w+)\((\d+)\)', v)
        if m and m.group(1) in TIMES:
            return f'{m.group(2)} {TIMES[m.group(1)]}'
        if v in TIMES:
            return TIMES[v]
        if 'second' in self.columns[1] and v.isdigit():
            return f'{v} s' if v != '0' else 'none'
        return v.strip('"')


def drawing(t):
    """Ends that nearly every state may reach would hide the rest: their arrows are left to the table."""
    into = {n: [r[0] for r in t.rows if n in r[2]] for n, _, _ in t.rows}
    ends = {n for n, _, follow in t.rows if not follow}
    ends |= {n for n, _, follow in t.rows if set(follow) <= ends}
    common = {n for n in ends if len(into[n]) > len(t.rows) * 0.6}
    out = ['```mermaid', 'stateDiagram-v2', f'    [*] --> {t.rows[0][0]}']
    for name, _, follow in t.rows:
        out += [f'    {name} --> {f}' for f in follow if f not in common]
        if not follow:
            out.append(f'    {name} --> [*]')
    out.append('```')
    return out, sorted(common)


def page(t):
    out = [f'# States of {t.title}', '',
           f'Drawn from [`{t.source}`](../../{t.source}) by `tools/gen_states.py`; change the table, then run it.', '']
    lines, common = drawing(t)
    out += lines + ['']
    if common:
        out += [f'Left out of the drawing: the arrows to {", ".join(common)}, where most states may end.', '']
    out += [f'| state | {t.columns[1]} | may be followed by |', '|---|---|---|']
    for name, value, follow in t.rows:
        out.append(f'| {name} | {value} | {", ".join(follow) or "nothing: the end"} |')
    if t.more.strip():
        out += ['', '```text', t.more.rstrip(), '```']
    return '\n'.join(out) + '\n'


def index(tables):
    out = ['# State machines', '',
           'Each is a table in the source; the program asserts that every step is one of its rows. These pages are drawn',
           'from the tables by `tools/gen_states.py`, and `make lint` refuses a drawing that is not current.', '']
    out += [f'* [{t.name}]({t.name}.md): {t.title} (`{t.source}`)' for t in tables]
    out += ['', 'What becomes of a recipient is not a machine of one file but the sum of all: see',
            '[the life of a message](../journeys/accepted-to-sent.md) and `src/store/state.h`.']
    return '\n'.join(out) + '\n'


def main():
    tables = [Table(p) for p in sorted(ROOT.glob('src/*/*_states.def'))]
    pages = {OUT / f'{t.name}.md': page(t) for t in tables} | {OUT / 'README.md': index(tables)}
    stale = [p for p, text in pages.items() if not p.exists() or p.read_text() != text]
    stale += [p for p in OUT.glob('*.md') if p not in pages]
    if '--check' in sys.argv[1:]:
        for p in stale:
            print(f'{p.relative_to(ROOT)} is not what the tables say; run tools/gen_states.py')
        return 1 if stale else 0
    OUT.mkdir(parents=True, exist_ok=True)
    for p in stale:
        p.write_text(pages[p]) if p in pages else p.unlink()
    return 0


sys.exit(main())
