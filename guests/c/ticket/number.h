// Decimals and doubles, exactly: the nearest double of a decimal of any
// length, and the shortest decimal of a double. No library is needed for it.
#ifndef NUMBER_H
#define NUMBER_H

#include "text.h"

// The double nearest to `digits` (decimal digits, at least one) times ten to
// the power of `exponent`; infinity if it is beyond the largest.
double number_nearest(span digits, int64_t exponent);

// Most digits of a shortest decimal.
#define SHORTEST_DIGITS_MAX 17

// The shortest digits that read back as `number`, which is positive and
// finite, with the closest value among those: their count, and in `exponent`
// the power of ten of the first.
int number_shortest(double number, char digits[SHORTEST_DIGITS_MAX], int *exponent);

#endif
