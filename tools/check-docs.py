#!/usr/bin/env python3
"""Check that what the documents name is there.

usage: check-docs.py [--program POSTHOUSE]

In README, ARCHITECTURE, HACKING, CONTRIBUTING and docs/:
  `name()`            is a function, a macro or a callback of src/
  `src/...` and such  is a file or folder of the tree (words in capitals stand for others)
  [text](link)        leads to a file, and to a heading of it where it has a #
  posthouse ...       in code names a command and options of the program (only with --program)
"""
import functools, pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = 'src|data|docs|tools|tests|fuzz|bench|packaging'
wrong = []


def say(path, line, text):
    wrong.append(f'{path.relative_to(ROOT)}:{line}: {text}')


@functools.cache
def functions():
    names = set()
    for p in [*ROOT.glob('src/**/*.[ch]'), *ROOT.glob('tests/sim/*.[ch]'), *ROOT.glob('fuzz/*.c')]:
        text = p.read_text()
        names |= set(re.findall(r'^(?:[a-z_ ]*[ *])?(\w+)\(', text, re.M))
        names |= set(re.findall(r'\(\*(\w+)\)\(', text))
        names |= set(re.findall(r'^#define (\w+)\(', text, re.M))
    return names


@functools.cache
def anchors(path):
    out, seen = set(), {}
    for line in path.read_text().split('\n'):
        m = re.match(r'#+ (.*)', line)
        if not m:
            continue
        slug = re.sub(r'[^\w\- ]', '', m.group(1).lower()).strip().replace(' ', '-')
        n = seen.get(slug, 0)
        seen[slug] = n + 1
        out.add(slug if n == 0 else f'{slug}-{n}')
    return out


def check_link(path, no, link):
    if re.match(r'[a-z]+:', link):
        return
    where, _, anchor = link.partition('#')
    target = (path.parent / where).resolve() if where else path
    if not target.is_relative_to(ROOT):
        say(path, no, f'{link} leads out of the tree')
    elif not target.exists():
        say(path, no, f'{link} leads nowhere')
    elif anchor and target.suffix == '.md' and anchor not in anchors(target):
        say(path, no, f'{link}: there is no such heading')


class Program:
    def __init__(self, path):
        self.path = path

    @functools.cache
    def help(self, *words):
        r = subprocess.run([self.path, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        return r.returncode, r.stdout

    @functools.cache
    def settings(self):
        return set(re.findall(r'^#?\s*([a-z-]+) =', self.help('config')[1], re.M))

    def problem(self, line):
        """What is wrong with the command line `line`, or None."""
        words = re.sub(r'"[^"]*"|\'[^\']*\'', 'TEXT', line).split()[1:]
        words = words[:next((i for i, w in enumerate(words) if w in ('|', '>', '<', '&&', '&', ';', '||', '#', '2>')), None)]
        while words and words[0].startswith('--') and len(words) > 2 and words[0] in ('--data', '--url', '--key'):
            words = words[2:]
        plain = [w for w in words if not w.startswith('-')]
        if not words or not plain:
            return None
        noun, options = words[0], {w.split('=')[0] for w in words if w.startswith('--') and w != '--'}
        if noun == 'serve':
            unknown = {o for o in options if o[2:] not in self.settings() | {'config', 'help'}}
            return f'serve has no {", ".join(sorted(unknown))}' if unknown else None
        names = [noun] if len(plain) < 2 or not re.fullmatch(r'[a-z-]+', plain[1]) else plain[:2]
        if noun == 'sink':
            status, text = self.help('sink', '--help')
        else:
            status, text = self.help('help', *names)
            if status != 0 and len(names) == 2:
                return f'there is no posthouse {" ".join(names)}'
        if status != 0:
            return f'there is no posthouse {noun}'
        unknown = sorted(o for o in options if not re.search(rf'{re.escape(o)}\b', text) and o != '--help')
        return f'{" ".join(names)} has no {", ".join(unknown)}' if unknown else None


def command_lines(text):
    """(line number, command) of each posthouse command in code: fenced lines, joined at backslashes, and spans."""
    fenced, held, start = False, '', 0
    for no, line in enumerate(text.split('\n'), 1):
        if line.lstrip().startswith('```'):
            fenced = not fenced
            continue
        if not fenced:
            yield from ((no, m) for m in re.findall(r'`((?:sudo )?posthouse [^`]*)`', line))
            continue
        if not held:
            start = no
        held += ' ' + line.strip().removesuffix('\\')
        if line.rstrip().endswith('\\'):
            continue
        m = re.match(r'^\s*(?:[$#] )?(?:sudo (?:-u \S+ )?)?(?:\S*/)?(posthouse (?!\d).*)', held)
        if m:
            yield start, m.group(1)
        held = ''


def check_file(path, program):
    text = path.read_text()
    for no, line in enumerate(text.split('\n'), 1):
        for name in re.findall(r'`(\w+)\(\)`', line):
            if name not in functions():
                say(path, no, f'there is no function {name}()')
        for name in re.findall(rf'`((?:{FOLDERS})/[\w./-]+)`', line):
            if not re.search(r'\b[A-Z]{2,}\b', name) and not (ROOT / name).exists():
                say(path, no, f'there is no {name}')
        for link in re.findall(r'\]\(([^)\s]+)\)', line):
            check_link(path, no, link)
    if program:
        for no, command in command_lines(text):
            problem = program.problem(command.removeprefix('sudo '))
            if problem:
                say(path, no, problem)


def main():
    args = sys.argv[1:]
    program = Program(args[1]) if len(args) == 2 and args[0] == '--program' else None
    if args and not program:
        raise SystemExit(__doc__)
    files = [ROOT / n for n in ('README.md', 'ARCHITECTURE.md', 'HACKING.md', 'CONTRIBUTING.md')]
    files += sorted((ROOT / 'docs').glob('**/*.md'))
    for path in files:
        check_file(path, program)
    print('\n'.join(wrong)) if wrong else None
    return 1 if wrong else 0


sys.exit(main())
