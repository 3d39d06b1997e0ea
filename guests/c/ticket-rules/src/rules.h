// The rules of a ticket.
#ifndef RULES_H
#define RULES_H

#include "../../ticket/text.h"

// Most rules that one ticket can break.
#define RULES_MAX 4

// One rule that a ticket breaks.
typedef struct {
    // `TICKET_` and the field, or `TICKET_SHAPE` where the body is no ticket.
    const char *code;
    // What was found and what was wanted. The caller's to free.
    text message;
    // JSON pointer to the field; empty for the whole ticket.
    const char *pointer;
} broken;

// All rules that the ticket `body` breaks, in the order of the fields, and
// their number; 0 for a good ticket.
size_t rules_judge(span body, broken rules[RULES_MAX]);

#endif
