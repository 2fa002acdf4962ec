/* confd-worker: what confd does not do itself. Fetching ssh keys, because it waits for a network and needs libcurl; it
 * also is where text from the network is first looked at, so that the resident service only sees what are keys. And
 * hashing passwords, which takes long on purpose. */
#include <string.h>

#include "confd-passwords.h"
#include "confd-sshkeys.h"
#include "flow/mac-worker.h"
#include "http/mac-http.h"
#include "macula/v1/passwords.pb-c.h"
#include "macula/v1/ssh-keys.pb-c.h"

/* ---- ssh keys ---- */

static char *read_keys(const mac_http_response *response, Macula__V1__SshKeysFetched *result, mac_strings *keys) {
    size_t refused = 0;
    int r = confd_ssh_keys_parse(response->body ? response->body : "", response->length, keys, &refused);
    if (r < 0)
        return mac_strdup(r == -EFBIG ? "it answered with more than a list of keys may hold"
                                      : "it answered with something that is not a list of keys");
    result->n_keys = keys->count;
    result->keys = keys->items;
    result->has_refused = true;
    result->refused = (uint32_t)refused;
    return NULL;
}

/* Fills result; the strings in it belong to keys, response and ret_error. */
static void fetch(const Macula__V1__SshKeysRequest *request, const Macula__V1__SshKeySource *source,
                  Macula__V1__SshKeysFetched *result, mac_strings *keys, mac_http_response *response,
                  char **ret_error) {
    mac_http_options options = {.url = source->url,
                                .ca_file = request->ca_file,
                                .etag = source->etag,
                                .limit = CONFD_KEYS_BYTES_MAX,
                                .timeout_ms = 8000,
                                .connect_timeout_ms = 4000,
                                .retries = 1};
    result->source = source->source;
    mac_autoptr(mac_error) error = mac_http_get(&options, response);
    if (error) {
        *ret_error = mac_strdup(error->message);
    } else if (response->status == 304) {
        result->has_unchanged = true;
        result->unchanged = true;
    } else if (response->status != 200) {
        *ret_error = mac_asprintf("it answered with status %ld", response->status);
    } else {
        *ret_error = read_keys(response, result, keys);
        result->etag = response->etag;
    }
    result->error = *ret_error;
}

/* What one source needs until the answer is sent. */
typedef struct fetched {
    Macula__V1__SshKeysFetched result;
    mac_strings keys;
    mac_http_response response;
    char *error;
} fetched;

static mac_error *ssh_keys(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__SshKeysRequest *request = (const Macula__V1__SshKeysRequest *)input;
    fetched *all = mac_calloc(request->n_sources + 1, sizeof *all);
    Macula__V1__SshKeysFetched **results = mac_calloc(request->n_sources + 1, sizeof *results);
    for (size_t i = 0; i < request->n_sources; i++) {
        all[i].result = (Macula__V1__SshKeysFetched)MACULA__V1__SSH_KEYS_FETCHED__INIT;
        results[i] = &all[i].result;
        fetch(request, request->sources[i], &all[i].result, &all[i].keys, &all[i].response, &all[i].error);
        mac_job_progress(job, (unsigned)(100 * (i + 1) / request->n_sources), 0, 0, request->sources[i]->source);
    }
    Macula__V1__SshKeysAnswer answer = MACULA__V1__SSH_KEYS_ANSWER__INIT;
    answer.n_results = request->n_sources;
    answer.results = results;
    mac_job_output(job, &answer.base);
    for (size_t i = 0; i < request->n_sources; i++) {
        mac_strings_deinit(&all[i].keys);
        mac_http_response_deinit(&all[i].response);
        free(all[i].error);
    }
    free(all);
    free(results);
    return NULL;
}

/* ---- passwords ---- */

static mac_error *passwords(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__PasswordsRequest *request = (const Macula__V1__PasswordsRequest *)input;
    mac_autostrings hashes = {0};
    for (size_t i = 0; i < request->n_passwords; i++) {
        const Macula__V1__PasswordWanted *wanted = request->passwords[i];
        mac_autofree char *hash = NULL;
        int result =
            confd_password_hash(wanted->password ? wanted->password : "", wanted->known, wanted->n_known, &hash);
        if (result < 0)
            return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, wanted->path, "the password cannot be hashed: %s",
                                 strerror(-result));
        mac_strings_add(&hashes, hash);
    }
    Macula__V1__PasswordsAnswer answer = MACULA__V1__PASSWORDS_ANSWER__INIT;
    answer.n_hashes = hashes.count;
    answer.hashes = hashes.items;
    mac_job_output(job, &answer.base);
    return NULL;
}

int main(int argc, char **argv) {
    static const mac_job_entry jobs[] = {
        {"ssh-keys", &macula__v1__ssh_keys_request__descriptor, ssh_keys},
        {"passwords", &macula__v1__passwords_request__descriptor, passwords},
        {NULL, NULL, NULL},
    };
    return mac_worker_main(argc, argv, jobs);
}
