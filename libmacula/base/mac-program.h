/* Where the parts of the suite stand, seen from the program that runs: nothing is compiled in, so that the suite works
 * wherever it was installed and straight from a build directory.
 *
 *   installed                             build directory
 *   PREFIX/bin/maculaos                   bin/…  all programs
 *   PREFIX/libexec/macula/…  all others   units/…
 *   PREFIX/lib/macula/units/…
 */
#ifndef MAC_PROGRAM_H
#define MAC_PROGRAM_H

/* The directory of the running program, without a slash at the end; NULL when /proc is not mounted. Caller frees. */
char *mac_program_directory(void);

/* The path of another program of the suite: `name` itself when it has a slash, else in MACULA_LIBEXEC when that is set,
 * else beside the running program or in ../libexec/macula from there. Caller frees; NULL when /proc is not mounted. The
 * path need not exist: where none was found it is the one beside the running program. */
char *mac_program_find(const char *name);

/* The directory of the unit files that belongs to the running program; NULL when there is none. Caller frees. */
char *mac_program_units(void);

#endif
