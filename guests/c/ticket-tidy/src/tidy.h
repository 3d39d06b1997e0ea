// What tidying does to a ticket.
#ifndef TIDY_H
#define TIDY_H

#include "../../ticket/text.h"

// The tidied form of the ticket `body`: the fields `id`, `path`, `title`,
// `status`, `priority`, `tags`, `created`, `notes`, `slug`, `score` in this
// order and nothing else, as compact JSON.
//
// `slug` is the title in ASCII lower case with `-` for every run of other
// characters; `tags` are in ASCII lower case, sorted, without repeats; `score`
// is the priority over one plus the number of tags left.
//
// False if the body is no ticket; then `result` is the message that says why.
// In both cases it is the caller's to free.
bool tidy(span body, text *result);

#endif
