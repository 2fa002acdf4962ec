/* Inside the worker: the jobs "write" and "plan". */
#ifndef UPGRADER_WRITE_H
#define UPGRADER_WRITE_H

#include "flow/mac-worker.h"

#define UPGRADER_FETCHED_PERCENT 80u /* of the progress: everything is there, and is read back */

/* Clear → fetch (the whole stream, from where an earlier write has come to; or only the chunks that are not here) →
 * read back against the root hash → seal. Begins again by itself, once and from the beginning, when what is on the disk
 * does not verify: an interrupted write, or a mirror that changed meanwhile, may be why. */
mac_error *upgrader_work_write(mac_job *job, const ProtobufCMessage *input);
mac_error *upgrader_work_plan(mac_job *job, const ProtobufCMessage *input);

#endif
