/* Re-encoding.
 *
 * A recursive walk over the MIME structure. Each entity is first asked whether it can pass as it
 * stands (no line over 998 octets; no 8-bit byte when that is wished); if so it goes out as one
 * view. Otherwise:
 *
 *   multipart        its parts one by one, delimiters as they are
 *   message/rfc822   the message inside, unless it is itself encoded
 *   a leaf           decoded if it is encoded, then encoded anew, and its header says so
 *
 * When 8-bit bytes must go, labels are put right too: a multipart or message that said "8bit" says
 * "7bit".
 *
 * A soft line break can put text at the beginning of a line that looks like the delimiter of an
 * enclosing multipart; such a part takes base64, whose alphabet has no hyphen. The chain of `struct
 * entity` on the stack knows all enclosing boundaries.
 *
 * LIMITS: MAIL_MIME_DEPTH_MAX levels, boundaries up to 200 octets; deeper or longer ones count as
 * parts that cannot be taken apart. Output of a leaf is at most about three times its input. */
#include "mail/recode.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "codec/base64.h"
#include "codec/qp.h"
#include "codec/utf8.h"
#include "mail/header.h"
#include "mail/mime.h"

#define BOUNDARY_MAX 200

#define NO(rc_, why) (*r->why_out = (why), (rc_))

static const char no_multipart[] =
    "a multipart cannot be taken apart: it has no usable boundary, is encoded or nested too deep";

struct recode {
	const struct mail_recode_opts *opts;
	struct mail_pieces *out;
	const char **why_out;
};

/* One entity of the chain from the message down to where the walk is. */
struct entity {
	const struct entity *outer;
	struct mail_mime_entity e;
	struct str boundary; /* of a multipart; empty where it has none that can be used */
	int depth;
};

static bool
passes(const struct recode *r, struct str text)
{
	if (r->opts->seven_bit && !utf8_is_ascii(text))
		return false;
	while (text.n > MAIL_LINE_MAX) {
		size_t nl = str_find(text, '\n');
		if (nl > MAIL_LINE_MAX + 1 || (nl == text.n && nl > MAIL_LINE_MAX))
			return false;
		/* With CRLF the line is one octet shorter than the LF's place. */
		if (nl == MAIL_LINE_MAX + 1 && text.p[nl - 1] != '\r')
			return false;
		text = str_skip(text, nl + 1);
	}
	return true;
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static struct str
without_end(struct str line, bool blanks_too)
{
	while (line.n != 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r' ||
				  (blanks_too && is_wsp(line.p[line.n - 1]))))
		line.n--;
	return line;
}

/* The last place in `text`, at most MAIL_LINE_MAX, where white space begins and something else
 * stands before it; 0 if there is none. */
static size_t
fold_place(struct str text)
{
	size_t at = MAIL_LINE_MAX;

	while (at > 0 && !(is_wsp(text.p[at]) && !is_wsp(text.p[at - 1])))
		at--;
	return at;
}

/* Writes the field with every line over the limit folded at white space. Blanks at the end of such
 * a line mean nothing and go; a line of nothing else goes with them. */
static enum rc
add_folded(const struct recode *r, struct str raw)
{
	while (raw.n != 0) {
		struct str line = str_sub(raw, 0, str_find(raw, '\n') + 1);
		raw = str_skip(raw, line.n);
		if (without_end(line, false).n <= MAIL_LINE_MAX) {
			mail_pieces_add(r->out, line);
			continue;
		}
		struct str text = without_end(line, true);
		while (text.n > MAIL_LINE_MAX) {
			size_t at = fold_place(text);
			if (at == 0)
				return NO(RC_INVALID,
				    "a header line is longer than 998 characters and has no "
				    "space to fold it at");
			mail_pieces_add(r->out, str_sub(text, 0, at));
			mail_pieces_add(r->out, STR("\r\n"));
			text = str_skip(text, at);
		}
		mail_pieces_add(r->out, text);
		if (text.n != 0)
			mail_pieces_add(r->out, STR("\r\n"));
	}
	return RC_OK;
}

static void
end_line(const struct recode *r, size_t bytes_before)
{
	if (r->out->bytes != bytes_before && mail_pieces_last(r->out) != '\n')
		mail_pieces_add(r->out, STR("\r\n"));
}

static void
add_cte(const struct recode *r, enum mail_cte cte)
{
	mail_pieces_add(r->out, STR("Content-Transfer-Encoding: "));
	mail_pieces_add(r->out, str_from(mail_mime_cte_name(cte)));
	mail_pieces_add(r->out, STR("\r\n"));
}

/* Fields that a message without any MIME needs once its body is encoded. */
static void
add_mime_fields(const struct recode *r, const struct entity *en)
{
	struct mail_field f;

	if (mail_header_find(en->e.header, STR("MIME-Version"), &f))
		return;
	mail_pieces_add(r->out, STR("MIME-Version: 1.0\r\n"));
	if (en->e.has_type)
		return;
	if (utf8_is_ascii(en->e.body))
		mail_pieces_add(r->out, STR("Content-Type: text/plain; charset=us-ascii\r\n"));
	else if (utf8_is_valid(en->e.body))
		mail_pieces_add(r->out, STR("Content-Type: text/plain; charset=utf-8\r\n"));
	else /* RFC 1428: what it is, nobody said */
		mail_pieces_add(r->out, STR("Content-Type: text/plain; charset=unknown-8bit\r\n"));
}

/* Whether `en` is a message rather than a part of one. */
static bool
is_message(const struct entity *en)
{
	return en->outer == NULL || en->outer->boundary.n == 0;
}

/* Writes the header with `cte` in the place of the one it had, and the separator. */
static enum rc
add_header(const struct recode *r, const struct entity *en, enum mail_cte cte)
{
	struct mail_header_iter it = mail_header_start(en->e.header);
	size_t before = r->out->bytes;
	bool changed = cte != en->e.cte, has_cte = false;
	struct mail_field f;

	while (mail_header_next(&it, &f)) {
		if (en->outer == NULL && r->opts->drops != NULL && r->opts->drops(f.name))
			continue;
		if (changed && str_eq_nocase(f.name, STR("Content-Transfer-Encoding"))) {
			if (!has_cte)
				add_cte(r, cte);
			has_cte = true;
			continue;
		}
		if (r->opts->seven_bit && !utf8_is_ascii(f.raw))
			return NO(RC_INVALID,
			    "a header holds characters beyond ASCII, which only a server "
			    "with SMTPUTF8 takes");
		enum rc rc = add_folded(r, f.raw);
		if (rc != RC_OK)
			return rc;
	}
	end_line(r, before);
	if (changed && is_message(en) && (cte == MAIL_CTE_QP || cte == MAIL_CTE_BASE64))
		add_mime_fields(r, en);
	if (changed && !has_cte)
		add_cte(r, cte);
	if (en->e.has_separator) /* the one that is there, so that unchanged content stays one view
				  */
		mail_pieces_add(r->out, str_make(en->e.header.p + en->e.header.n, 2));
	else if (en->e.body.n != 0)
		mail_pieces_add(r->out, STR("\r\n"));
	return RC_OK;
}

/* Whether `text` holds a line that an enclosing multipart would take for its delimiter. */
static bool
breaks_out(const struct entity *en, struct str text)
{
	for (const struct entity *o = en->outer; o != NULL; o = o->outer) {
		if (o->boundary.n == 0)
			continue;
		struct mail_mime_walk w = mail_mime_walk_start(text, o->boundary);
		enum mail_mime_kind kind;
		struct str piece;
		while (mail_mime_walk_next(&w, &kind, &piece)) {
			if (kind == MAIL_MIME_DELIMITER || kind == MAIL_MIME_CLOSE)
				return true;
		}
	}
	return false;
}

static enum rc
recode_leaf(const struct recode *r, const struct entity *en)
{
	AUTO(buf_done) struct buf plain = { 0 };
	AUTO(buf_done) struct buf coded = { 0 };
	struct str body = en->e.body;
	enum mail_cte cte = MAIL_CTE_BASE64;

	buf_init(&plain, body.n + 64);
	buf_init(&coded, body.n * 4 + 1024);
	switch (en->e.cte) {
	case MAIL_CTE_7BIT:
	case MAIL_CTE_8BIT:
	case MAIL_CTE_BINARY: break;
	case MAIL_CTE_QP:
		qp_decode(&plain, body);
		body = buf_str(&plain);
		break;
	case MAIL_CTE_BASE64:
		if (!base64_decode_mime(&plain, body))
			return NO(RC_INVALID,
			    "a base64 part with overlong lines or 8-bit characters is damaged");
		body = buf_str(&plain);
		break;
	case MAIL_CTE_UNKNOWN:
		return NO(RC_INVALID, "a part has an unknown Content-Transfer-Encoding");
	}
	if (str_eq_nocase(en->e.type.type, STR("message")) &&
	    !str_starts_nocase(en->e.type.subtype, STR("global")))
		return NO(RC_INVALID, "an attached message or report cannot be re-encoded");
	if (str_eq_nocase(en->e.type.type, STR("text")) && en->e.cte != MAIL_CTE_BASE64) {
		cte = MAIL_CTE_QP;
		qp_encode(&coded, body, true);
		if (breaks_out(en, buf_str(&coded))) {
			cte = MAIL_CTE_BASE64;
			buf_clear(&coded);
		}
	}
	if (cte == MAIL_CTE_BASE64) {
		base64_encode_lines(&coded, body);
		/* The last line end belongs to the delimiter, or is added at the very end. */
		buf_truncate(&coded, buf_len(&coded) - (body.n != 0 ? 2 : 0));
	}
	ASSERT(buf_is_ok(&plain) && buf_is_ok(&coded));
	enum rc rc = add_header(r, en, cte);
	if (rc == RC_OK)
		mail_pieces_add_copy(r->out, buf_str(&coded));
	return rc;
}

static enum rc recode_entity(
    const struct recode *r, struct str content, bool in_digest, const struct entity *outer);

static enum rc
recode_multipart(const struct recode *r, const struct entity *en)
{
	struct mail_mime_walk w = mail_mime_walk_start(en->e.body, en->boundary);
	bool digest = str_eq_nocase(en->e.type.subtype, STR("digest"));
	enum rc rc = RC_OK;
	bool split = false;
	enum mail_mime_kind kind;
	struct str piece;

	while (rc == RC_OK && mail_mime_walk_next(&w, &kind, &piece)) {
		split = split || kind == MAIL_MIME_DELIMITER;
		switch (kind) {
		case MAIL_MIME_PART: rc = recode_entity(r, piece, digest, en); break;
		case MAIL_MIME_PREAMBLE:
		case MAIL_MIME_EPILOGUE:
			if (passes(r, piece))
				mail_pieces_add(r->out, piece);
			break;
		case MAIL_MIME_DELIMITER:
		case MAIL_MIME_CLOSE:
			if (passes(r, piece)) {
				mail_pieces_add(r->out, piece);
				break;
			}
			/* White space behind it: the only thing that can be long there. */
			mail_pieces_add(r->out, STR("\r\n--"));
			mail_pieces_add_copy(r->out, en->boundary);
			mail_pieces_add(
			    r->out, kind == MAIL_MIME_CLOSE ? STR("--\r\n") : STR("\r\n"));
			break;
		}
	}
	/* Without parts the text before them is the content after all, and it was left out. */
	if (rc == RC_OK && !split)
		return NO(RC_INVALID, no_multipart);
	return rc;
}

/* Whether the walk can go inside; finds the boundary on the way. */
static bool
can_enter(const struct recode *r, struct entity *en)
{
	const struct mail_mime_type *t = &en->e.type;
	struct str b;

	if (en->depth >= MAIL_MIME_DEPTH_MAX || en->e.cte > MAIL_CTE_BINARY)
		return false;
	if (mail_mime_type_is(t, STR("message"), STR("rfc822")))
		return true;
	if (!mail_mime_type_is(t, STR("multipart"), STR("")) ||
	    !mail_mime_param(t, STR("boundary"), r->out->arena, &b))
		return false;
	if (b.n == 0 || b.n > BOUNDARY_MAX)
		return false;
	en->boundary = b;
	return true;
}

static bool
is_sealed(const struct mail_mime_type *t)
{
	return mail_mime_type_is(t, STR("multipart"), STR("signed")) ||
	       mail_mime_type_is(t, STR("multipart"), STR("encrypted"));
}

static enum rc
recode_entity(
    const struct recode *r, struct str content, bool in_digest, const struct entity *outer)
{
	struct entity en = { .outer = outer, .depth = outer != NULL ? outer->depth + 1 : 0 };

	mail_mime_read(content, in_digest, &en.e);
	bool clean = passes(r, content);
	if (clean && (!r->opts->seven_bit || is_sealed(&en.e.type)) && outer != NULL) {
		mail_pieces_add(r->out, content);
		return RC_OK;
	}
	if (!clean && is_sealed(&en.e.type))
		return NO(RC_DENIED, "a part of it is signed or encrypted");
	bool inside = !is_sealed(&en.e.type) && can_enter(r, &en);
	enum mail_cte cte = en.e.cte;
	if (r->opts->seven_bit && (cte == MAIL_CTE_8BIT || cte == MAIL_CTE_BINARY))
		cte = MAIL_CTE_7BIT;
	if (!inside && !passes(r, en.e.body)) {
		if (mail_mime_type_is(&en.e.type, STR("multipart"), STR("")))
			return NO(RC_INVALID, no_multipart);
		return recode_leaf(r, &en);
	}
	enum rc rc = add_header(r, &en, cte);
	if (rc != RC_OK)
		return rc;
	if (!inside || (!r->opts->seven_bit && passes(r, en.e.body))) {
		mail_pieces_add(r->out, en.e.body);
		return RC_OK;
	}
	return en.boundary.n != 0 ? recode_multipart(r, &en)
				  : recode_entity(r, en.e.body, false, &en);
}

static const char *
seal_reason(enum mail_seal seal)
{
	switch (seal) {
	case MAIL_SEAL_NONE: break;
	case MAIL_SEAL_DKIM: return "it would have to be re-encoded, but it is DKIM-signed";
	case MAIL_SEAL_SIGNED: return "it would have to be re-encoded, but it is signed";
	case MAIL_SEAL_ENCRYPTED: return "it would have to be re-encoded, but it is encrypted";
	case MAIL_SEAL_SMIME: return "it would have to be re-encoded, but S/MIME protects it";
	case MAIL_SEAL_PGP: return "it would have to be re-encoded, but PGP protects it";
	}
	UNREACHABLE();
}

enum rc
mail_recode(struct str content, const struct mail_scan *scan, const struct mail_recode_opts *opts,
    struct mail_pieces *out, const char **why_out)
{
	struct mail_recode_opts wishes = *opts;
	struct recode rec = { &wishes, out, why_out }, *r = &rec;

	if (scan->has_nul)
		return NO(RC_INVALID, "it holds a NUL byte");
	if (scan->bare_eol)
		return NO(RC_INVALID, "it holds a CR or LF that is not part of CRLF");
	if (scan->seal != MAIL_SEAL_NONE) {
		if (!passes(r, content))
			return NO(RC_DENIED, seal_reason(scan->seal));
		wishes.seven_bit = false; /* it is, and its labels stay as they were signed */
	}
	size_t before = out->bytes;
	enum rc rc = recode_entity(r, content, false, NULL);
	if (rc == RC_OK)
		end_line(r, before);
	return rc;
}
