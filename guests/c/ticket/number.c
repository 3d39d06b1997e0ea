#include "number.h"

#include <string.h>

// A whole number of up to 6,144 bits. The largest that occurs is one of
// DIGITS_MAX digits against ten to a power of DIGITS_MAX + POWER_MAX.
#define WORDS 192
#define DIGITS_MAX 800
#define POWER_MAX 345

#define FRACTION_BITS 52
#define HIDDEN_BIT (UINT64_C(1) << FRACTION_BITS)
// Power of two of the last bit of the smallest double.
#define EXPONENT_MIN (-1074)
#define EXPONENT_MAX 971

typedef struct {
    uint32_t words[WORDS];
    int used;
} big;

static void big_set(big *b, uint64_t value) {
    b->used = 0;
    for (; value != 0; value >>= 32) b->words[b->used++] = (uint32_t)value;
}

static void big_multiply_add(big *b, uint32_t factor, uint32_t add) {
    uint64_t carry = add;
    for (int i = 0; i < b->used; i++) {
        carry += (uint64_t)b->words[i] * factor;
        b->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0) b->words[b->used++] = (uint32_t)carry;
}

static void big_times_power_of_ten(big *b, int64_t power) {
    for (; power >= 9; power -= 9) big_multiply_add(b, 1000000000, 0);
    for (; power > 0; power--) big_multiply_add(b, 10, 0);
}

static void big_shift_left(big *b, int bits) {
    if (b->used == 0 || bits <= 0) return;
    int words = bits / 32, rest = bits % 32;
    if (words > 0) {
        memmove(b->words + words, b->words, (size_t)b->used * sizeof b->words[0]);
        memset(b->words, 0, (size_t)words * sizeof b->words[0]);
        b->used += words;
    }
    if (rest > 0) big_multiply_add(b, UINT32_C(1) << rest, 0);
}

static int big_compare(const big *a, const big *b) {
    if (a->used != b->used) return a->used < b->used ? -1 : 1;
    for (int i = a->used - 1; i >= 0; i--) {
        if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    }
    return 0;
}

// a + b against c.
static int big_compare_sum(const big *a, const big *b, const big *c) {
    big sum = *a;
    uint64_t carry = 0;
    for (int i = 0; i < b->used || carry != 0; i++) {
        if (i >= sum.used) sum.words[sum.used++] = 0;
        carry += (uint64_t)sum.words[i] + (i < b->used ? b->words[i] : 0);
        sum.words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return big_compare(&sum, c);
}

// b must not be greater than a.
static void big_subtract(big *a, const big *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < a->used; i++) {
        uint64_t take = borrow + (i < b->used ? b->words[i] : 0);
        borrow = a->words[i] < take;
        a->words[i] = (uint32_t)(a->words[i] - take);
    }
    while (a->used > 0 && a->words[a->used - 1] == 0) a->used--;
}

static int big_bits(const big *b) {
    return b->used == 0 ? 0 : 32 * b->used - __builtin_clz(b->words[b->used - 1]);
}

static double of_bits(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

double number_nearest(span digits, int64_t exponent) {
    while (digits.length > 0 && digits.bytes[0] == '0') {
        digits.bytes++;
        digits.length--;
    }
    while (digits.length > 0 && digits.bytes[digits.length - 1] == '0') {
        digits.length--;
        exponent++;
    }
    if (digits.length == 0) return 0;
    int64_t magnitude = exponent + (int64_t)digits.length;
    if (magnitude > 310) return __builtin_inf();
    if (magnitude < -330) return 0;

    // What is behind the first digits only decides which way a tie goes, and
    // any digit but zero says that; the last one is none.
    size_t kept = digits.length < DIGITS_MAX ? digits.length : DIGITS_MAX;
    big numerator, denominator;
    big_set(&numerator, 0);
    for (size_t i = 0; i < kept; i++) {
        if (numerator.used == 0) {
            big_set(&numerator, (uint64_t)(digits.bytes[i] - '0'));
        } else {
            big_multiply_add(&numerator, 10, (uint32_t)(digits.bytes[i] - '0'));
        }
    }
    if (kept < digits.length) big_multiply_add(&numerator, 10, 1);
    exponent += (int64_t)(digits.length - kept) - (kept < digits.length);
    big_set(&denominator, 1);
    big_times_power_of_ten(exponent < 0 ? &denominator : &numerator, exponent < 0 ? -exponent : exponent);

    // Scaled by a power of two the quotient has 53 or 54 bits, or fewer where
    // doubles have fewer.
    int power = big_bits(&numerator) - big_bits(&denominator) - FRACTION_BITS - 1;
    if (power < EXPONENT_MIN) power = EXPONENT_MIN;
    big_shift_left(power < 0 ? &numerator : &denominator, power < 0 ? -power : power);
    big above = denominator;
    big_shift_left(&above, FRACTION_BITS + 1);
    if (big_compare(&numerator, &above) >= 0) {
        power++;
        big_shift_left(&denominator, 1);
    }
    uint64_t quotient = 0;
    for (int bit = FRACTION_BITS; bit >= 0; bit--) {
        big part = denominator;
        big_shift_left(&part, bit);
        if (big_compare(&numerator, &part) >= 0) {
            big_subtract(&numerator, &part);
            quotient |= UINT64_C(1) << bit;
        }
    }
    int rest = big_compare_sum(&numerator, &numerator, &denominator);
    if (rest > 0 || (rest == 0 && (quotient & 1) != 0)) quotient++;
    if (quotient == HIDDEN_BIT << 1) {
        quotient >>= 1;
        power++;
    }
    if (power > EXPONENT_MAX) return __builtin_inf();
    if (quotient < HIDDEN_BIT) return of_bits(quotient);
    return of_bits((uint64_t)(power - EXPONENT_MIN + 1) << FRACTION_BITS | (quotient & (HIDDEN_BIT - 1)));
}

int number_shortest(double number, char digits[SHORTEST_DIGITS_MAX], int *exponent) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    int biased = (int)(bits >> FRACTION_BITS & 0x7ff);
    uint64_t mantissa = biased == 0 ? fraction : fraction | HIDDEN_BIT;
    int power = (biased == 0 ? 1 : biased) - 1 + EXPONENT_MIN;
    // At a power of two the double below is half as far away as the one above.
    bool border = fraction == 0 && biased > 1;
    // A border belongs to this double if a tie is read as it.
    bool inclusive = (mantissa & 1) == 0;

    // rest / scale is the number, below / scale and above / scale half the way
    // to its neighbours.
    big rest, scale, below, above;
    big_set(&rest, mantissa);
    big_set(&scale, 1);
    big_set(&below, 1);
    int up = power > 0 ? power : 0, down = power < 0 ? -power : 0;
    big_shift_left(&rest, up + 1 + border);
    big_shift_left(&scale, down + 1 + border);
    big_shift_left(&below, up);
    above = below;
    if (border) big_shift_left(&above, 1);

    // The power of ten of the first digit; the guess is right or one too low.
    int magnitude = 0;
    int twos = power + 63 - __builtin_clzll(mantissa);
    magnitude = (int)((int64_t)twos * 30103 / 100000) - (twos < 0);
    if (magnitude >= 0) {
        big_times_power_of_ten(&scale, magnitude);
    } else {
        big_times_power_of_ten(&rest, -magnitude);
        big_times_power_of_ten(&below, -magnitude);
        big_times_power_of_ten(&above, -magnitude);
    }
    big ten = scale;
    big_multiply_add(&ten, 10, 0);
    int over = big_compare_sum(&rest, &above, &ten);
    if (over > 0 || (over == 0 && inclusive)) {
        magnitude++;
        scale = ten;
    }
    *exponent = magnitude;

    for (int count = 0;;) {
        int digit = 0;
        while (big_compare(&rest, &scale) >= 0) {
            big_subtract(&rest, &scale);
            digit++;
        }
        int low = big_compare(&rest, &below), high = big_compare_sum(&rest, &above, &scale);
        bool may_stop_low = low < 0 || (low == 0 && inclusive);
        bool may_stop_high = high > 0 || (high == 0 && inclusive);
        if (may_stop_low || may_stop_high || count == SHORTEST_DIGITS_MAX - 1) {
            // With both in reach the nearer one; the digit never becomes ten.
            bool round_up = !may_stop_low || (may_stop_high && big_compare_sum(&rest, &rest, &scale) > 0);
            digits[count++] = (char)('0' + digit + round_up);
            return count;
        }
        digits[count++] = (char)('0' + digit);
        big_multiply_add(&rest, 10, 0);
        big_multiply_add(&below, 10, 0);
        big_multiply_add(&above, 10, 0);
    }
}

void text_double(text *t, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    if (bits >> 63 != 0) {
        text_byte(t, '-');
        number = -number;
    }
    if (number == 0) {
        text_span(t, SPAN("0.0"));
        return;
    }
    char digits[SHORTEST_DIGITS_MAX];
    int exponent, count = number_shortest(number, digits, &exponent);
    if (exponent >= -5 && exponent <= 15) {
        if (exponent < 0) text_span(t, SPAN("0."));
        for (int i = exponent + 1; i < 0; i++) text_byte(t, '0');
        for (int i = 0; i < count || i <= exponent; i++) {
            text_byte(t, i < count ? digits[i] : '0');
            if (i == exponent) text_byte(t, '.');
        }
        if (exponent >= 0 && count <= exponent + 1) text_byte(t, '0');
    } else {
        text_byte(t, digits[0]);
        if (count > 1) text_byte(t, '.');
        text_span(t, (span){digits + 1, (size_t)count - 1});
        text_byte(t, 'e');
        text_byte(t, exponent < 0 ? '-' : '+');
        text_number(t, (uint64_t)(exponent < 0 ? -exponent : exponent));
    }
}
