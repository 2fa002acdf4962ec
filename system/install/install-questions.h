/* What is asked of a person: disk, keyboard, host name, password and SSH keys, network, roles, time zone, and at last
 * whether all that is to be done. Each answer is checked at once and asked for again with the reason; "back" leads to
 * the question before, whose answer is then taken back, "quit" and Ctrl-C out, with nothing changed on any disk. */
#ifndef INSTALL_QUESTIONS_H
#define INSTALL_QUESTIONS_H

#include "install-answers.h"
#include "install-disk.h"
#include "install-terminal.h"

typedef struct install_questions {
    install_answers *answers;
    const install_disks *disks;
    const install_disk *disk; /* in: NULL: ask; out: the chosen one */
    bool disk_given;          /* it is not asked for */
} install_questions;

/* True: all is answered, and the disk may be erased. False: the person left. */
bool install_questions_ask(install_questions *questions);
/* One line for a disk: path, size, model, what is on it. Caller frees. */
char *install_questions_disk(const install_disk *disk);

#endif
