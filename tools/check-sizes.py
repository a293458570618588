#!/usr/bin/env python3
"""Refuse files past 1,000 lines and functions past 100; tests and generated files aside.

usage: check-sizes.py SRC_DIR
"""
import pathlib, re, sys

FILE_MAX, FUNCTION_MAX = 1000, 100
START = re.compile(r'^[a-z_][a-z0-9_]*\(')


def functions(lines):
    """Yields (name, first line, length) of each definition: a name at column 0, then a body in column-0 braces."""
    name = first = None
    for no, line in enumerate(lines, 1):
        if START.match(line) and not line.rstrip().endswith(';'):
            name, first = line.split('(')[0], no
        elif line.startswith('}') and name:
            yield name, first, no - first + 1
            name = None


def main():
    bad = []
    for f in sorted(pathlib.Path(sys.argv[1]).rglob('*.[ch]')):
        if f.stem.endswith('_test'):
            continue
        lines = f.read_text().splitlines()
        if len(lines) > FILE_MAX:
            bad.append(f'{f}: {len(lines)} lines; look for the second idea')
        bad += [f'{f}:{no}: {name} has {n} lines' for name, no, n in functions(lines) if n > FUNCTION_MAX]
    print('\n'.join(bad) if bad else 'sizes ok')
    return bool(bad)


sys.exit(main())
