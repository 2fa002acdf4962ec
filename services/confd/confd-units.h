/* Which services of the suite are installed and take part in applying the configuration.
 *
 * They are the unit files (macula.v1.Unit as YAML, NAME.yaml) that say `participant: true`, in the same directory where
 * the supervisor finds them: MACULA_UNITS, else where mac-program.h says. Where there are units there is a supervisor,
 * which takes part too. */
#ifndef CONFD_UNITS_H
#define CONFD_UNITS_H

#include "base/mac-problem.h"

#define CONFD_SUPERVISOR "supervisor"

typedef struct confd_units {
    mac_strings participants;
} confd_units;

/* Reads the directory of units; a unit file that is wrong is a warning in problems and does not take part. */
void confd_units_load(mac_problems *problems, confd_units *ret_units);
void confd_units_deinit(confd_units *units);
bool confd_units_have(const confd_units *units, const char *service);

#endif
