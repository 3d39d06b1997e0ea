// As much JSON as this plugin needs. Bodies are strict JSON: the host has
// checked them.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

// A piece of JSON text, or a decoded string; not terminated.
typedef struct {
    const char *bytes;
    size_t length;
} json;

// The value of a member of an object; the last one, if there are several.
// False if `object` is no object or has no such member.
bool json_member(json object, const char *name, json *value);
bool json_is_object(json value);
bool json_is(json value, const char *word);
// The content of a string in UTF-8, from malloc. False if it is no string.
bool json_decode(json value, char **bytes, size_t *length);
// The string as JSON, with its quotes, from malloc.
char *json_encode(const char *bytes, size_t length, size_t *encoded_length);

#endif
