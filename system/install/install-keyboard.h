/* The layout of the keyboard. It is asked for before anything that is typed blindly, and holds from its answer on. */
#ifndef INSTALL_KEYBOARD_H
#define INSTALL_KEYBOARD_H

#include <stdbool.h>

/* Whether the medium has the layout; where that has no list (on any Linux), one that is not common counts when it was
 * said before, too. If not, the person has been told which there are. before may be NULL. */
bool install_keyboard_taken(const char *name, const char *before);
/* From now on this terminal's keyboard has it. A person is told when that failed. */
void install_keyboard_use(const char *name);

#endif
