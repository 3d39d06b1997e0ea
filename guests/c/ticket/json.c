#include "json.h"

#include <string.h>

#include "number.h"

// The host lets no body through that is nested deeper.
#define DEPTH_MAX 128

static bool more(const json *j) { return j->at < j->all.length; }

static char here(const json *j) { return more(j) ? j->all.bytes[j->at] : '\0'; }

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

static void skip_space(json *j) {
    while (more(j) && (here(j) == ' ' || here(j) == '\t' || here(j) == '\n' || here(j) == '\r')) j->at++;
}

bool json_fail(json *j, span message) {
    if (j->error->length != 0) return false;
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < j->at && i < j->all.length; i++) {
        if (j->all.bytes[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    text_span(j->error, message);
    text_span(j->error, SPAN(" at line "));
    text_number(j->error, line);
    text_span(j->error, SPAN(" column "));
    text_number(j->error, j->at - begin);
    return false;
}

bool json_malformed(json *j) { return json_fail(j, SPAN("malformed JSON")); }

json_kind json_peek(json *j) {
    skip_space(j);
    if (!more(j)) return JSON_END;
    switch (here(j)) {
    case 'n': return JSON_NULL;
    case 't':
    case 'f': return JSON_BOOLEAN;
    case '"': return JSON_TEXT;
    case '[': return JSON_LIST;
    case '{': return JSON_OBJECT;
    default: return here(j) == '-' || is_digit(here(j)) ? JSON_NUMBER : JSON_NONE;
    }
}

bool json_eat(json *j, char byte) {
    skip_space(j);
    if (!more(j) || here(j) != byte) return false;
    j->at++;
    return true;
}

bool json_at_end(json *j) {
    skip_space(j);
    return !more(j);
}

static bool read_word(json *j, span word) {
    if (j->all.length - j->at < word.length) return json_malformed(j);
    if (memcmp(j->all.bytes + j->at, word.bytes, word.length) != 0) return json_malformed(j);
    j->at += word.length;
    return true;
}

static bool read_literal(json *j) {
    switch (here(j)) {
    case 't': return read_word(j, SPAN("true"));
    case 'f': return read_word(j, SPAN("false"));
    default: return read_word(j, SPAN("null"));
    }
}

static bool read_hex4(json *j, uint32_t *value) {
    if (j->all.length - j->at < 4) return json_malformed(j);
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char byte = j->all.bytes[j->at++];
        uint32_t digit;
        if (is_digit(byte)) {
            digit = (uint32_t)(byte - '0');
        } else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') {
            digit = (uint32_t)((byte | 0x20) - 'a' + 10);
        } else {
            return json_malformed(j);
        }
        *value = *value << 4 | digit;
    }
    return true;
}

// What an escape stands for; `at` is behind its backslash.
static bool read_escape(json *j, uint32_t *character) {
    if (!more(j)) return json_malformed(j);
    char letter = j->all.bytes[j->at++];
    switch (letter) {
    case '"':
    case '\\':
    case '/': *character = (uint32_t)letter; return true;
    case 'b': *character = '\b'; return true;
    case 'f': *character = '\f'; return true;
    case 'n': *character = '\n'; return true;
    case 'r': *character = '\r'; return true;
    case 't': *character = '\t'; return true;
    case 'u': break;
    default: return json_malformed(j);
    }
    if (!read_hex4(j, character)) return false;
    if (*character < 0xd800 || *character > 0xdfff) return true;
    uint32_t low;
    if (*character > 0xdbff || !read_word(j, SPAN("\\u")) || !read_hex4(j, &low)) return json_malformed(j);
    if (low < 0xdc00 || low > 0xdfff) return json_malformed(j);
    *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

// An escape is never shorter than its character in UTF-8.
static void keep_character(json *j, uint32_t character) {
    char *to = j->scratch + j->scratch_used;
    if (character < 0x80) {
        to[0] = (char)character;
        j->scratch_used += 1;
    } else if (character < 0x800) {
        to[0] = (char)(0xc0 | character >> 6);
        to[1] = (char)(0x80 | (character & 0x3f));
        j->scratch_used += 2;
    } else if (character < 0x10000) {
        to[0] = (char)(0xe0 | character >> 12);
        to[1] = (char)(0x80 | (character >> 6 & 0x3f));
        to[2] = (char)(0x80 | (character & 0x3f));
        j->scratch_used += 3;
    } else {
        to[0] = (char)(0xf0 | character >> 18);
        to[1] = (char)(0x80 | (character >> 12 & 0x3f));
        to[2] = (char)(0x80 | (character >> 6 & 0x3f));
        to[3] = (char)(0x80 | (character & 0x3f));
        j->scratch_used += 4;
    }
}

bool json_read_text(json *j, span *value) {
    if (!json_eat(j, '"')) return json_malformed(j);
    size_t begin = j->at, kept = j->scratch_used;
    bool escaped = false;
    while (more(j)) {
        unsigned char byte = (unsigned char)here(j);
        if (byte != '"' && byte != '\\' && byte >= 0x20) {
            j->at++;
            continue;
        }
        if (byte < 0x20) break;
        size_t plain = j->at - begin;
        if (byte == '"' && !escaped) {
            *value = (span){j->all.bytes + begin, plain};
            j->at++;
            return true;
        }
        memcpy(j->scratch + j->scratch_used, j->all.bytes + begin, plain);
        j->scratch_used += plain;
        j->at++;
        if (byte == '"') {
            *value = (span){j->scratch + kept, j->scratch_used - kept};
            return true;
        }
        escaped = true;
        uint32_t character;
        if (!read_escape(j, &character)) return false;
        keep_character(j, character);
        begin = j->at;
    }
    return json_malformed(j);
}

static size_t skip_digits(json *j) {
    size_t begin = j->at;
    while (is_digit(here(j))) j->at++;
    return j->at - begin;
}

// Reads the digits behind `e`. False if the power is too large for any number
// but zero; then the rest of its digits is not read.
static bool read_exponent(json *j, bool is_zero, int64_t *exponent) {
    bool negative = here(j) == '-';
    if (negative || here(j) == '+') j->at++;
    if (!is_digit(here(j))) return json_malformed(j);
    int64_t power = 0;
    while (is_digit(here(j))) {
        power = 10 * power + (j->all.bytes[j->at++] - '0');
        if (power <= INT32_MAX) continue;
        if (!negative && !is_zero) return json_fail(j, SPAN("number out of range"));
        skip_digits(j);
        // Far enough for any digits in front of it to come to nothing.
        power = INT32_MAX;
    }
    *exponent = negative ? -power : power;
    return true;
}

bool json_read_number(json *j, json_number *value) {
    bool negative = json_eat(j, '-');
    size_t begin = j->at;
    bool whole = true, too_large = false;
    uint64_t significand = 0;
    int64_t exponent = 0, power = 0;
    size_t digits = skip_digits(j);
    if (digits == 0 || (digits > 1 && j->all.bytes[begin] == '0')) return json_malformed(j);
    for (size_t i = begin; i < j->at; i++) {
        uint64_t digit = (uint64_t)(j->all.bytes[i] - '0');
        too_large = too_large || significand > (UINT64_MAX - digit) / 10;
        if (!too_large) significand = 10 * significand + digit;
    }
    // The digits in front of and behind the point, without it.
    span decimals = {j->all.bytes + begin, digits};
    bool is_zero = significand == 0;
    if (here(j) == '.') {
        whole = false;
        j->at++;
        size_t behind = skip_digits(j);
        if (behind == 0) return json_malformed(j);
        char *copy = j->scratch + j->scratch_used;
        memcpy(copy, decimals.bytes, digits);
        memcpy(copy + digits, j->all.bytes + j->at - behind, behind);
        decimals = (span){copy, digits + behind};
        exponent = -(int64_t)behind;
        for (size_t i = digits; i < decimals.length; i++) is_zero = is_zero && copy[i] == '0';
    }
    if (here(j) == 'e' || here(j) == 'E') {
        whole = false;
        j->at++;
        if (!read_exponent(j, is_zero, &power)) return false;
    }
    // A whole number that fits no integer is one with a fraction, and so is -0.
    if (whole && !too_large && (negative ? significand != 0 && significand <= UINT64_C(1) << 63 : true)) {
        *value = (json_number){negative ? NUMBER_NEGATIVE : NUMBER_NATURAL, significand, 0};
        return true;
    }
    double number = number_nearest(decimals, exponent + power);
    if (__builtin_isinf(number)) return json_fail(j, SPAN("number out of range"));
    *value = (json_number){NUMBER_FRACTION, 0, negative ? -number : number};
    return true;
}

bool json_skip(json *j) {
    // For each list or object that is open, whether it is an object.
    bool objects[DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        // A value.
        switch (json_peek(j)) {
        case JSON_NULL:
        case JSON_BOOLEAN:
            if (!read_literal(j)) return false;
            break;
        case JSON_NUMBER:
            // Its size does not matter here.
            while (more(j) && (is_digit(here(j)) || here(j) == '-' || here(j) == '+' || here(j) == '.' ||
                               (here(j) | 0x20) == 'e')) {
                j->at++;
            }
            break;
        case JSON_TEXT: {
            size_t kept = j->scratch_used;
            span ignored;
            if (!json_read_text(j, &ignored)) return false;
            j->scratch_used = kept;
            break;
        }
        case JSON_LIST:
        case JSON_OBJECT:
            if (depth == DEPTH_MAX) return json_malformed(j);
            objects[depth] = here(j) == '{';
            j->at++;
            if (json_eat(j, objects[depth] ? '}' : ']')) break;
            depth++;
            goto element;
        default: return json_malformed(j);
        }
        // What comes behind it.
        while (depth > 0 && json_eat(j, objects[depth - 1] ? '}' : ']')) depth--;
        if (depth == 0) return true;
        if (!json_eat(j, ',')) return json_malformed(j);
    element:
        if (objects[depth - 1]) {
            size_t kept = j->scratch_used;
            span ignored;
            if (!json_read_text(j, &ignored)) return false;
            j->scratch_used = kept;
            if (!json_eat(j, ':')) return json_malformed(j);
        }
    }
}

static bool wrong(json *j, const char *what, const text *found, const char *wanted) {
    text message = {0};
    text_span(&message, (span){what, strlen(what)});
    text_span(&message, (span){found->bytes, found->length});
    text_span(&message, SPAN(", expected "));
    text_span(&message, (span){wanted, strlen(wanted)});
    json_fail(j, (span){message.bytes, message.length});
    text_drop(&message);
    return false;
}

bool json_wrong_number(json *j, const char *what, const json_number *number, const char *wanted) {
    text found = {0};
    if (number->kind == NUMBER_FRACTION) {
        text_span(&found, SPAN("floating point `"));
        text_double(&found, number->fraction);
    } else {
        text_span(&found, SPAN("integer `"));
        if (number->kind == NUMBER_NEGATIVE) text_byte(&found, '-');
        text_number(&found, number->whole);
    }
    text_byte(&found, '`');
    wrong(j, what, &found, wanted);
    text_drop(&found);
    return false;
}

bool json_wrong_type(json *j, const char *wanted) {
    text found = {0};
    switch (json_peek(j)) {
    case JSON_NULL:
        if (!read_literal(j)) return false;
        text_span(&found, SPAN("null"));
        break;
    case JSON_BOOLEAN:
        text_span(&found, here(j) == 't' ? SPAN("boolean `true`") : SPAN("boolean `false`"));
        if (!read_literal(j)) {
            text_drop(&found);
            return false;
        }
        break;
    case JSON_NUMBER: {
        json_number number;
        return json_read_number(j, &number) && json_wrong_number(j, "invalid type: ", &number, wanted);
    }
    case JSON_TEXT: {
        span value;
        if (!json_read_text(j, &value)) return false;
        text_span(&found, SPAN("string "));
        text_debug(&found, value);
        break;
    }
    case JSON_LIST: text_span(&found, SPAN("sequence")); break;
    case JSON_OBJECT: text_span(&found, SPAN("map")); break;
    default: return json_malformed(j);
    }
    wrong(j, "invalid type: ", &found, wanted);
    text_drop(&found);
    return false;
}
