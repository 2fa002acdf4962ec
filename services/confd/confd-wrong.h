/* What else is wrong with texts that were refused.
 *
 * One look shows every mistake: what cannot be read does not hide what is wrong with the rest. The rest is worked out
 * as if the refused values were not there, looked at as a document, and forgotten. */
#ifndef CONFD_WRONG_H
#define CONFD_WRONG_H

#include "confd-proposal.h"

/* Adds to `problems`, which has what the texts were refused for, the errors of the rest, with their places. An error at
 * a path where, above which or below which there is one already may come from that one, and is not said. */
void confd_wrong_find(const confd_present *present, const confd_sources *sources, mac_problems *problems);

#endif
