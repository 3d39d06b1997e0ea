// Judges benchmark tickets: title, status, priority and number of tags.
package main

import (
	"fmt"
	"slices"
	"strings"

	"guests/atlas"
	"guests/ticket"
)

const (
	// titleBytesMax is the longest title, in bytes.
	titleBytesMax = 200
	priorityMax   = 9
	tagsMax       = 10
)

var statuses = []string{"pending", "in_progress", "completed", "failed", "blocked"}

func init() { atlas.Validate = validate }

func main() {}

// validate gives one verdict for each item, in the same order.
func validate(items []atlas.Item) []atlas.Verdict {
	verdicts := make([]atlas.Verdict, len(items))
	for i, item := range items {
		if problems := judge(item.Body); len(problems) > 0 {
			verdicts[i] = atlas.Refuse(problems...)
		}
	}
	return verdicts
}

// judge gives all rules that a ticket breaks, in the order of the fields.
func judge(body string) (problems []atlas.Problem) {
	t, err := ticket.Read(body, "a list of strings")
	if err != nil {
		return []atlas.Problem{{Code: "TICKET_SHAPE", Message: "not a ticket: " + err.Error()}}
	}
	add := func(code, pointer, format string, arguments ...any) {
		problems = append(problems, atlas.Problem{Code: code, Message: fmt.Sprintf(format, arguments...), Pointer: pointer})
	}
	if bytes := len(t.Title); bytes == 0 || bytes > titleBytesMax {
		add("TICKET_TITLE", "/title", "title has %d bytes, wanted 1 to %d", bytes, titleBytesMax)
	}
	if !slices.Contains(statuses, t.Status) {
		wanted := strings.Join(statuses, ", ")
		add("TICKET_STATUS", "/status", "status is %s, wanted one of %s", ticket.Quoted(t.Status), wanted)
	}
	if t.Priority > priorityMax {
		add("TICKET_PRIORITY", "/priority", "priority is %d, wanted 0 to %d", t.Priority, priorityMax)
	}
	if tags := len(t.Tags); tags > tagsMax {
		add("TICKET_TAGS", "/tags", "%d tags, wanted at most %d", tags, tagsMax)
	}
	return problems
}
