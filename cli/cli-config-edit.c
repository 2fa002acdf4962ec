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
    request.options = options;
    return cli_call(session, &CONTROL, "Apply", &request.base, ret_answer);
}

/* Edits and applies until it is accepted or the person gives up. */
static int edit_loop(cli_session *session, const char *path, const char *original, cli_change *change) {
    for (;;) {
        if (editor_run(path) < 0)
            return CLI_FAILED;
        size_t length;
        mac_autofree char *text = NULL;
        mac_error *error = cli_read_text(path, &text, &length);
        if (error)
            return cli_fail(error);
        if (mac_streq(text, original)) {
            cli_print(CLI_PLAIN, "Nothing was changed.\n");
            return CLI_NOTHING_TO_DO;
        }
        ProtobufCMessage *answer = NULL;
        error = apply_text(session, text, &change->options, &answer);
        if (!error) {
            cli_change_settle(change, (const Macula__V1__ConfigOutcome *)answer, NULL);
            int code = cli_outcome_show((const Macula__V1__ConfigOutcome *)answer);
            protobuf_c_message_free_unpacked(answer, NULL);
            return code;
        }
        bool mendable =
            error->code == MACULA__V1__ERROR_CODE__INVALID || error->code == MACULA__V1__ERROR_CODE__REJECTED;
        if (!mendable)
            cli_change_settle(change, NULL, error);
        int code = cli_fail(error);
        if (!mendable || cli_ask("Open the editor again?") != 1) {
            cli_warning("your text is kept in %s", path);
            return code;
        }
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
        code = edit_loop(session, path, text, &change);
        if (code == CLI_OK || code == CLI_NOTHING_TO_DO || code == CLI_REBOOT_REQUIRED)
            unlink(path);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}
