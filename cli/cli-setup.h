/* setup: a node that was never configured, set up in a terminal. */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include "cli-command.h"
#include "macula/v1/firstboot.pb-c.h"

int cli_setup(cli_invocation *invocation);
int cli_setup_code(cli_invocation *invocation);
int cli_setup_status(cli_invocation *invocation);

/* ---- cli-setup-ask.c: questions on the terminal ---- */

/* Answers by the name of their field, secrets among them: wiped when freed. */
typedef struct cli_answers {
    char **names, **values;
    size_t count;
} cli_answers;

#define cli_autoanswers __attribute__((cleanup(cli_answers_deinit))) cli_answers
void cli_answers_set(cli_answers *answers, const char *name, const char *value);
const char *cli_answers_get(const cli_answers *answers, const char *name); /* NULL: none */
void cli_answers_deinit(cli_answers *answers);
/* Whether a field counts with these answers and the values the node has. */
bool cli_setup_counts(const Macula__V1__FirstbootStep *step, const Macula__V1__FirstbootField *field,
                      const cli_answers *answers);
/* Asks for one field until there is an answer. False when the terminal has ended. */
bool cli_setup_ask(const Macula__V1__FirstbootField *field, cli_answers *answers);
/* What the node would be, as it was answered. */
void cli_setup_review(const Macula__V1__FirstbootSteps *steps);
/* From here on Ctrl-C and the like end the program at once, also between two questions: the loop, which takes them
 * otherwise, does not run while a line is read. The terminal is left as it was. */
void cli_setup_signals(void);
/* One line; false at the end of the input. */
bool cli_setup_line(const char *prompt, bool secret, char **ret_line);

#endif
