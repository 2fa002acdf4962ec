/* Fault points: named places where a test can make a program die, as a power cut would.
 *
 * MAC_FAULT_POINT("confd.commit.written") does nothing unless the program was built with MACULA_FAULTS and the
 * environment says MACULA_FAULT=confd.commit.written (the process kills itself with SIGKILL there) or
 * MACULA_FAULT=confd.commit.written:N (only the Nth time). With MACULA_FAULT_ARMED=FILE it acts, and counts, only while
 * that file exists: so a test can let a program start in peace. Release builds contain none of it. */
#ifndef MAC_FAULT_H
#define MAC_FAULT_H

#ifdef MAC_FAULTS
void mac_fault_point(const char *name);
#define MAC_FAULT_POINT(name) mac_fault_point(name)
#else
#define MAC_FAULT_POINT(name) ((void)0)
#endif

#endif
