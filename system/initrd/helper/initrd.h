/* macula-initrd: what the initramfs needs and a shell cannot do, or only slowly. One static program with verbs, without
 * libmacula: it is in memory before anything is mounted. Answers go to standard output as lines of NAME=VALUE with
 * values of letters, digits and /-_.: only, so that a shell may eval them; complaints go to standard error. */
#ifndef INITRD_H
#define INITRD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line or file of sysfs and uevents that is read; longer ones are cut, which no name we look for needs. */
#define INITRD_TEXT_MAX 4096

/* One verb. Returns the exit code: 0 done, 1 failed (said why), 2 wrong arguments. */
typedef int (*initrd_verb)(int argc, char **argv);

int initrd_coldplug(int argc, char **argv);
int initrd_hotplug(int argc, char **argv);
int initrd_modprobe(int argc, char **argv);
int initrd_find(int argc, char **argv);
int initrd_medium(int argc, char **argv);
int initrd_configuration(int argc, char **argv);
int initrd_labelled_verb(int argc, char **argv);
int initrd_verity(int argc, char **argv);
int initrd_trailer(int argc, char **argv);
int initrd_watchdog(int argc, char **argv);
int initrd_feed(int argc, char **argv);
int initrd_run(int argc, char **argv);
int initrd_grow(int argc, char **argv);
int initrd_growfs(int argc, char **argv);

/* Writes the first copy of a disk's partition table anew when only the second is whole and the disk is the one with
 * that ESP; disk as sysfs names it. */
void initrd_grow_repair(const char *disk, const char *esp);

/* Says on standard error what went wrong. */
void initrd_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads a small file as text without its last line break. Returns its length or a negative errno. */
int initrd_read(const char *path, char *ret_text, size_t size);

/* A decimal number up to max; false and untouched when the text is anything else. */
bool initrd_number(const char *text, uint64_t max, uint64_t *ret_number);

/* Milliseconds of a clock that only runs forward. */
int64_t initrd_now_ms(void);

#endif
