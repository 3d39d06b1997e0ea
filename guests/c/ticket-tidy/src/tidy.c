#include "tidy.h"

#include <stdlib.h>
#include <string.h>

#include "../../ticket/ticket.h"

// What a tidied ticket may be longer by than the one it came from, in bytes:
// the names of two fields, a score, and a slug about as long as a title.
#define GROWTH_BYTES 128

static bool is_upper(char byte) { return byte >= 'A' && byte <= 'Z'; }

static char to_lower(char byte) { return is_upper(byte) ? (char)(byte | 0x20) : byte; }

static int compare_spans(const void *a, const void *b) { return span_compare(*(const span *)a, *(const span *)b); }

// Into ASCII lower case, where they lie: the host's copy of the body is the
// plugin's own.
static void lower(span s) {
    char *bytes = (char *)s.bytes;
    for (size_t i = 0; i < s.length; i++) bytes[i] = to_lower(bytes[i]);
}

static void sort_tags(ticket *t) {
    for (size_t i = 0; i < t->tag_count; i++) lower(t->tags[i]);
    if (t->tag_count < 2) return;
    qsort(t->tags, t->tag_count, sizeof t->tags[0], compare_spans);
    size_t last = 0;
    for (size_t i = 1; i < t->tag_count; i++) {
        if (!span_equal(t->tags[i], t->tags[last])) t->tags[++last] = t->tags[i];
    }
    t->tag_count = last + 1;
}

static void put_slug(text *out, span title) {
    text_reserve(out, title.length + 2);
    text_byte(out, '"');
    bool after_dash = false;
    for (size_t i = 0; i < title.length; i++) {
        char byte = to_lower(title.bytes[i]);
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
        if (plain || !after_dash) text_byte(out, plain ? byte : '-');
        after_dash = !plain;
    }
    text_byte(out, '"');
}

bool tidy(span body, text *result) {
    ticket t;
    text error = {0};
    if (!ticket_read(&t, body, "a sequence", &error)) {
        *result = ticket_not_one(&error);
        return false;
    }
    sort_tags(&t);
    text out = {0};
    text_reserve(&out, body.length + GROWTH_BYTES);
    text_span(&out, SPAN("{\"id\":"));
    text_json(&out, t.id);
    text_span(&out, SPAN(",\"path\":"));
    text_json(&out, t.path);
    text_span(&out, SPAN(",\"title\":"));
    text_json(&out, t.title);
    text_span(&out, SPAN(",\"status\":"));
    text_json(&out, t.status);
    text_span(&out, SPAN(",\"priority\":"));
    text_number(&out, t.priority);
    text_span(&out, SPAN(",\"tags\":["));
    for (size_t i = 0; i < t.tag_count; i++) {
        if (i > 0) text_byte(&out, ',');
        text_json(&out, t.tags[i]);
    }
    text_span(&out, SPAN("],\"created\":"));
    text_number(&out, t.created);
    text_span(&out, SPAN(",\"notes\":"));
    text_json(&out, t.notes);
    text_span(&out, SPAN(",\"slug\":"));
    put_slug(&out, t.title);
    text_span(&out, SPAN(",\"score\":"));
    text_double(&out, t.priority / (1.0 + (double)t.tag_count));
    text_byte(&out, '}');
    *result = out;
    return true;
}
