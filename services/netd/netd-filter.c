#include "netd-filter.h"

#include <errno.h>
#include <string.h>

#include "log/mac-log.h"

#define NFT_MS 10000
#define CONFIGURED "/var/lib/maculaos/.configured"
#define JOBS_MAX 8 /* that wait; more are refused */

typedef struct job {
    netd_filter *filter;
    char *text;
    bool try_only;
    netd_filter_end on_end;
    void *data;
    mac_command *command;
} job;

struct netd_filter {
    mac_root *root;
    netd_sys *sys;
    job *jobs[JOBS_MAX]; /* the first one runs */
    size_t count;
    char *loaded; /* NULL: none, or not known */
    char *problem;
    bool enabled;
};

static void run_first(netd_filter *filter);

netd_firewall_facts netd_filter_facts(const netd_filter *filter) {
    static const char *const k3s[] = {"/usr/local/bin/k3s", "/usr/bin/k3s"};
    netd_firewall_facts facts = {0};
    struct stat status;
    facts.configured = mac_fs_stat(filter->root, CONFIGURED, &status) == 0;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(k3s); i++)
        facts.has_k3s |= mac_fs_stat(filter->root, k3s[i], &status) == 0;
    return facts;
}

/* ---- the end of a job ---- */

static void set_problem(netd_filter *filter, const char *problem) {
    if (problem && !mac_streq(problem, filter->problem))
        mac_log_error("the firewall could not be loaded, the one before stays", "reason=" MAC_LOG_Q("%s"), problem);
    else if (!problem)
        mac_log_info("firewall loaded", NULL);
    free(filter->problem);
    filter->problem = mac_strdup(problem);
}

/* The first job is over. */
static void finish(netd_filter *filter, const char *problem) {
    job *done = filter->jobs[0];
    memmove(filter->jobs, filter->jobs + 1, --filter->count * sizeof *filter->jobs);
    if (!done->try_only) {
        set_problem(filter, problem);
        if (!problem) {
            free(filter->loaded);
            filter->loaded = mac_take(&done->text);
        }
    }
    if (done->on_end)
        done->on_end(problem, done->data);
    free(done->text);
    free(done);
}

static void on_nft_end(mac_command *command, const mac_command_result *result, void *data) {
    job *j = data;
    netd_filter *filter = j->filter;
    (void)command;
    if (!filter) { /* freed meanwhile */
        free(j->text);
        free(j);
        return;
    }
    mac_autoptr(mac_error) error = mac_command_error("nft", result);
    /* nft says what is wrong first, and then where, in drawings. */
    mac_autofree char *said = mac_strndup(result->output, strcspn(result->output, "\n"));
    finish(filter, !error ? NULL : *said ? said : error->message);
    run_first(filter);
}

static void run_first(netd_filter *filter) {
    static const char *const load[] = {"nft", "-f", "-", NULL}, *const try_it[] = {"nft", "-c", "-f", "-", NULL};
    while (filter->count) {
        job *j = filter->jobs[0];
        if (mac_streq(j->text, filter->loaded)) {
            finish(filter, NULL);
            continue;
        }
        int r = netd_sys_run(filter->sys,
                             &(mac_command_options){.argv = j->try_only ? try_it : load,
                                                    .input = j->text,
                                                    .input_length = strlen(j->text),
                                                    .timeout_ms = NFT_MS,
                                                    .output_max = 4096,
                                                    .on_end = on_nft_end,
                                                    .data = j},
                             &j->command);
        if (r == 0)
            return;
        finish(filter, r == -ENOSYS ? NULL : r == -ENOENT ? "nft is not installed (package nftables)" : strerror(-r));
    }
}

static void enqueue(netd_filter *filter, const Macula__V1__Document *document, bool try_only, netd_filter_end on_end,
                    void *data) {
    const netd_firewall_facts facts = netd_filter_facts(filter);
    if (filter->count == JOBS_MAX) {
        if (on_end)
            on_end("the firewall is being changed by too many at once", data);
        return;
    }
    job *j = mac_calloc(1, sizeof *j);
    *j = (job){.filter = filter,
               .text = netd_firewall_render(document, &facts),
               .try_only = try_only,
               .on_end = on_end,
               .data = data};
    filter->jobs[filter->count++] = j;
    if (filter->count == 1)
        run_first(filter);
}

void netd_filter_set(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data) {
    filter->enabled = netd_firewall_enabled(document);
    enqueue(filter, document, false, on_end, data);
}

void netd_filter_try(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data) {
    enqueue(filter, document, true, on_end, data);
}

void netd_filter_look(netd_filter *filter) {
    if (!filter->enabled || !filter->loaded || filter->count || netd_sys_has_table(filter->sys))
        return;
    mac_log_warning("somebody has removed or replaced the firewall; it is loaded again", NULL);
    job *j = mac_calloc(1, sizeof *j);
    j->filter = filter;
    j->text = mac_take(&filter->loaded);
    filter->jobs[filter->count++] = j;
    run_first(filter);
}

const char *netd_filter_problem(const netd_filter *filter) {
    return filter->problem;
}

netd_filter *netd_filter_new(mac_root *root, netd_sys *sys) {
    netd_filter *filter = mac_calloc(1, sizeof *filter);
    *filter = (netd_filter){.root = root, .sys = sys};
    return filter;
}

void netd_filter_free(netd_filter *filter) {
    if (!filter)
        return;
    for (size_t i = 0; i < filter->count; i++) {
        job *j = filter->jobs[i];
        if (j->on_end)
            j->on_end("netd ends", j->data);
        if (j->command) {
            j->filter = NULL;
            mac_command_cancel(j->command);
        } else {
            free(j->text);
            free(j);
        }
    }
    free(filter->loaded);
    free(filter->problem);
    free(filter);
}
