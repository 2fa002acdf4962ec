/* What was answered, and the configuration it makes. Answers are texts by the name of their field (a JSON object); the
 * document is checked by the schema that YAML is checked by, and what it says is said beside the field. Pure. */
#ifndef FIRSTBOOT_ANSWERS_H
#define FIRSTBOOT_ANSWERS_H

#include "codec/mac-codec.h"
#include "firstboot-form.h"
#include "firstboot-steps.h"

/* "" when there is no answer. */
const char *firstboot_answer(const json_t *values, const char *name);
/* Whether a field counts with these answers. */
bool firstboot_answer_counts(const firstboot_field *field, const json_t *values);

/* Whether the network is meant for another place than this one. */
bool firstboot_answers_elsewhere(const json_t *values);

/* What the answers of one step make of those that are kept: a new object, in which an empty secret stays as it was.
 * Fields that were not sent count as empty. Nothing is checked. */
json_t *firstboot_answers_take(const firstboot_step *step, const json_t *kept, const firstboot_form *form);
/* Checks the answers of a step; the path of each problem is the name of the field. 0 or -EINVAL. */
int firstboot_answers_check(const firstboot_step *step, const json_t *values, const firstboot_facts *facts,
                            mac_problems *problems) MAC_MUST_USE;
/* Those of a document's problems that belong to fields of the step, at these. found may be NULL. */
void firstboot_answers_place(const mac_problems *found, const firstboot_step *step, mac_problems *problems);
/* Replaces a clear password by its hash. -EINVAL: it cannot be one (too long). */
int firstboot_answers_protect(json_t *values) MAC_MUST_USE;
/* What is allowed but should be known. */
void firstboot_answers_warn(const firstboot_step *step, const json_t *values, const firstboot_facts *facts,
                            mac_strings *warnings);

/* The configuration document of all answers, as a tree. With a step: of that step alone. New reference. */
json_t *firstboot_answers_document(const json_t *values, const firstboot_step *step);
/* The field of a step, or of any when step is NULL, that a path of the document belongs to; NULL when there is none. */
const firstboot_field *firstboot_answers_field_of(const char *path, const firstboot_step *step,
                                                  const firstboot_step **ret_step);

#endif
