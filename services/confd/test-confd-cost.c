/* What a hostile text costs: anybody on the node may ask for one to be validated, and the service does nothing else
 * meanwhile. Costs are compared with each other in CPU time, the least of several attempts each. */
#include "test-confd-box.h"

#include <time.h>

#include "confd-parse.h"
#include "confd-validate.h"

#define ATTEMPTS 5

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What it costs to read a text as a source; at least a little, so that costs can be divided. */
static double cost_of(const char *text) {
    confd_autosources sources = {0};
    box_sources(&sources, text);
    double least = 1e9;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        mac_autoptr(json_t) patch = NULL;
        double began = cpu_seconds();
        (void)!confd_parse_patch(&sources.items[0], problems, &patch);
        double took = cpu_seconds() - began;
        least = took < least ? took : least;
    }
    return least > 1e-4 ? least : 1e-4;
}

/* A text of a head and a line for each number; # in the line is the number. */
typedef struct shape {
    const char *name, *head, *line;
} shape;

static char *text_of(const shape *of, unsigned lines) {
    mac_autobuffer text = {0};
    mac_buffer_text(&text, of->head);
    for (unsigned i = 0; i < lines; i++) {
        mac_autofree char *number = mac_asprintf("%u", i);
        for (const char *c = of->line; *c; c++)
            if (*c == '#')
                mac_buffer_text(&text, number);
            else
                mac_buffer_append(&text, c, 1);
    }
    return mac_buffer_take(&text);
}

static const shape shapes[] = {
    {"unknown keys", "", "k#: v\n"},
    {"unknown keys of the section", "maculaos:\n", "  k#: v\n"},
    {"keys near to known ones", "", "hostName#: v\n"},
    {"keys that stand twice", "", "hostname: a#\n"},
    {"anchors", "", "k#: &a# v\n"},
    {"aliases", "a: &a v\nrun_cmd:\n", "- *a\n"},
    {"merges", "a: &a {b: c}\n", "k#: {<<: *a}\n"},
    {"items", "run_cmd:\n", "- x#\n"},
    {"keys of a map", "maculaos:\n  sysctls:\n", "    net.k#: v\n"},
    {"directives", "", "%TAG !t#! tag:x,2000:\n"},
    {"keys of the other level", "timezone: UTC\nlabels: {}\nk3s: {}\nntp_servers: [a]\n", "k#: v\n"},
};

#ifdef MACULA_SANITIZED
#define SKIP_IF_SANITIZED() skip() /* its own work is most of the cost */
#else
#define SKIP_IF_SANITIZED() (void)0
#endif

/* Where each line looks at all the others it costs 256 times as much. */
static void sixteen_times_the_text_costs_far_less_than_the_square_of_it(void **state) {
    (void)state;
    SKIP_IF_SANITIZED();
    for (size_t i = 0; i < MAC_ARRAY_SIZE(shapes); i++) {
        mac_autofree char *some = text_of(&shapes[i], 2000), *more = text_of(&shapes[i], 32000);
        double little = cost_of(some), much = cost_of(more);
        print_message("%s: %.1f ms, sixteen times as many %.1f ms\n", shapes[i].name, little * 1e3, much * 1e3);
        if (much > little * 80)
            fail_msg("%s cost %.1f ms, sixteen times as many %.1f ms", shapes[i].name, little * 1e3, much * 1e3);
    }
}

/* Most of it is what libyaml and the tree take in any case. */
static void a_key_that_nobody_knows_costs_little_more_than_one_that_is_not_looked_at(void **state) {
    (void)state;
    SKIP_IF_SANITIZED();
    static const shape ignored = {"", "maculaos:\n  k:\n", "    k#: v\n"};
    mac_autofree char *plain = text_of(&ignored, 20000);
    double least = cost_of(plain);
    for (size_t i = 0; i < 3; i++) {
        mac_autofree char *text = text_of(&shapes[i], 20000);
        double cost = cost_of(text);
        print_message("%s: %.1f ms, ignored ones %.1f ms\n", shapes[i].name, cost * 1e3, least * 1e3);
        if (cost > least * 5)
            fail_msg("%s cost %.1f ms, such as are not looked at %.1f ms", shapes[i].name, cost * 1e3, least * 1e3);
    }
}

/* Hundreds of values, and a hundred problems with a path: neither is the text parsed again for each of them. */
static void a_text_is_parsed_a_few_times_however_many_values_and_problems_it_has(void **state) {
    (void)state;
    SKIP_IF_SANITIZED();
    static const shape of_values[] = {
        {"values", "maculaos:\n  environment:\n", "    A#: v\n"},
        {"problems", "write_files:\n", "- {path: /a/#, encoding: gzip, content: x}\n"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(of_values); i++) {
        mac_autofree char *text = text_of(&of_values[i], 250);
        double once = cost_of(text), least = 1e9;
        for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
            mac_autoptr(mac_problems) problems = mac_problems_new();
            double began = cpu_seconds();
            assert_int_equal(confd_validate("f", text, strlen(text), problems), i == 0);
            double took = cpu_seconds() - began;
            least = took < least ? took : least;
        }
        print_message("%s: %.1f ms, parsed once %.1f ms\n", of_values[i].name, least * 1e3, once * 1e3);
        if (least > once * 40)
            fail_msg("%s cost %.1f ms, parsed once %.1f ms", of_values[i].name, least * 1e3, once * 1e3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_times_the_text_costs_far_less_than_the_square_of_it),
        cmocka_unit_test(a_text_is_parsed_a_few_times_however_many_values_and_problems_it_has),
        cmocka_unit_test(a_key_that_nobody_knows_costs_little_more_than_one_that_is_not_looked_at),
    };
    return cmocka_run_group_tests_name("the cost of hostile texts", tests, NULL, NULL);
}
