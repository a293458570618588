#!/usr/bin/env python3
"""Turn data/replies.txt into the tables of relay/rule.h.

usage: gen_replies.py REPLIES RULES_C SAMPLES_C

The head of the data file says what its fields mean. What a rule may not say is refused here, so that a mistake
fails the build: blame and action that break promise P3, a missing sample, an unknown word.
"""
import re, sys

STAGES = 'connect tls greeting ehlo auth mail rcpt data dot unknown'.split()
BLAMES = 'relay identity recipient content capacity unknown'.split()
ACTIONS = 'bounce defer slow pause-relay pause-login hold-sender'.split()
CERTAINTIES = 'certain likely guess'.split()
# Which actions a blame allows. Only recipient and content may end in a bounce.
ALLOWED = {
    'relay': {'defer', 'pause-relay', 'pause-login'},
    'identity': {'hold-sender', 'defer'},
    'recipient': {'bounce', 'defer'},
    'content': {'bounce', 'defer'},
    'capacity': {'slow', 'defer'},
    'unknown': {'defer'},
}
MANY = {'text', 'enhanced', '+', '-'}
FIELDS = MANY | {'rule', 'provider', 'own', 'stage', 'code', 'blame', 'action', 'wait', 'certainty', 'unknown-user', 'both', 'cause', 'cause-zh', 'remedy', 'remedy-zh', 'source'}
UNITS = {'s': 1, 'm': 60, 'h': 3600}


class Bad(Exception):
    pass


def records(lines):
    rec, start = {}, 0
    for no, line in enumerate(lines + [''], 1):
        line = line.rstrip('\n')
        if line.startswith('#'):
            continue
        if not line.strip():
            if rec:
                yield start, rec
            rec = {}
            continue
        key, _, value = line.partition(' ')
        if key not in FIELDS:
            raise Bad(f'line {no}: there is no field "{key}"')
        if not rec:
            start = no
        if key in MANY:
            rec.setdefault(key, []).append(value.strip())
        elif key in rec:
            raise Bad(f'line {no}: "{key}" stands twice')
        else:
            rec[key] = value.strip()


def quote(s):
    out = ''
    for b in s.encode():
        c = chr(b)
        out += '\\' + c if c in '"\\' else c if 32 <= b < 127 else f'\\{b:03o}'
    return f'"{out}"'


def ident(word):
    return word.upper().replace('-', '_')


def one_of(rec, field, words):
    if rec.get(field) not in words:
        raise Bad(f'{field} must be one of: {" ".join(words)}')
    return rec[field]


def stages(text):
    mask = 0
    for word in text.split():
        if word == 'any':
            mask |= (1 << STAGES.index('unknown')) - 1
        elif word in STAGES:
            mask |= 1 << STAGES.index(word)
        else:
            raise Bad(f'there is no stage "{word}"')
    return mask


def codes(text):
    out = []
    for word in text.split():
        if word == 'any':
            out.append((400, 599))
        elif re.fullmatch(r'[45]xx', word):
            out.append((int(word[0]) * 100, int(word[0]) * 100 + 99))
        elif re.fullmatch(r'[45]\d\d(-[45]\d\d)?', word):
            lo, _, hi = word.partition('-')
            out.append((int(lo), int(hi or lo)))
        else:
            raise Bad(f'"{word}" is no reply code')
    return out


def statuses(words):
    out = []
    for word in words:
        m = re.fullmatch(r'([45x])\.(\d+)\.(\d+|\*)', word)
        if not m:
            raise Bad(f'"{word}" is no enhanced status code')
        cls, subject, detail = m.groups()
        out.append((0 if cls == 'x' else int(cls), int(subject), 'RULE_ANY' if detail == '*' else int(detail)))
    return out


def wait_seconds(text):
    m = re.fullmatch(r'(\d+)([smh])', text)
    if not m or int(m[1]) * UNITS[m[2]] > 86400:
        raise Bad(f'wait "{text}" must be such as 10s, 5m or 1h, at most 24h')
    return int(m[1]) * UNITS[m[2]]


def sample(text):
    m = re.fullmatch(r'(\w+) ([45]\d\d(?: .*)?)', text)
    if not m or m[1] not in STAGES:
        raise Bad(f'sample "{text}" must begin with a stage and a reply code')
    return m[1], m[2]


def words(text):
    """The text of a pattern as it is compared: lower case, one blank between words, '*' standing free."""
    parts = [' '.join(p.split()).lower() for p in text.split('*')]
    if not all(parts):
        raise Bad(f'text "{text}" may not begin or end with *')
    return '*'.join(parts)


def rule_c(rec, no):
    blame, action = one_of(rec, 'blame', BLAMES), one_of(rec, 'action', ACTIONS)
    if action not in ALLOWED[blame]:
        raise Bad(f'blame {blame} does not go with action {action}')
    if not rec.get('+') or (not rec.get('-') and rec['rule'] != 'anything'):
        raise Bad('there must be samples that it matches, and that it does not')
    for field in ('provider', 'cause', 'cause-zh', 'source', 'code', 'stage'):
        if field not in rec:
            raise Bad(f'"{field}" is missing')
    if not rec['cause'].endswith('.'):
        raise Bad('cause must be a sentence')
    if not rec['cause-zh'].endswith('。') or ('remedy' in rec) != ('remedy-zh' in rec):
        raise Bad('cause and remedy must stand there in both languages')
    texts, status = [words(t) for t in rec.get('text', [])], statuses(rec.get('enhanced', []))
    if rec.get('both') == 'yes' and not (texts and status):
        raise Bad('"both yes" wants text and enhanced code')
    pre = f'r{no}'
    out = []
    out.append(f'static const struct rule_codes {pre}_codes[] = {{ ' + ', '.join(f'{{ {a}, {b} }}' for a, b in codes(rec['code'])) + ' };')
    if status:
        out.append(f'static const struct rule_status {pre}_status[] = {{ ' + ', '.join(f'{{ {a}, {b}, {c} }}' for a, b, c in status) + ' };')
    if texts:
        out.append(f'static const char *const {pre}_text[] = {{ ' + ', '.join(quote(t) for t in texts) + ' };')
    row = [
        f'.name = {quote(rec["rule"])}', f'.provider = {quote("" if rec["provider"] == "*" else rec["provider"])}',
        f'.own = {str(rec.get("own") == "yes").lower()}', f'.stages = {stages(rec["stage"])}u',
        f'.codes = {pre}_codes', f'.code_count = {len(codes(rec["code"]))}',
        f'.status = {pre + "_status" if status else "NULL"}', f'.status_count = {len(status)}',
        f'.text = {pre + "_text" if texts else "NULL"}', f'.text_count = {len(texts)}',
        f'.blame = RELAY_BLAME_{ident(blame)}', f'.action = RELAY_ACTION_{ident(action)}',
        f'.certainty = RELAY_{ident(one_of(rec, "certainty", CERTAINTIES))}',
        f'.both = {str(rec.get("both") == "yes").lower()}',
        f'.unknown_user = {str(rec.get("unknown-user") == "yes").lower()}',
        f'.wait_s = {wait_seconds(rec["wait"]) if "wait" in rec else 0}',
        f'.cause = {quote(rec["cause"])}', f'.cause_zh = {quote(rec["cause-zh"])}',
        f'.remedy = {quote(rec.get("remedy", ""))}', f'.remedy_zh = {quote(rec.get("remedy-zh", ""))}',
    ]
    return out, '\t{ ' + ', '.join(row) + ' },'


def main():
    src, rules_path, samples_path = sys.argv[1:4]
    tables, rules, samples, names = [], [], [], set()
    try:
        for no, (line, rec) in enumerate(records(open(src, encoding='utf-8').readlines())):
            try:
                if rec.get('rule', '') in names | {''}:
                    raise Bad('the rule has no name of its own')
                names.add(rec['rule'])
                t, row = rule_c(rec, no)
                tables += t
                rules.append(row)
                for sign in '+-':
                    for s in rec.get(sign, []):
                        stage, reply = sample(s)
                        samples.append(f'\t{{ {no}, {str(sign == "+").lower()}, RELAY_STAGE_{stage.upper()}, {quote(reply)} }},')
            except Bad as e:
                raise Bad(f'line {line}, rule {rec.get("rule")}: {e}')
    except Bad as e:
        sys.exit(f'{src}: {e}')
    head = '/* Made by gen_replies.py. */\n#include "relay/rule.h"\n\n'
    with open(rules_path, 'w') as f:
        f.write(head + '\n'.join(tables) + '\n\nconst struct relay_rule relay_rules[] = {\n' + '\n'.join(rules))
        f.write(f'\n}};\nconst size_t relay_rule_count = {len(rules)};\n')
    with open(samples_path, 'w') as f:
        f.write(head + 'const struct relay_rule_sample relay_rule_samples[] = {\n' + '\n'.join(samples))
        f.write(f'\n}};\nconst size_t relay_rule_sample_count = {len(samples)};\n')


main()
