package ticket

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reader reads JSON text, one value after the other. The host has checked
// every body, so what is no JSON at all is noticed and refused but not
// described.
type reader struct {
	text string
	// at is the next byte to be read. Errors are reported here.
	at int
}

// failure is why and where a body is no ticket, in the words of the reference
// implementation.
type failure struct {
	why          string
	line, column int
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s at line %d column %d", f.why, f.line, f.column)
}

// number is a JSON number: a whole one with its sign, or one with a fraction.
type number struct {
	whole      bool
	negative   bool
	absolute   uint64
	fractional float64
}

// depthMax is how deep the host lets bodies be nested.
const depthMax = 128

func (r *reader) fail(format string, arguments ...any) error {
	before := r.text[:min(r.at, len(r.text))]
	begin := strings.LastIndexByte(before, '\n') + 1
	return &failure{fmt.Sprintf(format, arguments...), 1 + strings.Count(before, "\n"), r.at - begin}
}

func (r *reader) malformed() error { return r.fail("malformed JSON") }

func (r *reader) here() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// peek is the next byte behind white space; 0 at the end.
func (r *reader) peek() byte {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return r.text[r.at]
		}
	}
	return 0
}

// eat reads the next byte behind white space if it is this one.
func (r *reader) eat(wanted byte) bool {
	if r.peek() != wanted {
		return false
	}
	r.at++
	return true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isNumber(b byte) bool { return b == '-' || isDigit(b) }

// literal reads null, true or false.
func (r *reader) literal() (string, error) {
	for _, word := range []string{"null", "true", "false"} {
		if strings.HasPrefix(r.text[r.at:], word) {
			r.at += len(word)
			return word, nil
		}
	}
	return "", r.malformed()
}

// string reads a string. Without escapes it is a piece of the body.
func (r *reader) string() (string, error) {
	if !r.eat('"') {
		return "", r.malformed()
	}
	var decoded []byte
	escaped, begin := false, r.at
	for r.at < len(r.text) {
		switch b := r.text[r.at]; {
		case b == '"' && !escaped:
			r.at++
			return r.text[begin : r.at-1], nil
		case b == '"':
			decoded = append(decoded, r.text[begin:r.at]...)
			r.at++
			return string(decoded), nil
		case b == '\\':
			decoded = append(decoded, r.text[begin:r.at]...)
			escaped = true
			r.at++
			character, err := r.escape()
			if err != nil {
				return "", err
			}
			decoded = utf8.AppendRune(decoded, character)
			begin = r.at
		case b < 0x20:
			return "", r.malformed()
		default:
			r.at++
		}
	}
	return "", r.malformed()
}

// escape reads an escape behind its backslash.
func (r *reader) escape() (rune, error) {
	letter := r.here()
	r.at++
	switch letter {
	case '"', '\\', '/':
		return rune(letter), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
	default:
		return 0, r.malformed()
	}
	high, err := r.hex4()
	if err != nil || high < 0xd800 || high > 0xdfff {
		return high, err
	}
	if high > 0xdbff || !strings.HasPrefix(r.text[r.at:], `\u`) {
		return 0, r.malformed()
	}
	r.at += 2
	low, err := r.hex4()
	if err != nil || low < 0xdc00 || low > 0xdfff {
		return 0, r.malformed()
	}
	return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), nil
}

func (r *reader) hex4() (rune, error) {
	if len(r.text)-r.at < 4 {
		return 0, r.malformed()
	}
	value, err := strconv.ParseUint(r.text[r.at:r.at+4], 16, 16)
	if err != nil {
		return 0, r.malformed()
	}
	r.at += 4
	return rune(value), nil
}

func (r *reader) digits() string {
	begin := r.at
	for isDigit(r.here()) {
		r.at++
	}
	return r.text[begin:r.at]
}

func (r *reader) number() (number, error) {
	negative := r.eat('-')
	begin := r.at
	digits := r.digits()
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return number{}, r.malformed()
	}
	whole, isZero := true, strings.Trim(digits, "0") == ""
	if r.here() == '.' {
		whole = false
		r.at++
		fraction := r.digits()
		if fraction == "" {
			return number{}, r.malformed()
		}
		isZero = isZero && strings.Trim(fraction, "0") == ""
	}
	if r.here() == 'e' || r.here() == 'E' {
		whole = false
		r.at++
		if err := r.exponent(isZero); err != nil {
			return number{}, err
		}
	}
	if whole {
		// What fits no integer is a number with a fraction, and so is -0.
		absolute, err := strconv.ParseUint(digits, 10, 64)
		if err == nil && (!negative || absolute != 0 && absolute <= 1<<63) {
			return number{whole: true, negative: negative, absolute: absolute}, nil
		}
	}
	value, _ := strconv.ParseFloat(r.text[begin:r.at], 64)
	if math.IsInf(value, 0) {
		return number{}, r.fail("number out of range")
	}
	if negative {
		value = -value
	}
	return number{negative: negative, fractional: value}, nil
}

// exponent reads over the exponent behind its letter. One that is too large
// for any number but zero is refused where that shows.
func (r *reader) exponent(isZero bool) error {
	negative := r.here() == '-'
	if negative || r.here() == '+' {
		r.at++
	}
	if !isDigit(r.here()) {
		return r.malformed()
	}
	power := int64(0)
	for isDigit(r.here()) {
		power = min(10*power+int64(r.here()-'0'), 1<<40)
		r.at++
		if power > math.MaxInt32 && !negative && !isZero {
			return r.fail("number out of range")
		}
	}
	return nil
}

// skip reads over one value of any type.
func (r *reader) skip(depth int) error {
	switch first := r.peek(); {
	case isNumber(first):
		for isNumber(r.here()) || r.here() == '+' || r.here() == '.' || r.here()|0x20 == 'e' {
			r.at++
		}
		return nil
	case first == '"':
		_, err := r.string()
		return err
	case (first == '[' || first == '{') && depth < depthMax:
		last := first + 2
		r.at++
		if r.eat(last) {
			return nil
		}
		for {
			if first == '{' {
				if _, err := r.string(); err != nil {
					return err
				}
				if !r.eat(':') {
					return r.malformed()
				}
			}
			if err := r.skip(depth + 1); err != nil {
				return err
			}
			if r.eat(last) {
				return nil
			}
			if !r.eat(',') {
				return r.malformed()
			}
		}
	default:
		_, err := r.literal()
		return err
	}
}

// wrongType is the error for a value of another type than the wanted one.
func (r *reader) wrongType(wanted string) error {
	switch first := r.peek(); {
	case isNumber(first):
		value, err := r.number()
		if err != nil {
			return err
		}
		return r.wrongNumber("type", value, wanted)
	case first == '"':
		value, err := r.string()
		if err != nil {
			return err
		}
		return r.fail("invalid type: string %s, expected %s", Quoted(value), wanted)
	case first == '[':
		return r.fail("invalid type: sequence, expected %s", wanted)
	case first == '{':
		return r.fail("invalid type: map, expected %s", wanted)
	default:
		word, err := r.literal()
		if err != nil {
			return err
		}
		if word != "null" {
			word = "boolean `" + word + "`"
		}
		return r.fail("invalid type: %s, expected %s", word, wanted)
	}
}

// wrongNumber is the error for a number whose type or value is not wanted.
func (r *reader) wrongNumber(what string, found number, wanted string) error {
	if !found.whole {
		return r.fail("invalid %s: floating point `%s`, expected %s", what, Decimal(found.fractional), wanted)
	}
	sign := ""
	if found.negative {
		sign = "-"
	}
	return r.fail("invalid %s: integer `%s%d`, expected %s", what, sign, found.absolute, wanted)
}
