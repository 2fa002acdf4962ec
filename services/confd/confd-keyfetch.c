/* One worker for all sources, one after the other, within a minute. */
#include "confd-keyfetch.h"

#include <string.h>

#include "confd-keycache.h"
#include "confd-sshkeys.h"
#include "flow/mac-worker.h"

#define KEY "ssh_authorized_keys"
#define FETCH_TIMEOUT_MS 60000

struct confd_keyfetch {
    mac_root *root;
    mac_worker *worker;
    mac_problems *notes;
    mac_strings sources;
    void (*on_end)(const mac_problems *notes, void *data);
    void *data;
};

static void add_remote(char *const *entries, size_t count, mac_strings *sources) {
    for (size_t i = 0; i < count; i++)
        if (confd_ssh_source_is_remote(entries[i]) && !mac_strings_contain(sources, entries[i]))
            mac_strings_add(sources, entries[i]);
}

void confd_keyfetch_sources(const Macula__V1__Document *document, mac_strings *ret_sources) {
    const Macula__V1__MaculaosSection *section = confd_section(document);
    add_remote(document->ssh_authorized_keys, document->n_ssh_authorized_keys, ret_sources);
    for (size_t i = 0; i < section->n_users; i++)
        add_remote(section->users[i]->ssh_authorized_keys, section->users[i]->n_ssh_authorized_keys, ret_sources);
}

/* Without an answer: what was fetched before counts, or there is nothing yet. */
static void note_failure(confd_keyfetch *fetch, const char *source, const char *why) {
    mac_autofree char *shown = mac_hide_logins(source);
    if (confd_keycache_get(fetch->root, source, NULL, NULL))
        mac_problems_add(fetch->notes, MAC_PROBLEM_NOTE, NULL, KEY,
                         "%s could not be asked for keys, those fetched before stay in force: %s", shown, why);
    else
        mac_problems_add(fetch->notes, MAC_PROBLEM_WARNING, NULL, KEY,
                         "%s could not be asked for keys and never was before; it is tried again later, and until it "
                         "answers the keys that were there before stay: %s",
                         shown, why);
}

static void take_result(confd_keyfetch *fetch, const Macula__V1__SshKeysFetched *result) {
    mac_autofree char *source = mac_hide_logins(result->source ? result->source : "");
    if (result->error) {
        note_failure(fetch, result->source, result->error);
        return;
    }
    if (result->refused > 0)
        mac_problems_add(fetch->notes, MAC_PROBLEM_WARNING, NULL, KEY,
                         "%u lines from %s are not plain public keys and were left out", result->refused, source);
    if (result->unchanged)
        return;
    if (result->n_keys == 0)
        mac_problems_add(fetch->notes, MAC_PROBLEM_WARNING, NULL, KEY, "%s has no keys", source);
    int r = confd_keycache_put(fetch->root, result);
    if (r < 0)
        mac_problems_add(fetch->notes, MAC_PROBLEM_WARNING, NULL, KEY, "the keys of %s could not be kept: %s", source,
                         strerror(-r));
}

static void on_worker_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    confd_keyfetch *fetch = data;
    const Macula__V1__SshKeysAnswer *answer = (const Macula__V1__SshKeysAnswer *)output;
    for (size_t i = 0; !error && answer && i < answer->n_results; i++)
        if (answer->results[i]->source && mac_strings_contain(&fetch->sources, answer->results[i]->source))
            take_result(fetch, answer->results[i]);
    for (size_t i = 0; error && i < fetch->sources.count; i++)
        note_failure(fetch, fetch->sources.items[i], error->message);
    fetch->on_end(fetch->notes, fetch->data);
    mac_problems_free(fetch->notes);
    mac_strings_deinit(&fetch->sources);
    free(fetch);
}

/* The message for the worker; its strings live in the arrays. */
typedef struct fetch_request {
    Macula__V1__SshKeysRequest message;
    Macula__V1__SshKeySource *items;
    Macula__V1__SshKeySource **list;
} fetch_request;

static void build_request(const confd_keyfetch *fetch, fetch_request *request) {
    size_t count = fetch->sources.count;
    request->message = (Macula__V1__SshKeysRequest)MACULA__V1__SSH_KEYS_REQUEST__INIT;
    request->items = mac_calloc(count + 1, sizeof *request->items);
    request->list = mac_calloc(count + 1, sizeof(Macula__V1__SshKeySource *));
    for (size_t i = 0; i < count; i++) {
        Macula__V1__SshKeySource *item = &request->items[request->message.n_sources];
        *item = (Macula__V1__SshKeySource)MACULA__V1__SSH_KEY_SOURCE__INIT;
        item->source = fetch->sources.items[i];
        item->url = confd_ssh_source_url(item->source);
        if (!item->url)
            continue;
        confd_keycache_get(fetch->root, item->source, NULL, &item->etag);
        request->list[request->message.n_sources++] = item;
    }
    request->message.sources = request->list;
    request->message.ca_file = getenv("MACULA_CA_FILE");
}

static void free_request(fetch_request *request) {
    for (size_t i = 0; i < request->message.n_sources; i++) {
        free(request->items[i].url);
        free(request->items[i].etag);
    }
    free(request->items);
    free(request->list);
}

int confd_keyfetch_start(const confd_context *context, void (*on_end)(const mac_problems *notes, void *data),
                         void *data, confd_keyfetch **ret_fetch) {
    confd_keyfetch *fetch = mac_calloc(1, sizeof *fetch);
    fetch->root = context->root;
    fetch->on_end = on_end;
    fetch->data = data;
    fetch->notes = mac_problems_new();
    confd_keyfetch_sources(context->document, &fetch->sources);
    fetch_request request;
    build_request(fetch, &request);
    mac_worker_options options = {.loop = context->loop,
                                  .program = "confd-worker",
                                  .job = "ssh-keys",
                                  .input = &request.message.base,
                                  .output = &macula__v1__ssh_keys_answer__descriptor,
                                  .timeout_ms = FETCH_TIMEOUT_MS,
                                  .on_end = on_worker_end,
                                  .data = fetch};
    int r = mac_worker_start(&options, &fetch->worker);
    free_request(&request);
    if (r < 0) {
        mac_problems_free(fetch->notes);
        mac_strings_deinit(&fetch->sources);
        free(fetch);
        return r;
    }
    *ret_fetch = fetch;
    return 0;
}

void confd_keyfetch_cancel(confd_keyfetch *fetch) {
    mac_worker_cancel(fetch->worker);
}
