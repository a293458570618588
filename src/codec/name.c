/* Names of hosts and domains.
 *
 * Almost all names are ASCII, and are checked and lowered here; only what holds other bytes goes
 * through libidn2, and its result through the same check. A-labels given as such are taken at their
 * word: a name that DNS serves must stay reachable even if newer tables would not have made it.
 *
 * LIMITS: the Public Suffix List is the one built into libpsl, as old as the package. */
#include "codec/name.h"

#include <idn2.h>
#include <libpsl.h>

#include "base/check.h"
#include "codec/utf8.h"

#define LABEL_MAX 63u
#define INPUT_MAX 1000u /* UTF-8 that could still become 253 bytes of A-labels */

static const char *
check_label(struct str label)
{
	if (label.n == 0)
		return "empty label in name";
	if (label.n > LABEL_MAX)
		return "label of more than 63 bytes in name";
	if (label.p[0] == '-' || label.p[label.n - 1] == '-')
		return "label begins or ends with a hyphen";
	for (size_t i = 0; i < label.n; i++) {
		if (!ascii_is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
			return "character that no name can have";
	}
	return NULL;
}

static bool
is_number(struct str label)
{
	for (size_t i = 0; i < label.n; i++) {
		if (!ascii_is_digit(label.p[i]))
			return false;
	}
	return true;
}

static const char *
read_ascii(struct str s, struct host_name *out)
{
	struct str rest, label = { 0 };

	if (str_ends(s, STR(".")))
		s.n--;
	if (s.n == 0)
		return "empty name";
	if (s.n > NAME_MAX_BYTES)
		return "name of more than 253 bytes";
	rest = s;
	while (str_cut(&rest, '.', &label)) {
		const char *why = check_label(label);
		if (why != NULL)
			return why;
	}
	if (is_number(label))
		return "last label is a number, so this is no name";
	*out = (struct host_name){ .n = (uint8_t)s.n };
	for (size_t i = 0; i < s.n; i++)
		out->z[i] = ascii_lower(s.p[i]);
	return NULL;
}

static const char *
read_utf8(struct str s, struct host_name *out)
{
	char z[INPUT_MAX + 1];
	uint8_t *ascii = NULL;

	if (s.n > INPUT_MAX)
		return "name of more than 253 bytes";
	if (!utf8_is_valid(s))
		return "name is not UTF-8";
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	if (str_has_byte(s, '\0') || idn2_lookup_u8((const uint8_t *)z, &ascii,
					 IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return "not a valid international name";
	const char *why = read_ascii(str_from((const char *)ascii), out);
	idn2_free(ascii);
	return why;
}

bool
name_parse(struct str s, struct host_name *out, const char **why_out)
{
	struct host_name h;
	const char *why = utf8_is_ascii(s) ? read_ascii(s, &h) : read_utf8(s, &h);

	if (why != NULL) {
		*why_out = why;
		return false;
	}
	*out = h;
	return true;
}

bool
name_eq(const struct host_name *a, const struct host_name *b)
{
	return str_eq(name_str(a), name_str(b));
}

bool
name_is_within(const struct host_name *h, const struct host_name *parent)
{
	struct str s = name_str(h), p = name_str(parent);

	return str_eq(s, p) || (s.n > p.n && s.p[s.n - p.n - 1] == '.' && str_ends(s, p));
}

bool
name_registrable(const struct host_name *h, struct host_name *out)
{
	const char *why, *domain = psl_registrable_domain(psl_builtin(), h->z);

	return domain != NULL && name_parse(str_from(domain), out, &why);
}

void
name_add_display(struct buf *b, const struct host_name *h)
{
	char *text = NULL;

	if (str_find_str(name_str(h), STR("xn--")) < h->n &&
	    idn2_to_unicode_8z8z(h->z, &text, 0) == IDN2_OK && utf8_is_valid(str_from(text)))
		buf_add(b, str_from(text));
	else
		buf_add(b, name_str(h));
	idn2_free(text);
}
