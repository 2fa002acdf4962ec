#include "install-terminal.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"

static volatile sig_atomic_t interrupted;
static void (*on_stop)(void);

static void interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
    if (on_stop)
        on_stop();
}

bool install_terminal_there(void) {
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

void install_terminal_begin(void) {
    /* Without SA_RESTART: the read that waits for an answer ends. */
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

void install_terminal_on_stop(void (*stop)(void)) {
    on_stop = stop;
    install_terminal_begin();
}

void install_terminal_say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
}

/* One line of at most INSTALL_ANSWER_MAX bytes. -1: the end, or Ctrl-C. */
static ssize_t read_line(char *line) {
    size_t length = 0;
    for (;;) {
        char c;
        ssize_t got = interrupted ? -1 : read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR && !interrupted)
            continue;
        if (got <= 0)
            return -1;
        if (c == '\n')
            return (ssize_t)length;
        if (length < INSTALL_ANSWER_MAX)
            line[length++] = c;
    }
}

static void echo(bool on) {
    struct termios settings;
    if (tcgetattr(STDIN_FILENO, &settings) < 0)
        return;
    if (on)
        settings.c_lflag |= ECHO;
    else
        settings.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &settings);
}

static char *trimmed(char *line, size_t length) {
    while (length && isspace((unsigned char)line[length - 1]))
        length--;
    size_t start = 0;
    while (start < length && isspace((unsigned char)line[start]))
        start++;
    return mac_strndup(line + start, length - start);
}

install_reply install_terminal_ask(const char *question, bool hidden, char **ret_answer) {
    char line[INSTALL_ANSWER_MAX + 1];
    /* First the echo, then the question: who answers at once shows nothing. */
    if (hidden)
        echo(false);
    install_terminal_say("%s ", question);
    ssize_t length = read_line(line);
    if (hidden) {
        echo(true);
        install_terminal_say("\n");
    }
    if (length < 0) {
        install_terminal_say("\n");
        return INSTALL_QUIT;
    }
    mac_autofree char *answer = hidden ? mac_strndup(line, (size_t)length) : trimmed(line, (size_t)length);
    mac_wipe(line, sizeof line);
    if (mac_streq(answer, "back"))
        return INSTALL_BACK;
    if (mac_streq(answer, "quit"))
        return INSTALL_QUIT;
    *ret_answer = mac_take(&answer);
    return INSTALL_ANSWERED;
}

bool install_terminal_taken(mac_error *error) {
    if (!error)
        return true;
    install_terminal_say("  That does not work: %s\n", error->message);
    mac_error_free(error);
    return false;
}
