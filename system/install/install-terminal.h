/* Questions on a terminal, a line each, so that they work on a serial line as on a screen. */
#ifndef INSTALL_TERMINAL_H
#define INSTALL_TERMINAL_H

#include "base/mac-problem.h"

#define INSTALL_ANSWER_MAX 4096u /* longer lines are refused by asking again */

typedef enum install_reply {
    INSTALL_ANSWERED, /* a line, without white space around it; "" when only Enter was pressed */
    INSTALL_BACK,     /* "back": the question before */
    INSTALL_QUIT,     /* "quit", Ctrl-C, Ctrl-D, or the terminal is gone */
} install_reply;

/* Both standard input and error are a terminal. */
bool install_terminal_there(void);
/* From now on Ctrl-C ends the question that is asked (INSTALL_QUIT) instead of the process. */
void install_terminal_begin(void);
/* From now on Ctrl-C calls this. */
void install_terminal_on_stop(void (*stop)(void));
/* Writes to the terminal; what comes from outside must be free of control characters. */
void install_terminal_say(const char *format, ...) MAC_PRINTF(1, 2);
/* Asks; the answer is the caller's to free (wipe it when hidden). A hidden answer is not shown and not
 * trimmed. */
install_reply install_terminal_ask(const char *question, bool hidden, char **ret_answer);
/* Shows why an answer is not taken. True: it was taken. */
bool install_terminal_taken(mac_error *error);

#endif
