/* For tests: reads a rendered configuration as nats-server's lexer does, as far as ours uses it. */
#ifndef TEST_NATS_TOKENS_H
#define TEST_NATS_TOKENS_H

#include <stdbool.h>

/* Whether the text is well-formed — brackets match, every quoted string ends on its line — and everything outside
 * quotes and comments is a word, number or mark that the renderer itself writes. *ret_wrong: where it is not. */
bool test_tokens_are_ours(const char *text, const char **ret_wrong);

#endif
