#include "netd-filter.h"

#include <errno.h>
#include <string.h>

#include "log/mac-log.h"

#define NFT_MS 10000
#define CONFIGURED "/var/lib/maculaos/.configured"
#define SETUP_PORT "/run/macula/firstboot/port" /* as long as there is a page */
#define JOBS_MAX 8                              /* that wait; more are refused */
#define AGAIN_MS 1000u
#define AGAIN_MAX_MS 60000u
#define LOOK_MS 20u    /* changes of the table come in bursts */
#define FIGHT_MS 1000u /* between two loads of a table that somebody else keeps removing */

typedef struct job {
    netd_filter *filter;
    char *text;
    bool try_only, removes; /* removes: the text only takes a table of ours away */
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
    char *wanted; /* the last that was to be loaded; NULL: none was */
    char *problem;
    bool guest, enabled;
    netd_firewall_facts facts; /* that `wanted` was made of */
    uv_timer_t again;          /* until what could not be loaded is tried again */
    unsigned again_ms;
    uv_timer_t look; /* somebody has changed the table: soon looked whether it still is one */
    bool look_later; /* while something was being loaded */
    uint64_t removed_ms;
};

static void run_first(netd_filter *filter);

static uint16_t setup_port(mac_root *root) {
    mac_autofree char *text = NULL;
    if (mac_fs_read(root, SETUP_PORT, 16, &text, NULL) < 0)
        return 0;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

netd_firewall_facts netd_filter_facts(const netd_filter *filter) {
    static const char *const k3s[] = {"/usr/local/bin/k3s", "/usr/bin/k3s"};
    netd_firewall_facts facts = {0};
    struct stat status;
    facts.guest = filter->guest;
    facts.setup_port = setup_port(filter->root);
    /* Who set the node up over the network is to see that it is done: the page outlives the mark for a minute. */
    facts.configured = !facts.setup_port && mac_fs_stat(filter->root, CONFIGURED, &status) == 0;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(k3s); i++)
        facts.has_k3s |= mac_fs_stat(filter->root, k3s[i], &status) == 0;
    return facts;
}

/* ---- the end of a job ---- */

static void set_problem(netd_filter *filter, const char *problem) {
    if (problem && !mac_streq(problem, filter->problem))
        mac_log_error("the firewall could not be loaded, the one before stays", "reason=" MAC_LOG_Q("%s"), problem);
    else if (!problem)
        mac_log_info(filter->enabled ? "firewall loaded" : "no firewall of this node's", NULL);
    char *before = filter->problem;
    filter->problem = mac_strdup(problem);
    free(before);
}

static void add_job(netd_filter *filter, job *j) {
    filter->jobs[filter->count++] = j;
    if (filter->count == 1)
        run_first(filter);
}

static void on_again(uv_timer_t *timer) {
    netd_filter *filter = timer->data;
    if (filter->count || !filter->wanted || mac_streq(filter->wanted, filter->loaded))
        return;
    job *j = mac_calloc(1, sizeof *j);
    *j = (job){.filter = filter, .text = mac_strdup(filter->wanted), .removes = !filter->enabled};
    add_job(filter, j);
}

/* After a load: when the next one is due, should this one have failed. */
static void wait_again(netd_filter *filter, bool failed) {
    if (!failed) {
        uv_timer_stop(&filter->again);
        filter->again_ms = AGAIN_MS;
        return;
    }
    uv_timer_start(&filter->again, on_again, filter->again_ms, 0);
    filter->again_ms = filter->again_ms * 2 < AGAIN_MAX_MS ? filter->again_ms * 2 : AGAIN_MAX_MS;
}

/* The first job is over. */
static void finish(netd_filter *filter, const char *problem) {
    job *done = filter->jobs[0];
    memmove(filter->jobs, filter->jobs + 1, --filter->count * sizeof *filter->jobs);
    if (!done->try_only) {
        set_problem(filter, problem);
        wait_again(filter, problem != NULL);
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

static void on_table(void *data);

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
    if (!filter->count && filter->look_later)
        on_table(filter);
}

static void run_first(netd_filter *filter) {
    static const char *const load[] = {"nft", "-f", "-", NULL}, *const try_it[] = {"nft", "-c", "-f", "-", NULL};
    while (filter->count) {
        job *j = filter->jobs[0];
        if (j->command) /* begun by whom the end of the one before was told */
            return;
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
        bool is_done = r == -ENOSYS || (r == -ENOENT && j->removes); /* without nft nobody has loaded one */
        finish(filter, is_done ? NULL : r == -ENOENT ? "nft is not installed (package nftables)" : strerror(-r));
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
               .removes = !netd_firewall_enabled(document, &facts),
               .on_end = on_end,
               .data = data};
    if (!try_only) {
        free(filter->wanted);
        filter->wanted = mac_strdup(j->text);
        filter->enabled = !j->removes;
        filter->facts = facts;
    }
    add_job(filter, j);
}

void netd_filter_set(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data) {
    enqueue(filter, document, false, on_end, data);
}

void netd_filter_refresh(netd_filter *filter, const Macula__V1__Document *document) {
    const netd_firewall_facts now = netd_filter_facts(filter), *then = &filter->facts;
    if (filter->wanted &&
        (now.configured != then->configured || now.has_k3s != then->has_k3s || now.setup_port != then->setup_port))
        netd_filter_set(filter, document, NULL, NULL);
}

void netd_filter_try(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data) {
    enqueue(filter, document, true, on_end, data);
}

void netd_filter_look(netd_filter *filter) {
    if (!filter->enabled || !filter->loaded || filter->count || netd_sys_has_table(filter->sys))
        return;
    mac_log_warning("somebody has removed or replaced the firewall; it is loaded again", NULL);
    filter->removed_ms = mac_now_ms();
    job *j = mac_calloc(1, sizeof *j);
    j->filter = filter;
    j->text = mac_take(&filter->loaded);
    add_job(filter, j);
}

static void on_look(uv_timer_t *timer) {
    netd_filter_look(timer->data);
}

/* Our own loads are told here, too: then nothing is found to be wrong. */
static void on_table(void *data) {
    netd_filter *filter = data;
    bool is_fight = filter->removed_ms && mac_now_ms() < filter->removed_ms + FIGHT_MS;
    filter->look_later = filter->count > 0;
    if (!filter->look_later && !uv_is_active((uv_handle_t *)&filter->look))
        uv_timer_start(&filter->look, on_look, is_fight ? FIGHT_MS : LOOK_MS, 0);
}

const char *netd_filter_problem(const netd_filter *filter) {
    return filter->problem;
}

netd_filter *netd_filter_new(mac_root *root, uv_loop_t *loop, netd_sys *sys, bool guest) {
    netd_filter *filter = mac_calloc(1, sizeof *filter);
    *filter = (netd_filter){.root = root, .sys = sys, .guest = guest, .again_ms = AGAIN_MS};
    uv_timer_init(loop, &filter->again);
    filter->again.data = filter;
    uv_timer_init(loop, &filter->look);
    filter->look.data = filter;
    int r = netd_sys_watch_table(sys, on_table, filter);
    if (r < 0)
        mac_log_warning("it cannot be seen when somebody removes the firewall", "error=" MAC_LOG_Q("%s"), strerror(-r));
    return filter;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_look_closed(uv_handle_t *handle) {
    netd_filter *filter = handle->data;
    uv_close((uv_handle_t *)&filter->again, on_closed);
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
    free(filter->wanted);
    free(filter->problem);
    uv_timer_stop(&filter->again);
    uv_close((uv_handle_t *)&filter->look, on_look_closed);
}
