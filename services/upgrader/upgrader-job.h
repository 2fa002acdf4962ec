/* The one job: find → write → prepared → activated. Each step is in the store before it begins, so that whoever starts
 * next goes on with it: the upgrader after a crash, or after a restart of the machine in the middle.
 *
 *   finding    a worker reads the release, verifies its signature and what it consists of
 *   writing    the other slot is taken out of the boot state, then a worker fetches into it and reads it back. It keeps
 *              account of how far it has come, so that a worker that begins again does not fetch again
 *   prepared   the slot holds the version, verified; a prefetch ends here
 *   activated  the boot record and the boot state are written: the next start tries the version
 *
 * The active and the running slot are never touched. At every moment the boot state names nothing that was not
 * verified: the slot leaves it before its first byte is overwritten, and comes in after its last one was read back.
 *
 * What may pass (no connection, confd being restarted) is tried again, with growing pauses; so is a worker that was
 * killed, a few times in a row at most. Everything else ends the job with its error. */
#ifndef UPGRADER_JOB_H
#define UPGRADER_JOB_H

#include "upgrader-manager.h"

/* ---- upgrader-request.c ---- */
/* Begins, or joins the job of that id; the answer is the job as it is then. */
void upgrader_job_request(upgrader_manager *manager, mac_request *request, const Macula__V1__UpgradeApplyRequest *input,
                          bool prefetch);
/* The same for the policy. */
void upgrader_job_automatic(upgrader_manager *manager, const char *version, bool reboot);
/* CONFLICT when there is no such job under way. */
mac_error *upgrader_job_cancel(upgrader_manager *manager, const char *id, const char *author);
mac_error *upgrader_job_pause(upgrader_manager *manager, const char *id);
mac_error *upgrader_job_resume(upgrader_manager *manager, const char *id);

/* ---- upgrader-job.c ---- */
void upgrader_job_recover(upgrader_manager *manager);
void upgrader_job_connected(upgrader_manager *manager);
void upgrader_job_stop(upgrader_manager *manager);
void upgrader_job_deinit(upgrader_job *job);

/* Shared by these files. */
void upgrader_job_begin(upgrader_manager *manager);
int upgrader_job_persist(upgrader_manager *manager);
void upgrader_job_forget(upgrader_manager *manager);
/* A worker has ended because somebody wanted it to, or the service ends. True: nothing more is to be done. */
bool upgrader_job_was_wanted(upgrader_manager *manager);

#endif
