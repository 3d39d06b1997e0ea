#include "rules.h"

#include <string.h>

#include "../../ticket/ticket.h"

// Longest title, in bytes.
#define TITLE_BYTES_MAX 200
#define PRIORITY_MAX 9
// Most tags of one ticket.
#define TAGS_MAX 10

static const char *const STATUSES[] = {"pending", "in_progress", "completed", "failed", "blocked"};
#define STATUS_COUNT (sizeof STATUSES / sizeof STATUSES[0])

static bool is_status(span status) {
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (span_equal(status, (span){STATUSES[i], strlen(STATUSES[i])})) return true;
    }
    return false;
}

size_t rules_judge(span body, broken rules[RULES_MAX]) {
    ticket t;
    text error = {0};
    size_t count = 0;
    if (!ticket_read(&t, body, "a list of strings", &error)) {
        rules[count++] = (broken){"TICKET_SHAPE", ticket_not_one(&error), ""};
        return count;
    }
    if (t.title.length == 0 || t.title.length > TITLE_BYTES_MAX) {
        broken *rule = &rules[count++];
        *rule = (broken){.code = "TICKET_TITLE", .pointer = "/title"};
        text_span(&rule->message, SPAN("title has "));
        text_number(&rule->message, t.title.length);
        text_span(&rule->message, SPAN(" bytes, wanted 1 to "));
        text_number(&rule->message, TITLE_BYTES_MAX);
    }
    if (!is_status(t.status)) {
        broken *rule = &rules[count++];
        *rule = (broken){.code = "TICKET_STATUS", .pointer = "/status"};
        text_span(&rule->message, SPAN("status is "));
        text_debug(&rule->message, t.status);
        text_span(&rule->message, SPAN(", wanted one of "));
        for (size_t i = 0; i < STATUS_COUNT; i++) {
            if (i > 0) text_span(&rule->message, SPAN(", "));
            text_span(&rule->message, (span){STATUSES[i], strlen(STATUSES[i])});
        }
    }
    if (t.priority > PRIORITY_MAX) {
        broken *rule = &rules[count++];
        *rule = (broken){.code = "TICKET_PRIORITY", .pointer = "/priority"};
        text_span(&rule->message, SPAN("priority is "));
        text_number(&rule->message, t.priority);
        text_span(&rule->message, SPAN(", wanted 0 to "));
        text_number(&rule->message, PRIORITY_MAX);
    }
    if (t.tag_count > TAGS_MAX) {
        broken *rule = &rules[count++];
        *rule = (broken){.code = "TICKET_TAGS", .pointer = "/tags"};
        text_number(&rule->message, t.tag_count);
        text_span(&rule->message, SPAN(" tags, wanted at most "));
        text_number(&rule->message, TAGS_MAX);
    }
    return count;
}
