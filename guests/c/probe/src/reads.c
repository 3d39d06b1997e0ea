// The interface "store": get COLLECTION ID, get-many COLLECTION ID…, find
// COLLECTION INDEX KEY AFTER LIMIT, count COLLECTION INDEX KEY LIMIT.
#include <stdlib.h>

#include "words.h"

// Null stands for none.
static plugin_string_t *some(plugin_string_t *word) { return is(*word, "-") ? NULL : word; }

static uint32_t number(plugin_string_t word) { return (uint32_t)strtoul((const char *)word.ptr, NULL, 10); }

// null, integer:5, real:0.5 or text:a.
static atlas_batch_store_key_t key(plugin_string_t word) {
    atlas_batch_store_key_t key = {.tag = ATLAS_BATCH_STORE_KEY_NULL};
    if (begins(word, "integer:")) {
        key.tag = ATLAS_BATCH_STORE_KEY_INTEGER;
        key.val.integer = strtoll((const char *)word.ptr + 8, NULL, 10);
    } else if (begins(word, "real:")) {
        key.tag = ATLAS_BATCH_STORE_KEY_REAL;
        key.val.real = strtod((const char *)word.ptr + 5, NULL);
    } else if (begins(word, "text:")) {
        key.tag = ATLAS_BATCH_STORE_KEY_TEXT;
        key.val.text = (plugin_string_t){word.ptr + 5, word.len - 5};
    }
    return key;
}

static outcome refused(atlas_batch_store_error_t error) {
    static const char *const names[] = {"not-granted", "no-such-collection", "no-such-index", "over-limit", "other"};
    outcome told = learned(text("%s", names[error.tag]));
    // Its text goes into the answer.
    if (error.tag == ATLAS_BATCH_STORE_ERROR_OTHER) detail(&told.val.reject, text("text"), error.val.other);
    return told;
}

static outcome get(words *said) {
    plugin_option_string_t body;
    atlas_batch_store_error_t error;
    if (!atlas_batch_store_get(some(&said->all[1]), &said->all[2], &body, &error)) return refused(error);
    if (!body.is_some) return learned(text("none"));
    outcome told = learned(text("some"));
    detail(&told.val.reject, copy(said->all[2]), body.val);
    return told;
}

static outcome get_many(words *said) {
    plugin_list_string_t ids = {&said->all[2], said->count - 2};
    plugin_list_option_string_t bodies;
    atlas_batch_store_error_t error;
    if (!atlas_batch_store_get_many(some(&said->all[1]), &ids, &bodies, &error)) return refused(error);
    outcome told = learned(text("many"));
    for (size_t i = 0; i < bodies.len; i++) {
        plugin_option_string_t body = bodies.ptr[i];
        detail(&told.val.reject, copy(ids.ptr[i]), body.is_some ? body.val : text("none"));
    }
    // An empty list has no memory of its own.
    if (bodies.len > 0) free(bodies.ptr);
    return told;
}

static outcome find(words *said) {
    atlas_batch_store_key_t sought = key(said->all[3]);
    atlas_batch_store_list_row_t rows;
    atlas_batch_store_error_t error;
    if (!atlas_batch_store_find(some(&said->all[1]), &said->all[2], &sought, some(&said->all[4]),
                                number(said->all[5]), &rows, &error)) {
        return refused(error);
    }
    outcome told = learned(text("rows"));
    for (size_t i = 0; i < rows.len; i++) detail(&told.val.reject, rows.ptr[i].id, rows.ptr[i].body);
    if (rows.len > 0) free(rows.ptr);
    return told;
}

static outcome count(words *said) {
    atlas_batch_store_key_t sought = key(said->all[3]);
    uint32_t found;
    atlas_batch_store_error_t error;
    if (!atlas_batch_store_count(some(&said->all[1]), &said->all[2], &sought, number(said->all[4]), &found, &error)) {
        return refused(error);
    }
    return learned(text("%u", (unsigned)found));
}

outcome read_store(words *said) {
    if (is(said->all[0], "get") && said->count == 3) return get(said);
    if (is(said->all[0], "get-many") && said->count >= 2) return get_many(said);
    if (is(said->all[0], "find") && said->count == 6) return find(said);
    if (is(said->all[0], "count") && said->count == 5) return count(said);
    return learned(text("no such word"));
}
