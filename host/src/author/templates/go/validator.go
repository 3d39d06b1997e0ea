// %DESCRIPTION%
package main

import (
	"strings"

	"plugin_%IDENTIFIER%/atlas"
)

func init() {
	atlas.Validate = validate
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
