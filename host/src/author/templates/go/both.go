// %DESCRIPTION%
package main

import (
	"strings"

	"plugin_%IDENTIFIER%/atlas"
)

func init() {
	atlas.Validate = validate
	atlas.Apply = apply
}

// main is not called.
func main() {}

// validate gives one verdict for each item, in the same order.
func validate(items []atlas.Item) []atlas.Verdict {
	verdicts := make([]atlas.Verdict, len(items))
	for i, item := range items {
		if problem := judged(item.Body); problem != nil {
			verdicts[i] = atlas.Refuse(*problem)
		}
	}
	return verdicts
}

func judged(body string) *atlas.Problem {
	c, problem := readContact(body)
	if problem != nil {
		return problem
	}
	name, domain, _ := strings.Cut(strings.TrimSpace(c.email), "@")
	if name == "" || domain == "" || strings.Contains(domain, "@") {
		return &atlas.Problem{Code: "EMAIL_FORM", Message: `"` + c.email + `" is no e-mail address`, Pointer: "/email"}
	}
	return nil
}

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
