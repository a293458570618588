/* Charsets go to iconv only by names of a list, since a name comes from a message. */
#include "codec/charset.h"

#include <iconv.h>

#include "codec/utf8.h"

/* Names that iconv may be asked for, and what it is asked: GB2312 as sent is GBK in truth, Latin-1
 * is Windows's. */
static const struct {
	struct str charset;
	const char *iconv_name;
} charsets[] = {
	{ STR_INIT("GB2312"), "GB18030" },
	{ STR_INIT("GBK"), "GB18030" },
	{ STR_INIT("GB18030"), "GB18030" },
	{ STR_INIT("BIG5"), "BIG5-HKSCS" },
	{ STR_INIT("ISO-8859-1"), "WINDOWS-1252" },
	{ STR_INIT("ISO-8859-2"), "ISO-8859-2" },
	{ STR_INIT("ISO-8859-5"), "ISO-8859-5" },
	{ STR_INIT("ISO-8859-7"), "ISO-8859-7" },
	{ STR_INIT("ISO-8859-9"), "ISO-8859-9" },
	{ STR_INIT("ISO-8859-15"), "ISO-8859-15" },
	{ STR_INIT("WINDOWS-1250"), "WINDOWS-1250" },
	{ STR_INIT("WINDOWS-1251"), "WINDOWS-1251" },
	{ STR_INIT("WINDOWS-1252"), "WINDOWS-1252" },
	{ STR_INIT("KOI8-R"), "KOI8-R" },
	{ STR_INIT("ISO-2022-JP"), "ISO-2022-JP" },
	{ STR_INIT("SHIFT_JIS"), "CP932" },
	{ STR_INIT("EUC-JP"), "EUC-JP" },
	{ STR_INIT("EUC-KR"), "CP949" },
	{ STR_INIT("KS_C_5601-1987"), "CP949" },
};

/* Runs iconv; what it cannot read becomes U+FFFD. False if it does not know the charset. */
static bool
convert(const char *charset, struct str s, struct buf *out)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	union { /* iconv does not change its input, but does not say so in its type */
		const char *s;
		char *p;
	} from = { .s = s.p };
	size_t left = s.n;

	if (cd == (iconv_t)-1) // NOLINT(performance-no-int-to-ptr): iconv.h says so
		return false;
	while (left != 0) {
		char piece[512], *to = piece;
		size_t room = sizeof(piece), before = left;
		size_t rc = iconv(cd, &from.p, &left, &to, &room);
		buf_add(out, str_make(piece, sizeof(piece) - room));
		if (rc == (size_t)-1 && left == before) {
			utf8_add(out, UTF8_REPLACEMENT);
			from.s++;
			left--;
		}
	}
	iconv_close(cd);
	return true;
}

bool
charset_to_utf8(struct buf *b, struct str charset, struct str bytes)
{
	AUTO(buf_done) struct buf text = { 0 };

	if (str_eq_nocase(charset, STR("UTF-8")) || str_eq_nocase(charset, STR("UTF8")) ||
	    str_eq_nocase(charset, STR("US-ASCII"))) {
		utf8_add_repaired(b, bytes);
		return true;
	}
	for (size_t i = 0; i < COUNT_OF(charsets); i++) {
		if (!str_eq_nocase(charset, charsets[i].charset))
			continue;
		buf_init(&text, bytes.n * 6 + 16);
		if (!convert(charsets[i].iconv_name, bytes, &text))
			return false;
		utf8_add_repaired(b, buf_str(&text));
		return true;
	}
	return false;
}
