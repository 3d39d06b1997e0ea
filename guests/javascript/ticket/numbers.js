// Numbers of JSON as texts: a Number of JavaScript cannot tell 1.0 from 1, nor 2^64 - 1 from 2^64.

const U64_MAX = "18446744073709551615";
const S64_MIN = "-9223372036854775808";
const S32_MAX = 2 ** 31 - 1;

/** Whether it is a whole number from 0 to 2^64 - 1. */
export function isUnsigned(number) {
    return /^\d+$/.test(number) && isUpTo(number, U64_MAX);
}

/** Whether it is a whole number from -2^63 to -1. */
export function isSigned(number) {
    return /^-[1-9]\d*$/.test(number) && isUpTo(number, S64_MIN);
}

function isUpTo(number, bound) {
    return number.length < bound.length || (number.length === bound.length && number <= bound);
}

/** Whether a double comes near it. */
export function isWithinDouble(number) {
    return number.length < 300 && !/[eE]/.test(number) ? true : Number.isFinite(Number(number));
}

/** How much of a number it takes to see that it is too large: all of it, or so much that the exponent alone is. */
export function exponentBound(number) {
    const start = number.search(/[eE]/) + 1;
    if (start === 0) return number.length;
    let exponent = 0;
    for (let i = start; i < number.length; i++) {
        if (number[i] === "+") continue;
        exponent = exponent * 10 + Number(number[i]);
        if (exponent > S32_MAX) return i + 1;
    }
    return number.length;
}

/** The shortest text that reads back as this double: with a fraction, or with an exponent below -5 and above 15. */
export function floatText(double) {
    if (Object.is(double, -0)) return "-0.0";
    const size = Math.abs(double);
    if (size !== 0 && (size < 1e-5 || size >= 1e16)) return (double < 0 ? "-" : "") + exponential(size);
    return Number.isInteger(double) ? `${double}.0` : `${double}`;
}

/**
 * QuickJS writes seventeen digits of some powers of two, whose neighbour below is nearer than the one above, where sixteen
 * read back as the same double: those that are nearest, or the next.
 */
function exponential(size) {
    const text = size.toExponential();
    if (text.indexOf("e") < 18) return text;
    const [mantissa, exponent] = size.toExponential(15).split("e");
    const nearest = BigInt(mantissa.replace(".", ""));
    for (const digits of [nearest, nearest + 1n, nearest - 1n]) {
        const fewer = `${digits / 10n ** 15n}.${`${digits}`.slice(1)}e${exponent}`;
        if (Number(fewer) === size) return fewer;
    }
    return text;
}
