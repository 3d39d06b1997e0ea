// A reader of JSON text, one value after the other. It keeps nothing: texts
// are pieces of the text that is read, or, where they hold escapes, of a
// scratch buffer.
//
// The host has checked every body, so what is no JSON at all is noticed and
// refused but not described.
#ifndef JSON_H
#define JSON_H

#include "text.h"

typedef struct {
    span all;
    // The next byte to be read. Errors are reported here.
    size_t at;
    // Where decoded texts go; as large as the text that is read, so that all
    // of them fit.
    char *scratch;
    size_t scratch_used;
    // Why reading ended, with its place. Empty while all is well.
    text *error;
} json;

typedef enum { JSON_END, JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT, JSON_NONE } json_kind;

typedef struct {
    enum { NUMBER_NATURAL, NUMBER_NEGATIVE, NUMBER_FRACTION } kind;
    // The absolute value of a whole number.
    uint64_t whole;
    double fraction;
} json_number;

// What comes next behind white space, without reading it.
json_kind json_peek(json *j);
// What comes next is of no use here; all functions below that give a boolean
// give false after an error.
bool json_wrong_type(json *j, const char *wanted);
// As above, for a whole number that was read already.
bool json_wrong_number(json *j, const char *found, const json_number *number, const char *wanted);
// Ends reading with this message and the present place.
bool json_fail(json *j, span message);
// Ends reading, for what is no JSON.
bool json_malformed(json *j);

// Reads the byte behind white space if it is this one.
bool json_eat(json *j, char byte);
bool json_read_text(json *j, span *value);
bool json_read_number(json *j, json_number *value);
// Reads over one value of any type.
bool json_skip(json *j);
// White space and then nothing.
bool json_at_end(json *j);

#endif
