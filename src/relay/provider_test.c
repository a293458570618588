/* The data of data/providers.txt, and what is looked up in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay/provider_data.h"

/* All that is wrong is shown at once. */
static int bad;
#define fail_later(...) (bad++, print_error(__VA_ARGS__), print_error("\n"))

static void
a_provider_is_found_by_name_and_alias_in_any_case(void **state)
{
	(void)state;
	assert_string_equal(relay_provider_named(STR("NetEase"))->name, "netease");
	assert_string_equal(relay_provider_named(STR("163"))->name, "netease");
	assert_string_equal(relay_provider_named(STR("Office365"))->name, "m365");
	assert_null(relay_provider_named(STR("")));
	assert_null(relay_provider_named(STR("16")));
}

static void
a_provider_is_told_from_the_host(void **state)
{
	(void)state;
	assert_string_equal(
	    relay_provider_of_host(STR("x.mail.protection.outlook.com"))->name, "m365");
	assert_string_equal(relay_provider_of_host(STR("imap.163.com"))->name, "netease");
	assert_string_equal(relay_provider_of_host(STR("imap.qiye.163.com"))->name, "netease-qiye");
	assert_string_equal(relay_provider_of_host(STR("i.163.com"))->name, "netease");
	assert_string_equal(relay_provider_of_host(STR("smtp.163.com.cn"))->name, "netease");
	assert_null(relay_provider_of_host(STR("not163.com")));
	assert_null(relay_provider_of_host(STR("smtp.163.com.example.org")));
	assert_null(relay_provider_of_host(STR("127.0.0.1")));
	assert_null(relay_provider_of_host(STR("")));
}

static const struct relay_provider *
look_up(const struct relay_provider_sample *s)
{
	struct str text = str_from(s->text);

	switch (s->kind) {
	case RELAY_SAMPLE_HOST: return relay_provider_of_host(text);
	case RELAY_SAMPLE_DOMAIN: return relay_provider_of_domain(text);
	case RELAY_SAMPLE_MX: return relay_provider_of_mx(text);
	}
	return NULL;
}

static void
every_sample_leads_to_its_provider(void **state)
{
	(void)state;
	bad = 0;
	assert_true(relay_provider_sample_count >= relay_provider_count());
	for (size_t i = 0; i < relay_provider_sample_count; i++) {
		const struct relay_provider_sample *s = &relay_provider_samples[i];
		const struct relay_provider *p = look_up(s);
		if (p == NULL || strcmp(p->name, s->provider) != 0)
			fail_later("%s leads to %s, not to %s", s->text,
			    p != NULL ? p->name : "nobody", s->provider);
	}
	assert_int_equal(bad, 0);
}

/* A host of two providers, or a domain of two, would make the answer depend on the order of the
 * data. Outlook.com reads mail where Microsoft 365 does. */
static void
servers_domains_and_names_belong_to_one_provider(void **state)
{
	(void)state;
	bad = 0;
	for (size_t i = 0; i < relay_provider_count(); i++) {
		const struct relay_provider *p = relay_provider_at(i);
		struct str rest = str_from(p->domains), domain;
		if (relay_provider_named(str_from(p->name)) != p)
			fail_later("%s is not found by its name", p->name);
		for (size_t k = 0; k < p->server_count; k++) {
			const struct relay_provider_server *s = &p->servers[k];
			if (s->use == RELAY_SERVER_SMTP &&
			    str_find(str_from(s->host), '*') == str_from(s->host).n &&
			    relay_provider_of_host(str_from(s->host)) != p)
				fail_later("%s is not of %s alone", s->host, p->name);
		}
		while (str_cut(&rest, ' ', &domain)) {
			if (domain.n != 0 && relay_provider_of_domain(domain) != p)
				fail_later("%.*s is not of %s alone", STR_ARG(domain), p->name);
		}
	}
	assert_int_equal(bad, 0);
}

static void
every_provider_allows_something_and_its_facts_have_sources(void **state)
{
	(void)state;
	bad = 0;
	for (size_t i = 0; i < relay_provider_count(); i++) {
		const struct relay_provider *p = relay_provider_at(i);
		if (p->max_connections == 0 || p->max_recipients == 0)
			fail_later("%s allows nothing", p->name);
		if (p->family[0] != '\0' && relay_provider_named(str_from(p->family)) == NULL)
			fail_later("%s has no family %s", p->name, p->family);
		if ((p->login != RELAY_LOGIN_UNKNOWN) != (p->login_fact.source != NULL) ||
		    (p->sender != RELAY_SENDER_UNKNOWN) != (p->sender_fact.source != NULL))
			fail_later("%s has a fact without a source", p->name);
		if ((p->login == RELAY_LOGIN_CONSTANT) != (p->login_word[0] != '\0'))
			fail_later("%s lacks its login's word", p->name);
		for (size_t k = 0; k < p->wrong_count; k++)
			if (relay_provider_known_server(p, str_from(p->wrong[k].host), 465,
				RELAY_TLS_IMPLICIT, NULL) != RELAY_SERVER_WRONG_NAME)
				fail_later("%s is not known as wrong", p->wrong[k].host);
	}
	assert_int_equal(bad, 0);
}

/* Nobody publishes a server without protection as the first to use. */
static void
the_recommended_server_protects_the_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < relay_provider_count(); i++) {
		const struct relay_provider_server *s = relay_provider_server_for(
		    relay_provider_at(i), RELAY_SERVER_SMTP, (struct str){ 0 });
		if (s != NULL)
			assert_int_not_equal(s->tls, RELAY_TLS_NONE);
	}
}

static void
a_server_is_recommended_for_the_domain_of_the_address(void **state)
{
	const struct relay_provider *p = relay_provider_named(STR("netease"));

	(void)state;
	assert_string_equal(
	    relay_provider_server_for(p, RELAY_SERVER_SMTP, STR("126.com"))->host, "smtp.126.com");
	assert_string_equal(relay_provider_server_for(p, RELAY_SERVER_IMAP, STR("YEAH.net"))->host,
	    "imap.yeah.net");
	assert_int_equal(
	    relay_provider_server_for(p, RELAY_SERVER_SMTP, (struct str){ 0 })->port, 465);
	assert_null(relay_provider_server_for(p, RELAY_SERVER_SMTP, STR("example.org")));
}

static void
a_server_is_compared_with_what_is_known_of_it(void **state)
{
	static const struct {
		const char *provider, *host;
		uint16_t port;
		enum relay_tls tls;
		enum relay_server_match match;
		const char *right;
		uint16_t right_port;
	} cases[] = {
		{ "163", "smtp.163.com", 465, RELAY_TLS_IMPLICIT, RELAY_SERVER_KNOWN,
		    "smtp.163.com", 465 },
		{ "163", "smtp.163.com", 465, RELAY_TLS_STARTTLS, RELAY_SERVER_OTHER_TLS,
		    "smtp.163.com", 465 },
		{ "163", "smtp.126.com", 2525, RELAY_TLS_STARTTLS, RELAY_SERVER_OTHER_PORT,
		    "smtp.126.com", 465 },
		{ "163", "imap.163.com", 465, RELAY_TLS_IMPLICIT, RELAY_SERVER_NOT_SMTP,
		    "smtp.163.com", 465 },
		{ "163", "i.163.com", 443, RELAY_TLS_IMPLICIT, RELAY_SERVER_WRONG_NAME,
		    "smtp.163.com", 465 },
		{ "163", "mail.126.com", 465, RELAY_TLS_IMPLICIT, RELAY_SERVER_WRONG_NAME,
		    "smtp.126.com", 465 },
		{ "163", "foo.163.com", 465, RELAY_TLS_IMPLICIT, RELAY_SERVER_UNLISTED,
		    "smtp.163.com", 465 },
		{ "163", "mail.example.org", 465, RELAY_TLS_IMPLICIT, RELAY_SERVER_UNKNOWN, NULL,
		    0 },
		{ "postmark", "smtp.postmarkapp.com", 465, RELAY_TLS_IMPLICIT,
		    RELAY_SERVER_OTHER_PORT, "smtp.postmarkapp.com", 587 },
		{ "ses", "email-smtp.eu-west-1.amazonaws.com", 587, RELAY_TLS_STARTTLS,
		    RELAY_SERVER_KNOWN, "email-smtp.*.amazonaws.com", 587 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct relay_provider_server *right = NULL;
		assert_int_equal(
		    relay_provider_known_server(relay_provider_named(str_from(cases[i].provider)),
			str_from(cases[i].host), cases[i].port, cases[i].tls, &right),
		    cases[i].match);
		assert_int_equal(right != NULL, cases[i].right != NULL);
		if (right != NULL) {
			assert_string_equal(right->host, cases[i].right);
			assert_int_equal(right->port, cases[i].right_port);
		}
	}
}

static void
a_limit_is_found_by_kind_and_time(void **state)
{
	const struct relay_provider *p = relay_provider_named(STR("m365"));

	(void)state;
	assert_int_equal(relay_provider_limit(p, RELAY_LIMIT_MESSAGES, 60)->count, 30);
	assert_int_equal(relay_provider_limit(p, RELAY_LIMIT_RECIPIENTS, 86400)->count, 10000);
	assert_int_equal(relay_provider_limit(p, RELAY_LIMIT_CONNECTIONS, 0)->count, 3);
	assert_null(relay_provider_limit(p, RELAY_LIMIT_SIZE, 0));
}

static void
replies_of_a_family_are_shared(void **state)
{
	(void)state;
	assert_true(relay_provider_speaks(relay_provider_named(STR("netease-qiye")), "netease"));
	assert_false(relay_provider_speaks(relay_provider_named(STR("netease")), "netease-qiye"));
	assert_false(relay_provider_speaks(NULL, "netease"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_provider_is_found_by_name_and_alias_in_any_case),
		cmocka_unit_test(a_provider_is_told_from_the_host),
		cmocka_unit_test(every_sample_leads_to_its_provider),
		cmocka_unit_test(servers_domains_and_names_belong_to_one_provider),
		cmocka_unit_test(every_provider_allows_something_and_its_facts_have_sources),
		cmocka_unit_test(the_recommended_server_protects_the_connection),
		cmocka_unit_test(a_server_is_recommended_for_the_domain_of_the_address),
		cmocka_unit_test(a_server_is_compared_with_what_is_known_of_it),
		cmocka_unit_test(a_limit_is_found_by_kind_and_time),
		cmocka_unit_test(replies_of_a_family_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
