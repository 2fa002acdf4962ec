/* The set-up as far as it has come, on disk: answers, steps that are answered, phase. Sealed as a whole under the key
 * of this machine, so that neither a Wi-Fi password nor a hash is readable there; each change is durable before it is
 * answered, so that a reload, another browser or a power cut finds it. */
#ifndef FIRSTBOOT_DRAFT_H
#define FIRSTBOOT_DRAFT_H

#include "crypto/mac-crypto.h"
#include "firstboot-answers.h"

#define FIRSTBOOT_STATE_DIR "/var/lib/maculaos"
#define FIRSTBOOT_DIR FIRSTBOOT_STATE_DIR "/firstboot"
#define FIRSTBOOT_DRAFT FIRSTBOOT_DIR "/draft"
/* Made here, read by root alone, and no part of any backup: what is sealed with it is worth nothing elsewhere. */
#define FIRSTBOOT_MACHINE_KEY FIRSTBOOT_STATE_DIR "/identity/machine.key"

typedef Macula__V1__FirstbootStatus__Phase firstboot_phase;
#define FIRSTBOOT_ASKING MACULA__V1__FIRSTBOOT_STATUS__PHASE__asking
#define FIRSTBOOT_FINISHING MACULA__V1__FIRSTBOOT_STATUS__PHASE__finishing
#define FIRSTBOOT_DONE MACULA__V1__FIRSTBOOT_STATUS__PHASE__done

typedef struct firstboot_draft {
    mac_root *root;
    mac_seal *seal;
    json_t *values;
    mac_strings answered;
    uint64_t revision;
    firstboot_phase phase;
    bool reboot;      /* at the end */
    bool over;        /* finishing: the answers come over a configuration that was there before */
    unsigned attempt; /* to finish; what became of one says nothing of the next */
} firstboot_draft;

/* Opens the key (made when missing) and what was kept. A draft that cannot be read is put aside and said: the set-up
 * begins anew. NULL or why it cannot work. */
mac_error *firstboot_draft_open(mac_root *root, firstboot_draft *ret_draft) MAC_MUST_USE;
void firstboot_draft_close(firstboot_draft *draft);
bool firstboot_draft_answered(const firstboot_draft *draft, const char *step);
/* The first step without an answer; NULL: all have one. */
const firstboot_step *firstboot_draft_next(const firstboot_draft *draft);
/* Keeps the answers of a step (a reference is taken). On failure all is as before. Fault point firstboot.draft. */
int firstboot_draft_keep(firstboot_draft *draft, const firstboot_step *step, json_t *values) MAC_MUST_USE;
/* FINISHING is a new attempt, and notes whether there is a configuration already: however often it is gone through, it
 * does the same. */
int firstboot_draft_phase(firstboot_draft *draft, firstboot_phase phase, bool reboot) MAC_MUST_USE;
/* When it is not needed any more. */
int firstboot_draft_remove(firstboot_draft *draft) MAC_MUST_USE;

#endif
