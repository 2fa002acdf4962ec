/* Removing a tree for good: whatever in it does not want to go keeps nothing else. Flags that forbid it (chattr +i, +a)
 * are taken away, trees may have any depth, and what cannot be removed all the same is counted and passed over. Links
 * are removed, not followed; what is mounted in the tree is not touched. */
#ifndef RESET_REMOVE_H
#define RESET_REMOVE_H

#include "base/mac-base.h"

typedef struct reset_removal {
    int aside;       /* directory that entries are moved to */
    unsigned number; /* of the last one that was */
    unsigned moved;  /* from too deep within, in this pass */
    unsigned left;   /* entries that could not be removed */
    int why;         /* negative errno of the first of them */
} reset_removal;

/* Takes away what forbids to change or remove the file or directory `fd`, if that is possible. */
void reset_unlock(int fd);
/* The same for an entry of a directory; devices and links have nothing of the kind. */
void reset_unlock_entry(int directory, const char *name);
/* Moves an entry into the directory aside, under a name that is free there. 0 or a negative errno. */
int reset_move(reset_removal *removal, int from, const char *name);
/* Removes an entry with all it holds; what is very deep in it is moved aside instead. False: something is left. */
bool reset_remove_entry(reset_removal *removal, int directory, const char *name);
/* Removes all that is in the directory aside. False: something is left. */
bool reset_remove_aside(reset_removal *removal);

#endif
