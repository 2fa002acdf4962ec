/* A medium that a person has labelled for the node: which device it is. */
#ifndef INITRD_LABELLED_H
#define INITRD_LABELLED_H

#define INITRD_LABELLED_SIZE 80 /* of "/dev/NAME" with its end */

enum initrd_labelled {
    INITRD_READ_BY_OTHERS, /* what is on it comes from any machine: FAT, ISO 9660 */
    INITRD_KEPT_BY_US,     /* a node's data: ext4 */
};

/* Waits for disks of USB devices that the kernel knows of, at most 5 s, then looks at the label of each disk and
 * partition. Where none has it, and a hub has come so lately that a stick in it may not be known yet, it waits for
 * that, too, at most 3 s in all: only a node without a configuration, and a live system, ask. Returns what mounts it,
 * and the device; NULL when none has that label. Of several the first by name is taken, so that it is the same at each
 * start. */
const char *initrd_labelled(const char *label, enum initrd_labelled what, char ret_device[INITRD_LABELLED_SIZE]);

#endif
