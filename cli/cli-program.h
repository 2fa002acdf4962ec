/* Other programs of the suite, found beside this one. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

/* Replaces this process by a program of the suite; returns an exit code only when that failed. arguments end with NULL.
 */
int cli_program_become(const char *name, const char *const *arguments);

#endif
