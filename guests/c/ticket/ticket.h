// A ticket as its JSON text has it.
#ifndef TICKET_H
#define TICKET_H

#include "text.h"

typedef struct {
    span id, path, title, status, notes;
    uint32_t priority;
    uint64_t created;
    // In the order of the text; may be changed until the next call.
    span *tags;
    size_t tag_count;
} ticket;

// Reads one ticket. Texts in it are good until the next call, and as long as
// `body`. False if the body is no ticket: then `error` says why and where, in
// the words of the reference implementation; `tags_wanted` are its words for
// what `tags` has to be.
bool ticket_read(ticket *t, span body, const char *tags_wanted, text *error);

// The message of a refusal for `error`, which is emptied.
text ticket_not_one(text *error);

#endif
