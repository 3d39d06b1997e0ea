#include "ticket.h"

#include <string.h>

#include "json.h"

enum field { ID, PATH, TITLE, STATUS, PRIORITY, TAGS, CREATED, NOTES, SLUG, SCORE, FIELDS };

// Fields from here on may be missing, and what they hold is not used.
#define FIRST_OPTIONAL SLUG

static const char *const NAMES[FIELDS] = {
    "id", "path", "title", "status", "priority", "tags", "created", "notes", "slug", "score",
};

// Reused from call to call, so that reading a ticket allocates nothing.
static struct {
    char *bytes;
    size_t byte_capacity;
    span *tags;
    size_t tag_capacity;
} kept;

static bool read_text(json *j, span *value) {
    return json_peek(j) == JSON_TEXT ? json_read_text(j, value) : json_wrong_type(j, "a string");
}

static bool read_whole(json *j, uint64_t max, const char *wanted, uint64_t *value) {
    if (json_peek(j) != JSON_NUMBER) return json_wrong_type(j, wanted);
    json_number number;
    if (!json_read_number(j, &number)) return false;
    if (number.kind == NUMBER_FRACTION) return json_wrong_number(j, "invalid type: ", &number, wanted);
    if (number.kind == NUMBER_NEGATIVE || number.whole > max) {
        return json_wrong_number(j, "invalid value: ", &number, wanted);
    }
    *value = number.whole;
    return true;
}

static bool read_tags(json *j, ticket *t, const char *wanted) {
    if (json_peek(j) != JSON_LIST) return json_wrong_type(j, wanted);
    json_eat(j, '[');
    t->tag_count = 0;
    if (json_eat(j, ']')) return true;
    do {
        if (t->tag_count == kept.tag_capacity) {
            kept.tag_capacity = kept.tag_capacity == 0 ? 16 : 2 * kept.tag_capacity;
            if (kept.tag_capacity > SIZE_MAX / sizeof *kept.tags) __builtin_trap();
            kept.tags = reallocate(kept.tags, kept.tag_capacity * sizeof *kept.tags);
        }
        if (!read_text(j, &kept.tags[t->tag_count])) return false;
        t->tag_count++;
    } while (json_eat(j, ','));
    return json_eat(j, ']') || json_malformed(j);
}

static bool read_field(json *j, enum field field, ticket *t, const char *tags_wanted) {
    span ignored;
    uint64_t whole;
    switch (field) {
    case ID: return read_text(j, &t->id);
    case PATH: return read_text(j, &t->path);
    case TITLE: return read_text(j, &t->title);
    case STATUS: return read_text(j, &t->status);
    case PRIORITY:
        if (!read_whole(j, UINT32_MAX, "u32", &whole)) return false;
        t->priority = (uint32_t)whole;
        return true;
    case TAGS: return read_tags(j, t, tags_wanted);
    case CREATED: return read_whole(j, UINT64_MAX, "u64", &t->created);
    case NOTES: return read_text(j, &t->notes);
    case SLUG: return read_text(j, &ignored);
    case SCORE: {
        json_number number;
        return json_peek(j) == JSON_NUMBER ? json_read_number(j, &number) : json_wrong_type(j, "f64");
    }
    case FIELDS: break;
    }
    return json_skip(j);
}

static enum field field_named(span name) {
    for (int field = 0; field < FIELDS; field++) {
        if (span_equal(name, (span){NAMES[field], strlen(NAMES[field])})) return (enum field)field;
    }
    return FIELDS;
}

static bool fail_on_field(json *j, const char *what, enum field field) {
    text message = {0};
    text_span(&message, (span){what, strlen(what)});
    text_span(&message, SPAN(" field `"));
    text_span(&message, (span){NAMES[field], strlen(NAMES[field])});
    text_byte(&message, '`');
    json_fail(j, (span){message.bytes, message.length});
    text_drop(&message);
    return false;
}

static bool read_object(json *j, ticket *t, const char *tags_wanted) {
    bool seen[FIELDS] = {false};
    json_eat(j, '{');
    if (!json_eat(j, '}')) {
        do {
            span name;
            size_t used = j->scratch_used;
            if (!json_read_text(j, &name)) return false;
            enum field field = field_named(name);
            j->scratch_used = used;
            if (field != FIELDS && seen[field]) {
                // The place is in front of the colon.
                json_peek(j);
                return fail_on_field(j, "duplicate", field);
            }
            if (!json_eat(j, ':')) return json_malformed(j);
            if (!read_field(j, field, t, tags_wanted)) return false;
            if (field != FIELDS) seen[field] = true;
        } while (json_eat(j, ','));
        if (!json_eat(j, '}')) return json_malformed(j);
    }
    for (int field = 0; field < FIRST_OPTIONAL; field++) {
        if (!seen[field]) return fail_on_field(j, "missing", (enum field)field);
    }
    return true;
}

// A list of the values of the fields, in their order, is a ticket as well.
static bool read_list(json *j, ticket *t, const char *tags_wanted) {
    json_eat(j, '[');
    uint64_t length = 0;
    if (!json_eat(j, ']')) {
        do {
            if (length == FIELDS) {
                json_peek(j);
                j->at++;
                return json_fail(j, SPAN("trailing characters"));
            }
            if (!read_field(j, (enum field)length, t, tags_wanted)) return false;
            length++;
        } while (json_eat(j, ','));
        if (!json_eat(j, ']')) return json_malformed(j);
    }
    if (length >= FIRST_OPTIONAL) return true;
    text message = {0};
    text_span(&message, SPAN("invalid length "));
    text_number(&message, length);
    text_span(&message, SPAN(", expected struct Ticket with 10 elements"));
    json_fail(j, (span){message.bytes, message.length});
    text_drop(&message);
    return false;
}

bool ticket_read(ticket *t, span body, const char *tags_wanted, text *error) {
    if (kept.byte_capacity < body.length || kept.bytes == NULL) {
        kept.bytes = reallocate(kept.bytes, body.length);
        kept.byte_capacity = body.length;
    }
    error->length = 0;
    json j = {.all = body, .scratch = kept.bytes, .error = error};
    *t = (ticket){0};
    bool read;
    switch (json_peek(&j)) {
    case JSON_OBJECT: read = read_object(&j, t, tags_wanted); break;
    case JSON_LIST: read = read_list(&j, t, tags_wanted); break;
    default: return json_wrong_type(&j, "struct Ticket");
    }
    t->tags = kept.tags;
    return read && (json_at_end(&j) || json_malformed(&j));
}

text ticket_not_one(text *error) {
    text message = {0};
    text_span(&message, SPAN("not a ticket: "));
    text_span(&message, (span){error->bytes, error->length});
    text_drop(error);
    return message;
}
