#!/usr/bin/env python3
"""Write the table of settings in docs/manual/settings.md from src/daemon/config_rows.def.

usage: gen_settings.py [--check]

Only what stands between the two marks of the page is touched. With --check nothing is written; the exit status says
whether the table is that of the rows.
"""
import pathlib, re, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = ROOT / 'src' / 'daemon' / 'config_rows.def'
PAGE = ROOT / 'docs' / 'manual' / 'settings.md'
BEGIN, END = '<!-- settings: begin -->\n', '<!-- settings: end -->'
STRING = r'"((?:[^"\\]|\\.)*)"'
KINDS = {
    'path': 'path', 'text': 'text', 'addrs': 'addresses', 'yes_no': 'yes or no', 'networks': 'networks', 'size': 'size',
    'count': 'number', 'span': 'time', 'schedule': 'times', 'level': 'word', 'format': 'word',
}


def rows():
    text = re.sub(r'/\*.*?\*/', '', ROWS.read_text(), flags=re.S)
    for m in re.finditer(rf'^X\(\s*{STRING}\s*,\s*(\w+)\s*,\s*\w+\s*,\s*{STRING}\s*,\s*{STRING}\s*\)', text, re.M):
        yield m.groups()


def table():
    out = ['| key | default | kind | |', '|---|---|---|---|']
    for key, kind, default, text in rows():
        out.append(f'| `{key}` | {f"`{default}`" if default else ""} | {KINDS.get(kind, kind)} | {text} |')
    return '\n'.join(out) + '\n'


def main():
    page = PAGE.read_text()
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f'{PAGE.relative_to(ROOT)}: the marks are missing')
    new = head + begin + table() + end + tail
    if new == page:
        return 0
    if '--check' in sys.argv[1:]:
        print('docs/manual/settings.md is not what config_rows.def says; run tools/gen_settings.py')
        return 1
    PAGE.write_text(new)
    return 0


sys.exit(main())
