/* The order in which units start: each after those it names. Pure. */
#ifndef SUPERVISOR_ORDER_H
#define SUPERVISOR_ORDER_H

#include "base/mac-problem.h"

typedef struct supervisor_order_item {
    const char *name;
    char **after; /* names */
    size_t after_count;
} supervisor_order_item;

/* Writes to ret_order[count] the indices in an order in which every unit stands after those it names; units that do not
 * depend on each other keep their order. A name that no unit has, a name that two have, and a cycle (spelt out: "a
 * after b after a") are problems; then -EINVAL. */
int supervisor_order(const supervisor_order_item *items, size_t count, mac_problems *problems,
                     size_t *ret_order) MAC_MUST_USE;

#endif
