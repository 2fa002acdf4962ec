/* config edit: the source text in the person's editor, as often as needed, applied on top of the generation that was
 * opened. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli-config.h"
#include "cli-output.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"

#define CONTROL macula__v1__config_control__descriptor

/* A private file with the text; fills in the XXXXXX of path. The suffix lets editors colour YAML. */
static int text_store(char *path, const char *text) {
    int fd = mkstemps(path, 5);
    if (fd < 0)
        return -errno;
    size_t length = strlen(text);
    ssize_t written = write(fd, text, length);
    int r = written == (ssize_t)length ? 0 : -(errno ? errno : EIO);
    close(fd);
    if (r < 0)
        unlink(path);
    return r;
}

/* Runs the editor and waits. Its command may have arguments ("code --wait"), so the shell splits it; the file name is
 * passed apart. */
static int editor_run(const char *path) {
    const char *editor = getenv("VISUAL");
    if (!editor || !*editor)
        editor = getenv("EDITOR");
    if (!editor || !*editor)
        editor = "vi";
    mac_autofree char *command = mac_asprintf("%s \"$1\"", editor);
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        cli_error("there is no editor \"%s\" here: name one in VISUAL or EDITOR, such as EDITOR=nano; nothing was "
                  "applied. Without one: maculaos config apply FILE",
                  editor);
        return -ENOENT;
    }
    cli_error("the editor \"%s\" ended with a failure; nothing was applied", editor);
    return -ECANCELED;
}

static mac_error *apply_text(cli_session *session, const char *text, Macula__V1__ChangeOptions *options,
                             ProtobufCMessage **ret_answer) {
    Macula__V1__ConfigApplyRequest request = MACULA__V1__CONFIG_APPLY_REQUEST__INIT;
    request.text = (char *)text;
    request.name = (char *)"config.yaml";
    request.has_keep_changes = request.keep_changes = true;
    request.options = options;
    return cli_call(session, &CONTROL, "Apply", &request.base, ret_answer);
}

/* One file while it is edited. */
struct edited {
    const char *path, *original;
    bool changed; /* holds what a person wrote and the node has not taken: it is kept */
};

/* Lets the person edit; *ret_text is theirs. CLI_OK, or the exit code after having said what is wrong. */
static int edit_once(struct edited *edited, char **ret_text) {
    int edit_result = editor_run(edited->path);
    size_t length;
    mac_error *error = cli_read_text(edited->path, ret_text, &length);
    edited->changed = error ? access(edited->path, F_OK) == 0 : !mac_streq(*ret_text, edited->original);
    if (error && edit_result == 0)
        return cli_fail(error);
    mac_error_free(error);
    if (edit_result < 0)
        return CLI_FAILED;
    if (!edited->changed) {
        cli_print(CLI_PLAIN, "Nothing was changed.\n");
        return CLI_NOTHING_TO_DO;
    }
    return CLI_OK;
}

/* Edits and applies until it is accepted or the person gives up. */
static int edit_loop(cli_session *session, struct edited *edited, cli_change *change) {
    for (;;) {
        mac_autofree char *text = NULL;
        int code = edit_once(edited, &text);
        if (code != CLI_OK)
            return code;
        ProtobufCMessage *answer = NULL;
        mac_error *error = apply_text(session, text, &change->options, &answer);
        if (!error) {
            cli_change_settle(change, (const Macula__V1__ConfigOutcome *)answer, NULL);
            code = cli_outcome_take(session, (const Macula__V1__ConfigOutcome *)answer);
            protobuf_c_message_free_unpacked(answer, NULL);
            bool taken = code == CLI_OK || code == CLI_NOTHING_TO_DO || code == CLI_REBOOT_REQUIRED;
            edited->changed = change->options.dry_run || !taken;
            return code;
        }
        bool mendable =
            error->code == MACULA__V1__ERROR_CODE__INVALID || error->code == MACULA__V1__ERROR_CODE__REJECTED;
        if (!mendable)
            cli_change_settle(change, NULL, error);
        code = cli_fail(error);
        if (!mendable || cli_ask("Open the editor again?") != 1)
            return code;
    }
}

int cli_config_edit(cli_invocation *invocation) {
    cli_autochange change = {0};
    int code = cli_change_init(&change, invocation);
    if (code != CLI_OK)
        return code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    Macula__V1__ConfigSourceRequest request = MACULA__V1__CONFIG_SOURCE_REQUEST__INIT;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &CONTROL, "Source", &request.base, &answer);
    if (error)
        return cli_fail(error);
    Macula__V1__ConfigSource *source = (Macula__V1__ConfigSource *)answer;
    const char *text = source->text ? source->text : "";
    if (!change.options.has_expected_generation) {
        change.options.has_expected_generation = source->has_generation;
        change.options.expected_generation = source->generation;
    }
    const char *directory = getenv("TMPDIR");
    mac_autofree char *path = mac_asprintf("%s/maculaos-XXXXXX.yaml", directory && *directory ? directory : "/tmp");
    int r = text_store(path, text);
    if (r < 0) {
        cli_error("%s: %s", path, strerror(-r));
        code = CLI_FAILED;
    } else {
        struct edited edited = {.path = path, .original = text};
        code = edit_loop(session, &edited, &change);
        if (edited.changed)
            cli_warning("your text is kept in %s", path);
        else
            unlink(path); /* it is the node's configuration, which is nobody else's business */
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}
