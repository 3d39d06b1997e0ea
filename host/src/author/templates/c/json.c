#include "json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_space(json text, size_t at) {
    while (at < text.length && is_space(text.bytes[at])) at++;
    return at;
}

// Behind the string that begins at `at`.
static size_t skip_string(json text, size_t at) {
    for (at++; at < text.length && text.bytes[at] != '"'; at++) {
        if (text.bytes[at] == '\\') at++;
    }
    return at < text.length ? at + 1 : text.length;
}

// Behind the value that begins at `at`.
static size_t skip_value(json text, size_t at) {
    size_t depth = 0;
    while (at < text.length) {
        char c = text.bytes[at];
        if (c == '"') {
            at = skip_string(text, at);
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c))) {
            return at;
        } else {
            if (c == '[' || c == '{') depth++;
            if (c == ']' || c == '}') depth--;
            at++;
            if (depth > 0 || (c != ']' && c != '}')) continue;
        }
        if (depth == 0) return at;
    }
    return text.length;
}

bool json_is_object(json value) {
    size_t at = skip_space(value, 0);
    return at < value.length && value.bytes[at] == '{';
}

bool json_is(json value, const char *word) {
    return value.length == strlen(word) && memcmp(value.bytes, word, value.length) == 0;
}

bool json_member(json object, const char *name, json *value) {
    if (!json_is_object(object)) return false;
    bool found = false;
    size_t at = skip_space(object, skip_space(object, 0) + 1);
    while (at < object.length && object.bytes[at] == '"') {
        size_t end = skip_string(object, at);
        char *key;
        size_t length;
        if (!json_decode((json){object.bytes + at, end - at}, &key, &length)) return false;
        bool wanted = length == strlen(name) && memcmp(key, name, length) == 0;
        free(key);
        // Behind the colon.
        at = skip_space(object, skip_space(object, end) + 1);
        if (at >= object.length) return false;
        end = skip_value(object, at);
        if (wanted) {
            *value = (json){object.bytes + at, end - at};
            found = true;
        }
        // Behind the comma.
        at = skip_space(object, skip_space(object, end) + 1);
    }
    return found;
}

static uint32_t hex4(const char *digits) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static char *put_utf8(char *to, uint32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(first[more] | c >> (6 * more));
    while (more-- > 0) *to++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
    return to;
}

bool json_decode(json value, char **bytes, size_t *length) {
    if (value.length < 2 || value.bytes[0] != '"') return false;
    // An escape is never shorter than what it stands for.
    char *to = *bytes = malloc(value.length);
    if (to == NULL) abort();
    const char *from = value.bytes + 1, *end = value.bytes + value.length - 1;
    while (from < end) {
        if (*from != '\\' || end - from < 2) {
            *to++ = *from++;
            continue;
        }
        char letter = from[1];
        from += 2;
        if (letter != 'u') {
            static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
            const char *found = strchr(letters, letter);
            *to++ = found != NULL && letter != '\0' ? meanings[found - letters] : letter;
        } else if (end - from >= 4) {
            uint32_t c = hex4(from);
            from += 4;
            // The host lets no half of a surrogate pair through.
            if (c >= 0xd800 && c < 0xdc00 && end - from >= 6) {
                c = 0x10000 + ((c - 0xd800) << 10) + (hex4(from + 2) - 0xdc00);
                from += 6;
            }
            to = put_utf8(to, c);
        }
    }
    *length = (size_t)(to - *bytes);
    return true;
}

char *json_encode(const char *bytes, size_t length, size_t *encoded_length) {
    static const char hex[] = "0123456789abcdef";
    char *encoded = length <= (SIZE_MAX - 2) / 6 ? malloc(6 * length + 2) : NULL;
    if (encoded == NULL) abort();
    char *to = encoded;
    *to++ = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\') *to++ = '\\';
        if (c < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[c >> 4];
            to[5] = hex[c & 15];
            to += 6;
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    *encoded_length = (size_t)(to - encoded);
    return encoded;
}
