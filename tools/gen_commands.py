#!/usr/bin/env python3
"""Write docs/manual/commands.md from the program's own help.

usage: gen_commands.py [--check] [PROGRAM]    (build/posthouse)

With --check nothing is written; the exit status says whether the page is what the program says.
"""
import os, pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'manual' / 'commands.md'
GENERAL = '\nOf every command:\n'
HEAD = '''# Commands

Made from the program's own help by `tools/gen_commands.py`; `posthouse help COMMAND VERB` prints the same.

`posthouse serve` runs the service. `sink`, `config`, `version` and `help` need none. Every other command talks to a running
service over `DATA/control.sock`, where `DATA` is `--data`, else `$POSTHOUSE_DATA`, else `./posthouse-data`; or, with `--url`
and `--key`, over the network.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no service, 4 refused by policy, 5 not found. Errors go to standard error, in
one sentence that names the remedy. `--json` prints what the API answers, with stable keys.
'''


def run(program, *words):
    env = {k: v for k, v in os.environ.items() if k not in ('COLUMNS', 'POSTHOUSE_DATA')} | {'NO_COLOR': '1'}
    r = subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=20)
    if r.returncode != 0:
        raise SystemExit(f'posthouse {" ".join(words)} failed: {r.stderr.strip()}')
    return r.stdout


def names(text, prefix=''):
    """The first words of the indented lines of a table of help."""
    return re.findall(rf'^  {prefix}([a-z][a-z-]*)(?: |$)', text, re.M)


def entry(program, words, level):
    text = run(program, *(['sink', '--help'] if words == ['sink'] else ['help', *words])).rstrip('\n')
    own, general, rest = text.partition(GENERAL)
    example = rest.partition('\nExample:\n')[2] if general else ''
    if example:
        own += '\nExample:\n' + example
    body = '\n'.join(line.rstrip() for line in own.split('\n'))
    return f'{"#" * level} {" ".join(words)}\n\n```text\n{body}\n```\n', rest.partition('\nExample:\n')[0]


def page(program):
    out, general = [HEAD], ''
    for noun in names(run(program, 'help')):
        text = '' if noun == 'sink' else run(program, 'help', noun)
        verbs = names(text, re.escape(noun) + ' ') if not text.startswith('usage:') else []
        if not verbs:
            body, more = entry(program, [noun], 2)
            out.append(body)
            continue
        out.append(f'## {noun}\n')
        for verb in verbs:
            body, more = entry(program, [noun, verb], 3)
            general = general or more
            out.append(body)
    if general:
        out.insert(1, '## Options of every command\n\n```text\n' + '\n'.join(l.rstrip() for l in general.strip('\n').split('\n')) + '\n```\n')
    return '\n'.join(out)


def main():
    args = [a for a in sys.argv[1:] if a != '--check']
    program = args[0] if args else str(ROOT / 'build' / 'posthouse')
    text = page(program)
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    if '--check' in sys.argv[1:]:
        print('docs/manual/commands.md is not what the program says; run tools/gen_commands.py')
        return 1
    PAGE.write_text(text)
    return 0


sys.exit(main())
