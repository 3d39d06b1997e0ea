// %DESCRIPTION%
package main

import (
	"strings"

	"plugin_%IDENTIFIER%/atlas"
)

func init() {
	atlas.Apply = apply
}

// main is not called.
func main() {}

// apply gives one outcome for each item, in the same order.
func apply(items []atlas.Item) []atlas.Outcome {
	outcomes := make([]atlas.Outcome, len(items))
	for i, item := range items {
		outcomes[i] = tidied(item.Body)
	}
	return outcomes
}

func tidied(body string) atlas.Outcome {
	c, problem := readContact(body)
	if c.deleted {
		return atlas.Drop()
	}
	if problem != nil {
		return atlas.Reject(*problem)
	}
	tidy := strings.ToLower(strings.TrimSpace(c.email))
	if tidy == c.email {
		return atlas.Keep()
	}
	return atlas.Replace(c.withEmail(body, tidy))
}
