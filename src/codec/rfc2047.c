/* Encoded words.
 *
 * Encoding picks Q for a run of text, which people can half read, unless B is shorter by a third,
 * and fills words up to 75 characters code point by code point. In running text only words that
 * need it are encoded; neighbours that do are joined with the blank between them, since a reader
 * drops blanks between encoded words.
 *
 * Decoding collects the bytes of neighbouring words of the same charset before converting them:
 * some mailers cut characters in two. Charsets go to iconv only by names of a list, since a name
 * comes from the message.
 *
 * LIMITS: language tags (RFC 2231 §5) are read over. */
#include "codec/rfc2047.h"

#include <stddef.h>

#include "codec/base64.h"
#include "codec/charset.h"
#include "codec/qp.h"
#include "codec/utf8.h"

#define WORD_MAX    75u
#define WORD_FRAME  12u /* "=?UTF-8?B?" and "?=" */
#define ROOM        (WORD_MAX - WORD_FRAME)
#define B_BYTES_MAX (ROOM / 4 * 3) /* 45 bytes in 60 characters */
#define INPUT_MAX   65536u         /* of one conversion */

/* Bytes that Q may leave in any place, phrases included (RFC 2047 §5 (3)). */
static bool
is_q_plain(char c)
{
	return ascii_is_alnum(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t
q_width(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += is_q_plain(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return n;
}

static void
add_q(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ' ')
			buf_add_byte(b, '_');
		else if (is_q_plain(s.p[i]))
			buf_add_byte(b, s.p[i]);
		else
			buf_addf(b, "=%02X", (unsigned char)s.p[i]);
	}
}

/* The longest front of `s` that fits one word; whole code points, at least one. */
static size_t
word_length(struct str s, bool q)
{
	size_t n = 0, width = 0;
	uint32_t cp;

	while (n < s.n) {
		size_t step = utf8_step(str_skip(s, n), &cp);
		width += q ? q_width(str_sub(s, n, step)) : step;
		if (width > (q ? ROOM : B_BYTES_MAX))
			break;
		n += step;
	}
	return n;
}

/* `s` is clean UTF-8. */
static void
add_words(struct buf *b, struct str s)
{
	bool q = q_width(s) * 2 <= base64_size(s.n) * 3;

	while (s.n != 0) {
		size_t n = word_length(s, q);
		buf_add(b, q ? STR("=?UTF-8?Q?") : STR("=?UTF-8?B?"));
		if (q)
			add_q(b, str_sub(s, 0, n));
		else
			base64_encode(b, str_sub(s, 0, n));
		buf_add(b, STR("?="));
		s = str_skip(s, n);
		if (s.n != 0)
			buf_add_byte(b, ' ');
	}
}

/* UTF-8 without control bytes, appended to `b`. */
static void
clean(struct buf *b, struct str s)
{
	size_t from = buf_len(b);

	utf8_add_repaired(b, s);
	for (size_t i = b->start + from; i < b->end; i++) {
		if ((unsigned char)b->p[i] < ' ' || b->p[i] == 0x7f)
			b->p[i] = ' ';
	}
}

static struct buf
cleaned(struct str s)
{
	struct buf b;

	buf_init(&b, s.n * 3 + 1);
	clean(&b, s);
	return b;
}

void
rfc2047_encode_words(struct buf *b, struct str text)
{
	AUTO(buf_done) struct buf in = cleaned(text);

	add_words(b, buf_str(&in));
}

/* Whether a word of running text must be encoded: beyond ASCII, like an encoded word itself, or so
 * long that it could not be folded within 998 octets. */
static bool
needs_words(struct str word)
{
	return !utf8_is_ascii(word) || str_find_str(word, STR("=?")) < word.n || word.n > 900;
}

void
rfc2047_encode_text(struct buf *b, struct str text)
{
	AUTO(buf_done) struct buf in = cleaned(text);
	struct str s = buf_str(&in);
	size_t at = 0, run = 0, run_end = 0; /* the run [run, run_end) waits to be encoded */
	bool waiting = false;

	if (s.p == NULL)
		return;
	while (at < s.n) {
		size_t word = at;
		while (word < s.n && s.p[word] == ' ')
			word++;
		size_t end = word;
		while (end < s.n && s.p[end] != ' ')
			end++;
		if (needs_words(str_sub(s, word, end - word))) {
			if (!waiting) {
				buf_add(b, str_sub(s, at, word - at));
				run = word;
			}
			waiting = true;
			run_end = end;
		} else {
			/* Blanks at the very end follow an encoded word as they are. */
			if (waiting)
				add_words(b, str_sub(s, run, run_end - run));
			waiting = false;
			buf_add(b, str_sub(s, at, end - at));
		}
		at = end;
	}
	if (waiting)
		add_words(b, str_sub(s, run, run_end - run));
}

/* RFC 5322 §3.2.3. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && str_has_byte(STR("!#$%&'*+-/=?^_`{|}~"), c));
}

void
rfc2047_encode_phrase(struct buf *b, struct str text)
{
	AUTO(buf_done) struct buf in = cleaned(text);
	struct str s = buf_str(&in);
	bool atoms = true;

	if (s.p == NULL)
		return;
	if (needs_words(s)) {
		add_words(b, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++) {
		bool gap = s.p[i] == ' ' && i != 0 && i + 1 != s.n && s.p[i - 1] != ' ';
		atoms = atoms && (is_atext(s.p[i]) || gap);
	}
	if (atoms) {
		buf_add(b, s);
		return;
	}
	buf_add_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_byte(b, '\\');
		buf_add_byte(b, s.p[i]);
	}
	buf_add_byte(b, '"');
}

/* One encoded word as written. */
struct word {
	struct str charset;
	char how; /* 'b' or 'q' */
	struct str text;
	size_t n; /* characters in all */
};

/* Reads the encoded word that `s` begins with. Longer ones than the RFC allows are borne with. */
static bool
read_word(struct str s, struct word *w)
{
	if (!str_starts(s, STR("=?")))
		return false;
	struct str rest = str_skip(s, 2);
	size_t n = str_find(rest, '?');
	w->charset = str_sub(rest, 0, n);
	rest = str_skip(rest, n + 1);
	if (n == 0 || rest.n < 2 || rest.p[1] != '?')
		return false;
	w->how = ascii_lower(rest.p[0]);
	rest = str_skip(rest, 2);
	n = str_find(rest, '?');
	w->text = str_sub(rest, 0, n);
	if ((w->how != 'b' && w->how != 'q') || n + 1 >= rest.n || rest.p[n + 1] != '=')
		return false;
	for (size_t i = 0; i < w->text.n; i++) {
		if (w->text.p[i] <= ' ' || w->text.p[i] > '~')
			return false;
	}
	w->charset = str_sub(w->charset, 0, str_find(w->charset, '*'));
	w->n = (size_t)(w->text.p - s.p) + n + 2;
	return true;
}

static bool
decode_word(const struct word *w, struct buf *bytes)
{
	if (w->how == 'b')
		return base64_decode_mime(bytes, w->text);
	AUTO(buf_done) struct buf q = { 0 };
	buf_init(&q, w->text.n * 3 + 1);
	for (size_t i = 0; i < w->text.n; i++)
		buf_add(&q, w->text.p[i] == '_' ? STR("=20") : str_sub(w->text, i, 1));
	return qp_decode(bytes, buf_str(&q));
}

/* Appends `bytes` in `charset` as clean UTF-8; false if the charset is not known. */
static bool
add_converted(struct buf *b, struct str charset, struct str bytes)
{
	AUTO(buf_done) struct buf text = { 0 };

	buf_init(&text, INPUT_MAX * 6 + 16);
	if (!charset_to_utf8(&text, charset, str_sub(bytes, 0, INPUT_MAX)))
		return false;
	clean(b, buf_str(&text));
	return true;
}

static struct str
skip_blanks(struct str s)
{
	while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\r' || s.p[0] == '\n'))
		s = str_skip(s, 1);
	return s;
}

/* Decodes the words of one charset that stand next to each other at the front of `s`, or leaves
 * them as written where the charset is not known; returns what they took, 0 if there is no word
 * that can be read. */
static size_t
decode_run(struct buf *b, struct str s)
{
	AUTO(buf_done) struct buf bytes = { 0 };
	struct word w, first = { 0 };
	struct str rest = s;
	size_t used = 0;

	buf_init(&bytes, s.n + 16);
	while (read_word(rest, &w)) {
		if (used == 0)
			first = w;
		size_t len = buf_len(&bytes);
		if (!str_eq_nocase(w.charset, first.charset) || !decode_word(&w, &bytes)) {
			buf_truncate(&bytes, len);
			break;
		}
		used = (size_t)(rest.p - s.p) + w.n;
		rest = skip_blanks(str_skip(rest, w.n));
	}
	if (used != 0 && !add_converted(b, first.charset, buf_str(&bytes)))
		clean(b, str_sub(s, 0, used));
	return used;
}

void
rfc2047_decode(struct buf *b, struct str s)
{
	while (s.n != 0) {
		size_t plain = str_find_str(s, STR("=?"));
		clean(b, str_sub(s, 0, plain));
		s = str_skip(s, plain);
		size_t used = decode_run(b, s);
		if (used == 0) {
			clean(b, str_sub(s, 0, 2));
			s = str_skip(s, 2);
			continue;
		}
		s = str_skip(s, used);
		/* Words of another charset may follow; the blanks before them go too. */
		struct word w;
		if (read_word(skip_blanks(s), &w))
			s = skip_blanks(s);
	}
}
