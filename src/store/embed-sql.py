#!/usr/bin/env python3
"""Turn numbered SQL files into a C table. usage: embed-sql.py OUT.c FILE.sql ..."""
import pathlib
import sys


def literal(line):
    return '\t"' + line.replace('\\', '\\\\').replace('"', '\\"').replace('\t', '\\t') + '\\n"'


def main():
    files = sorted((f for f in map(pathlib.Path, sys.argv[2:]) if f.suffix == '.sql'), key=lambda f: f.name)
    rows = []
    for number, f in enumerate(files, 1):
        if int(f.stem.split('_')[0]) != number:
            sys.exit(f'{f.name}: expected number {number:04}')
        text = '\n'.join(literal(line) for line in f.read_text().splitlines())
        rows.append(f'\t{{ {number}, "{f.stem}",\n{text}\n\t}},\n')
    pathlib.Path(sys.argv[1]).write_text(
        '/* Made from migrations/ by embed-sql.py. */\n#include "store/migrate.h"\n\n'
        'const struct store_migration store_migrations[] = {\n' + ''.join(rows) + '};\n'
        'const size_t store_migrations_count = sizeof(store_migrations) / sizeof(store_migrations[0]);\n')


main()
