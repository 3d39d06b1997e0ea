package ticket

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Decimal is a number as the shortest decimal that reads back as the same,
// with a fraction or an exponent.
func Decimal(value float64) string {
	if value == 0 {
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	scientific := strconv.FormatFloat(value, 'e', -1, 64)
	mantissa, power, _ := strings.Cut(scientific, "e")
	if exponent, _ := strconv.Atoi(power); exponent < -5 || exponent > 15 {
		return fmt.Sprintf("%se%+d", mantissa, exponent)
	}
	fixed := strconv.FormatFloat(value, 'f', -1, 64)
	if !strings.Contains(fixed, ".") {
		fixed += ".0"
	}
	return fixed
}

// Quoted is a text as Rust's debug format quotes it, which is what messages
// use.
func Quoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, char := range text {
		switch char {
		case 0:
			out.WriteString(`\0`)
		case '\t':
			out.WriteString(`\t`)
		case '\n':
			out.WriteString(`\n`)
		case '\r':
			out.WriteString(`\r`)
		case '"', '\\':
			out.WriteByte('\\')
			out.WriteRune(char)
		default:
			joins := unicode.In(char, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend)
			if joins || !unicode.IsPrint(char) {
				fmt.Fprintf(&out, `\u{%x}`, char)
			} else {
				out.WriteRune(char)
			}
		}
	}
	out.WriteByte('"')
	return out.String()
}

// AppendString appends a text as a JSON string; only what must be escaped is.
func AppendString(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	plain := 0
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		out = append(out, text[plain:i]...)
		plain = i + 1
		switch b {
		case '"', '\\':
			out = append(out, '\\', b)
		case '\b':
			out = append(out, '\\', 'b')
		case '\t':
			out = append(out, '\\', 't')
		case '\n':
			out = append(out, '\\', 'n')
		case '\f':
			out = append(out, '\\', 'f')
		case '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(append(out, text[plain:]...), '"')
}
