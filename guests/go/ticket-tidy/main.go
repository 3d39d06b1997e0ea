// Tidies benchmark tickets: slug, sorted lower-case tags, score.
package main

import (
	"slices"
	"strconv"
	"strings"

	"guests/atlas"
	"guests/ticket"
)

// growthBytes is what a tidied ticket may be longer by than the one it came
// from: the names of two fields, a score, and a slug about as long as a title.
const growthBytes = 128

func init() { atlas.Apply = apply }

func main() {}

// apply gives one outcome for each item, in the same order.
func apply(items []atlas.Item) []atlas.Outcome {
	outcomes := make([]atlas.Outcome, len(items))
	for i, item := range items {
		body, err := tidy(item.Body)
		if err != nil {
			outcomes[i] = atlas.Reject(atlas.Problem{Code: "TICKET_SHAPE", Message: "not a ticket: " + err.Error()})
		} else {
			outcomes[i] = atlas.Replace(body)
		}
	}
	return outcomes
}

// tidy gives the fields of a ticket in a fixed order and nothing else, as
// compact JSON. Its slug is the title in ASCII lower case with a hyphen for
// every run of other characters; its tags are in ASCII lower case, sorted,
// without repeats; its score is the priority over one plus the number of tags
// left.
func tidy(body string) (string, error) {
	t, err := ticket.Read(body, "a sequence")
	if err != nil {
		return "", err
	}
	for i, tag := range t.Tags {
		t.Tags[i] = strings.Map(asciiLower, tag)
	}
	slices.Sort(t.Tags)
	t.Tags = slices.Compact(t.Tags)
	out := make([]byte, 0, len(body)+growthBytes)
	text := func(name, value string) { out = ticket.AppendString(append(out, name...), value) }
	text(`{"id":`, t.ID)
	text(`,"path":`, t.Path)
	text(`,"title":`, t.Title)
	text(`,"status":`, t.Status)
	out = strconv.AppendUint(append(out, `,"priority":`...), uint64(t.Priority), 10)
	out = append(out, `,"tags":[`...)
	for i, tag := range t.Tags {
		if i > 0 {
			out = append(out, ',')
		}
		out = ticket.AppendString(out, tag)
	}
	out = strconv.AppendUint(append(out, `],"created":`...), t.Created, 10)
	text(`,"notes":`, t.Notes)
	text(`,"slug":`, slug(t.Title))
	score := ticket.Decimal(float64(t.Priority) / (1 + float64(len(t.Tags))))
	return string(out) + `,"score":` + score + "}", nil
}

func asciiLower(char rune) rune {
	if 'A' <= char && char <= 'Z' {
		return char + ('a' - 'A')
	}
	return char
}

func slug(title string) string {
	out := make([]byte, 0, len(title))
	for _, char := range title {
		switch char = asciiLower(char); {
		case 'a' <= char && char <= 'z', '0' <= char && char <= '9':
			out = append(out, byte(char))
		case len(out) == 0 || out[len(out)-1] != '-':
			out = append(out, '-')
		}
	}
	return string(out)
}
