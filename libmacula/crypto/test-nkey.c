#include <fcntl.h>
#include <signal.h>

#include <nats/nats.h>

#include "test-crypto-box.h"

/* Made with the reference implementation, github.com/nats-io/nkeys for Go: seed, public key, signature of "nonce". */
static const char *const vectors[][3] = {
    {"SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y",
     "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK",
     "f874eae1de830c754d6fc32c4d1019b5221ad2f5c0ff2b996e5c1303b253e7063398a071276c2961f8c787b85ca6d66589d6d5c3fe992f2b9"
     "b"
     "8e6ff20e4f8e09"},
    {"SUAP777777777777777777777777777777777777777777777777775UUA",
     "UB3KCWJAISTOJ5IREZN4U45GATMQWBJJ2HPWAK7DBIM2SJLWMDI7LRYD",
     "229b9e38307cbdbd44f567a72dbe481ceb8d4ba52cc1d4c35e14f509e18f60512020722acabf22b75945fd94b02f395d61cdb39bf7c4a3510"
     "8"
     "263d2466777a0a"},
    {"SUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEQ",
     "UA5WUJ54Z23KILLCUOUNAKTPBVZWKMQVO4O6EQ5GHLAERIMLLHNCTYM5",
     "fee20f7abb48891e88a5fd38f5063c529d77cfee174662f34ee84d81004235f64140235f08243636b4057bae94741ee269774db8e64ce6740"
     "c"
     "a35d142e4f8a0d"},
    {"SUAGKWMTKVWFX3T6JKYWNFXS2BEVKWTPG2NHK5V45T65G4FDLPAIL2DMVE",
     "UCU2QWCYE3BIPA3ARKS3SHL2LWJE43UDTM5IFSUP4SPDPUWWCRUD2XPS",
     "93777ebee7c0056caa85b069f8d0f5d5a282158049c01bcd7eb9670101f280fa8017a35c754a9d315662369e341397a3c9edf11e323e763e2"
     "1"
     "52c3977a373b01"},
    {"SUACK53I6XNRBRG2ZZLVFNRMBOKI5QO3GGPIF5TBZOVZ7OA5SL43T5EZYI",
     "UDFQJSVR5HEHC442OKIXHFJJVEC633Z7TUUHA6NZXXMDIHQULRSCVML6",
     "1d97e5cd170905d079bcce11b9117ee161bb6085d045ee18727108114004c768efdac8e044abbc267f3fc272767eb762dc9b3b238dadf0ec3"
     "9"
     "69905d7e164308"},
};

static void keys_are_those_of_the_reference_implementation(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(vectors); i++) {
        char public[MAC_NKEY_PUBLIC_SIZE];
        uint8_t signature[64], expected[64];
        assert_int_equal(mac_nkey_public(vectors[i][0], public), 0);
        assert_string_equal(public, vectors[i][1]);
        assert_true(mac_nkey_is_public(public));
        from_hex(vectors[i][2], expected);
        assert_int_equal(mac_nkey_sign(vectors[i][0], "nonce", 5, signature), 0);
        assert_memory_equal(signature, expected, sizeof(expected));
    }
}

static void damaged_keys_are_refused(void **state) {
    (void)state;
    char public[MAC_NKEY_PUBLIC_SIZE] = "untouched", seed[MAC_NKEY_SEED_SIZE];
    uint8_t signature[64];
    for (size_t at = 0; at < MAC_NKEY_SEED_SIZE - 1; at++) {
        memcpy(seed, vectors[0][0], sizeof(seed));
        seed[at] = seed[at] == 'A' ? 'B' : 'A';
        assert_int_equal(mac_nkey_public(seed, public), -EBADMSG);
        assert_int_equal(mac_nkey_sign(seed, "nonce", 5, signature), -EBADMSG);
    }
    memcpy(seed, vectors[0][0], sizeof(seed));
    seed[57] = '\0';
    assert_int_equal(mac_nkey_public(seed, public), -EBADMSG);
    assert_int_equal(mac_nkey_public("", public), -EBADMSG);
    assert_int_equal(mac_nkey_public(NULL, public), -EBADMSG);
    /* A seed of an account is none of a user. */
    assert_int_equal(mac_nkey_public("SAAGXPQFCS2XAWHH5IESZCZ2GRQTNYAEKMUNVGA6REFPDUH4USCCSB52ZY", public), -EBADMSG);
    assert_string_equal(public, "untouched");
    for (size_t at = 0; at < MAC_NKEY_PUBLIC_SIZE - 1; at++) {
        memcpy(public, vectors[0][1], sizeof(public));
        public[at] = public[at] == 'A' ? 'B' : 'A';
        assert_false(mac_nkey_is_public(public));
    }
    assert_false(mac_nkey_is_public("ABO3OKSNAVVMDS5H3HFPP7YIF73S7XUAGTRMOBB2Z5PZR7NBQXD2PGVO"));
    assert_false(mac_nkey_is_public(NULL));
}

static void a_new_key_is_a_key_and_never_the_same(void **state) {
    (void)state;
    char seed[MAC_NKEY_SEED_SIZE], other[MAC_NKEY_SEED_SIZE];
    char public[MAC_NKEY_PUBLIC_SIZE], again[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(other, public);
    mac_nkey_new(seed, public);
    assert_string_not_equal(seed, other);
    assert_int_equal(mac_nkey_public(seed, again), 0);
    assert_string_equal(public, again);
    assert_true(mac_starts_with(seed, "SU"));
    assert_true(public[0] == 'U');
}

static void a_seed_file_is_made_once_and_read_again(void **state) {
    mac_root *root = *state;
    char *seed = NULL;
    char public[MAC_NKEY_PUBLIC_SIZE], again[MAC_NKEY_PUBLIC_SIZE];
    assert_int_equal(mac_nkey_load(root, "/identity/confd.nk", false, &seed, public), -ENOENT);
    assert_null(seed);
    assert_int_equal(mac_nkey_load(root, "/identity/confd.nk", true, &seed, public), 0);
    mac_nkey_seed_free(seed);
    assert_private(root, "/identity/confd.nk");
    assert_int_equal(mac_nkey_load(root, "/identity/confd.nk", true, &seed, again), 0);
    assert_string_equal(public, again);
    mac_nkey_seed_free(seed);
    mac_nkey_seed_free(NULL);

    mac_autofree char *line = mac_asprintf("%s\n", vectors[0][0]);
    assert_int_equal(mac_fs_write(root, "/line.nk", line, strlen(line), MAC_FS_KEEP), 0);
    assert_int_equal(mac_nkey_load(root, "/line.nk", true, &seed, public), 0);
    assert_string_equal(seed, vectors[0][0]);
    assert_string_equal(public, vectors[0][1]);
    assert_private(root, "/line.nk");
    mac_nkey_seed_free(mac_take(&seed));
    static const char *const bad[] = {"", "\n", "SU", "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776X"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        assert_int_equal(mac_fs_write(root, "/bad.nk", bad[i], strlen(bad[i]), MAC_FS_PRIVATE), 0);
        assert_int_equal(mac_nkey_load(root, "/bad.nk", true, &seed, public), -EBADMSG);
    }
    assert_null(seed);
}

#define RACERS 8

static void processes_that_make_a_key_at_once_get_the_same(void **state) {
    mac_root *root = *state;
    int start[2], results[2];
    assert_int_equal(pipe(start), 0);
    assert_int_equal(pipe(results), 0);
    pid_t racers[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = fork();
        assert_true(racers[i] >= 0);
        if (racers[i] > 0)
            continue;
        char go, public[MAC_NKEY_PUBLIC_SIZE] = {0};
        char *seed;
        close(start[1]);
        if (read(start[0], &go, 1) != 0 || mac_nkey_load(root, "/run/identity/x.nk", true, &seed, public) < 0)
            _exit(1);
        _exit(write(results[1], public, sizeof(public)) == sizeof(public) ? 0 : 1);
    }
    close(start[1]); /* all of them read its end now */
    close(start[0]);
    close(results[1]);
    char first[MAC_NKEY_PUBLIC_SIZE], public[MAC_NKEY_PUBLIC_SIZE];
    unsigned count = 0;
    while (read(results[0], count ? public : first, sizeof(public)) == sizeof(public)) {
        if (count++)
            assert_string_equal(public, first);
    }
    close(results[0]);
    assert_int_equal(count, RACERS);
    for (unsigned i = 0; i < RACERS; i++) {
        int status;
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_int_equal(status, 0);
    }
}

/* Starts nats-server with one user; returns its process and the URL it listens on. */
static pid_t start_server(mac_root *root, const char *public, char *ret_url, size_t size) {
    mac_autofree char *text =
        mac_asprintf("host: 127.0.0.1\nport: -1\nauthorization { users: [ { nkey: %s } ] }\n", public);
    assert_int_equal(mac_fs_write(root, "/nats.conf", text, strlen(text), MAC_FS_PRIVATE), 0);
    mac_autofree char *configuration = mac_root_path(root, "/nats.conf");
    int log[2];
    assert_int_equal(pipe(log), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        dup2(log[1], STDERR_FILENO);
        execlp("nats-server", "nats-server", "-c", configuration, NULL);
        _exit(127);
    }
    close(log[1]);
    FILE *lines = fdopen(log[0], "r");
    char line[512];
    unsigned port = 0;
    while (fgets(line, sizeof(line), lines)) {
        const char *at = strstr(line, "client connections on 127.0.0.1:");
        if (at)
            sscanf(at, "client connections on 127.0.0.1:%u", &port);
        if (strstr(line, "Server is ready"))
            break;
    }
    /* The pipe stays open until the test ends: the server would die of a line that nobody can read. */
    assert_int_not_equal(port, 0);
    snprintf(ret_url, size, "nats://127.0.0.1:%u", port);
    return server;
}

static natsStatus sign_nonce(char **ret_error, unsigned char **ret_signature, int *ret_length, const char *nonce,
                             void *seed) {
    (void)ret_error;
    *ret_signature = malloc(64);
    *ret_length = 64;
    return mac_nkey_sign(seed, nonce, strlen(nonce), *ret_signature) < 0 ? NATS_ERR : NATS_OK;
}

/* Connects with a seed file, as cnats reads it, or, without one, with signatures of our own. */
static natsStatus try_to_connect(const char *url, const char *public, const char *file, const char *seed) {
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    assert_int_equal(natsOptions_Create(&options), NATS_OK);
    assert_int_equal(natsOptions_SetURL(options, url), NATS_OK);
    assert_int_equal(natsOptions_SetAllowReconnect(options, false), NATS_OK);
    if (file)
        assert_int_equal(natsOptions_SetNKeyFromSeed(options, public, file), NATS_OK);
    else
        assert_int_equal(natsOptions_SetNKey(options, public, sign_nonce, (void *)(uintptr_t)seed), NATS_OK);
    natsStatus status = natsConnection_Connect(&connection, options);
    if (status == NATS_OK)
        status = natsConnection_FlushTimeout(connection, 30000);
    natsConnection_Destroy(connection);
    natsOptions_Destroy(options);
    return status;
}

static void a_nats_server_accepts_our_key_and_no_other(void **state) {
    mac_root *root = *state;
    char *seed, *other;
    char public[MAC_NKEY_PUBLIC_SIZE], other_public[MAC_NKEY_PUBLIC_SIZE], url[64];
    assert_int_equal(mac_nkey_load(root, "/netd.nk", true, &seed, public), 0);
    assert_int_equal(mac_nkey_load(root, "/other.nk", true, &other, other_public), 0);
    mac_autofree char *file = mac_root_path(root, "/netd.nk");
    mac_autofree char *other_file = mac_root_path(root, "/other.nk");
    pid_t server = start_server(root, public, url, sizeof(url));

    natsStatus from_file = try_to_connect(url, public, file, NULL);
    natsStatus signed_here = try_to_connect(url, public, NULL, seed);
    natsStatus unknown = try_to_connect(url, other_public, other_file, NULL);
    natsStatus forged = try_to_connect(url, public, NULL, other);

    kill(server, SIGTERM);
    assert_int_equal(waitpid(server, NULL, 0), server);
    nats_CloseAndWait(10000);
    mac_nkey_seed_free(seed);
    mac_nkey_seed_free(other);
    assert_int_equal(from_file, NATS_OK);
    assert_int_equal(signed_here, NATS_OK);
    assert_int_not_equal(unknown, NATS_OK);
    assert_int_not_equal(forged, NATS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_reference_implementation),
        cmocka_unit_test(damaged_keys_are_refused),
        cmocka_unit_test(a_new_key_is_a_key_and_never_the_same),
        BOX_TEST(a_seed_file_is_made_once_and_read_again),
        BOX_TEST(processes_that_make_a_key_at_once_get_the_same),
        BOX_TEST(a_nats_server_accepts_our_key_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
