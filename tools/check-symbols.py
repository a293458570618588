#!/usr/bin/env python3
"""Refuse an exported symbol that does not carry the name of its folder or file, so that grep finds both ways.

usage: check-symbols.py BUILD_SRC_DIR

src/smtp/client.c may export smtp_client_*, smtp_* (struct contracts of the folder) and client_* (shared inside the
folder by a private header). In base/, codec/, crypto/, loop/ and net/ the folder's name is left out.
"""
import pathlib, re, subprocess, sys

SHORT = {'base', 'codec', 'crypto', 'loop', 'net'}


def allowed(folder, stem, symbol):
    words = {stem, folder, stem.split('_')[0]}
    return any(symbol == w or symbol.startswith(w + '_') for w in words)


def main():
    bad = []
    for obj in sorted(pathlib.Path(sys.argv[1]).glob('lib*.a.p/*.c.o')):
        folder = obj.parent.name[3:-4]
        stem = obj.name[:-len('.c.o')].removeprefix(folder + '_')
        out = subprocess.run(['nm', '--defined-only', '-g', obj], capture_output=True, text=True).stdout
        for symbol in re.findall(r'^\S+ [A-Z] (\S+)$', out, re.M):
            if not allowed(folder, stem, symbol):
                bad.append(f'{folder}/{stem}.c exports {symbol}')
    print('\n'.join(bad) if bad else 'symbols ok')
    return bool(bad)


sys.exit(main())
