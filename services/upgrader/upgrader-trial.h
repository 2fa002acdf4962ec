/* The boot record: which version is tried, and what comes back if it may not stay.
 *
 * A version that is activated is started up to three times by the boot loader. Its upgrader finds the record of its
 * trial, waits for the gate of healthd and confirms, or goes back. If it never gets that far, the boot loader returns
 * to the version before, whose upgrader finds the same record and knows what happened. The record names the generation
 * of the configuration that was in force at the activation, too: a version that comes back brings it along, so that
 * system and configuration return as the pair that worked.
 *
 *   activating ─▶ waiting ─▶ started ─▶ (confirmed: no record)
 *                    │          └─▶ unwanted ─┐
 *                    └── never started ───────┴─▶ returned ─▶ (rolled back: no record)
 *
 * Where a crash may fall between the record and the boot state, the boot state decides what happened. */
#ifndef UPGRADER_TRIAL_H
#define UPGRADER_TRIAL_H

#include "upgrader-manager.h"

/* Writes record and boot state: the next start tries what the job has written. What was to restart the machine then
 * does so by upgrader_trial_reboot, or, should the upgrader be killed before, by its next start. */
mac_error *upgrader_trial_activate(upgrader_manager *manager, const Macula__V1__UpgradeJobRecord *job,
                                   uint64_t generation);
/* The same for the version that the other slot still holds. */
mac_error *upgrader_trial_activate_other(upgrader_manager *manager, const upgrader_slots *slots, uint64_t generation,
                                         const char *author, const char *reason, bool reboot);
/* Takes back what the next start would have tried, because the slot is about to be written, or somebody wants so.
 * Nothing is done when nothing waits. */
mac_error *upgrader_trial_withdraw(upgrader_manager *manager, const upgrader_slots *slots);
/* The same because somebody wants it: recorded, and told. */
mac_error *upgrader_trial_cancel(upgrader_manager *manager, const upgrader_slots *slots, const char *author);
/* The version that runs on trial stays. */
mac_error *upgrader_trial_confirm(upgrader_manager *manager, const char *author);
/* Whether somebody has confirmed it meanwhile (maculaos boot confirm): then that is recorded, and the trial is over. */
bool upgrader_trial_settled(upgrader_manager *manager);
/* The version that runs on trial may not stay: back by a restart. Nothing keeps that from being tried, also not a full
 * disk: then only the reason is lost. */
void upgrader_trial_reject(upgrader_manager *manager, Macula__V1__UpgradeOutcome__Cause cause, const char *reason,
                           const char *author);

/* In words: which version runs though it was rejected, why, and what comes back; NULL: none does. Owned. */
char *upgrader_trial_rejected(const upgrader_manager *manager);

void upgrader_trial_reboot(upgrader_manager *manager, const char *reason, const char *author);
void upgrader_trial_reboot_failed(upgrader_manager *manager);
/* For the status: NULL when no new version runs. Owned. */
Macula__V1__UpgradeTrial *upgrader_trial_message(const upgrader_manager *manager);

void upgrader_trial_stop(upgrader_manager *manager);
void upgrader_trial_deinit(upgrader_trial *trial);

/* ---- upgrader-recover.c: what a start of the upgrader finds ---- */
void upgrader_trial_recover(upgrader_manager *manager);
/* Goes on with it as soon as others can be asked. */
void upgrader_trial_connected(upgrader_manager *manager);

/* ---- upgrader-gate.c: waiting for healthd ---- */
void upgrader_gate_start(upgrader_manager *manager);
void upgrader_gate_stop(upgrader_manager *manager);
/* Whether this node is one that healthd looks after. */
bool upgrader_has_healthd(void);

/* ---- upgrader-return.c: what is found after a start ---- */
/* The version that was tried came back: records why, refuses it, takes the configuration back. */
void upgrader_return_begin(upgrader_manager *manager, const upgrader_slots *slots);
void upgrader_return_connected(upgrader_manager *manager);
/* Another version is about to be activated while the configuration is still to be taken back: it is not, any more, and
 * the return is recorded. */
void upgrader_return_cut_short(upgrader_manager *manager);
/* Why the version on trial may not stay, for a version before that cannot read this store. */
void upgrader_return_note(upgrader_manager *manager, const Macula__V1__UpgradeTrialRecord *trial);
void upgrader_return_forget_note(upgrader_manager *manager);
/* What the note says of this version becomes reason and cause of its record; without one, that nobody knows. */
void upgrader_return_recall(upgrader_manager *manager, Macula__V1__UpgradeTrialRecord *record);

/* ---- upgrader-stay.c: another version than the active one runs ---- */
/* In words, with what a person can do; NULL: it is the active one, or on trial. Owned. */
char *upgrader_stay_text(const upgrader_manager *manager, const upgrader_slots *slots);
/* The same as an error, unless an upgrade may settle it by itself. */
mac_error *upgrader_stay_obstacle(const upgrader_manager *manager, const upgrader_slots *slots);
/* The version that runs becomes the active one. */
mac_error *upgrader_stay(upgrader_manager *manager, const upgrader_slots *slots, const char *author);
/* Records, once, that the active version is damaged. */
void upgrader_stay_recover(upgrader_manager *manager, const upgrader_slots *slots);

/* Shared by these files. */
/* After the boot state says so: the outcome, and the end of the record. A crash in between is finished by the next
 * start. */
void upgrader_trial_confirmed(upgrader_manager *manager, const char *author);
/* An outcome and its event, within the caller's transaction. */
int upgrader_trial_add_outcome(upgrader_manager *manager, Macula__V1__UpgradeOutcome *outcome, const char *event_name);
int upgrader_trial_persist(upgrader_manager *manager);
int upgrader_trial_drop(upgrader_manager *manager);
/* The record alone; the store keeps it. */
void upgrader_trial_forget(upgrader_manager *manager);
/* So that a disk that gets full meanwhile does not keep the reason of a return from being kept. A trial does without
 * it, too. */
void upgrader_trial_reserve(upgrader_manager *manager);
/* That the next start tries the version is recorded and told. */
int upgrader_trial_record_activation(upgrader_manager *manager);
/* The boot state: the version on trial is not started again. */
void upgrader_trial_give_up(upgrader_manager *manager);
void upgrader_trial_set(char **field, const char *text);

#endif
