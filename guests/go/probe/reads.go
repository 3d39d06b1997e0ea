package main

import (
	"errors"
	"strconv"
	"strings"

	"guests/atlas"
)

// read reads the store: get COLLECTION ID, get-many COLLECTION ID…, find
// COLLECTION INDEX KEY AFTER LIMIT, count COLLECTION INDEX KEY LIMIT.
func read(words []string) atlas.Outcome {
	switch words[0] {
	case "get":
		body, found, err := atlas.Get(some(words[1]), words[2])
		switch {
		case err != nil:
			return refused(err)
		case found:
			return learned("some", atlas.Pair{Name: words[2], Value: body})
		default:
			return learned("none")
		}
	case "get-many":
		bodies, err := atlas.GetMany(some(words[1]), words[2:])
		if err != nil {
			return refused(err)
		}
		pairs := make([]atlas.Pair, len(bodies))
		for i, body := range bodies {
			pairs[i] = atlas.Pair{Name: words[2+i], Value: "none"}
			if body != nil {
				pairs[i].Value = *body
			}
		}
		return learned("many", pairs...)
	case "find":
		rows, err := atlas.Find(some(words[1]), words[2], key(words[3]), some(words[4]), number(words[5]))
		if err != nil {
			return refused(err)
		}
		pairs := make([]atlas.Pair, len(rows))
		for i, row := range rows {
			pairs[i] = atlas.Pair{Name: row.ID, Value: row.Body}
		}
		return learned("rows", pairs...)
	case "count":
		count, err := atlas.Count(some(words[1]), words[2], key(words[3]), number(words[4]))
		if err != nil {
			return refused(err)
		}
		return learned(strconv.FormatUint(uint64(count), 10))
	default:
		return learned("no such word")
	}
}

func some(word string) string {
	if word == "-" {
		return ""
	}
	return word
}

func number(word string) uint32 {
	value, _ := strconv.ParseUint(word, 10, 32)
	return uint32(value)
}

// key reads null, integer:5, real:0.5 or text:a.
func key(word string) atlas.Key {
	kind, value, _ := strings.Cut(word, ":")
	switch kind {
	case "integer":
		whole, _ := strconv.ParseInt(value, 10, 64)
		return atlas.Integer(whole)
	case "real":
		real, _ := strconv.ParseFloat(value, 64)
		return atlas.Real(real)
	case "text":
		return atlas.Text(value)
	default:
		return atlas.Key{}
	}
}

func refused(err error) atlas.Outcome {
	switch {
	case errors.Is(err, atlas.ErrNotGranted):
		return learned("not-granted")
	case errors.Is(err, atlas.ErrNoSuchCollection):
		return learned("no-such-collection")
	case errors.Is(err, atlas.ErrNoSuchIndex):
		return learned("no-such-index")
	case errors.Is(err, atlas.ErrOverLimit):
		return learned("over-limit")
	default:
		return learned("other", atlas.Pair{Name: "text", Value: err.Error()})
	}
}
