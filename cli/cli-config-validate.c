/* config validate: the node's own checks of one file, without a node. */
#include "cli-config.h"
#include "cli-output.h"
#include "codec/mac-codec.h"
#include "confd-validate.h"

int cli_config_validate(cli_invocation *invocation) {
    const char *file = cli_argument(invocation, 0);
    size_t length;
    mac_autofree char *text = NULL;
    mac_error *error = cli_read_text(file, &text, &length);
    if (error)
        return cli_fail(error);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    const char *name = mac_streq(file, "-") ? "standard input" : file;
    bool valid = confd_validate(name, text, length, problems);

    if (cli_output_json() || cli_output_yaml()) {
        Macula__V1__ConfigValidation answer = MACULA__V1__CONFIG_VALIDATION__INIT;
        answer.has_valid = true;
        answer.valid = valid;
        answer.problems = mac_problems_to_list(problems, &answer.n_problems);
        cli_print_message(&answer.base);
        mac_problem_list_free(answer.problems, answer.n_problems);
    } else {
        cli_problems(problems);
        if (valid)
            cli_print(CLI_GREEN, "%s is valid.\n", name);
    }
    return valid ? CLI_OK : CLI_REJECTED;
}
