// Does what its items say, with all that the contract has, for tests of languages.
package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"guests/atlas"
)

// other is the collection beside the run's own.
const other = "other"

func init() {
	atlas.Validate = validate
	atlas.Apply = apply
}

func main() {}

func validate(items []atlas.Item) []atlas.Verdict {
	verdicts := make([]atlas.Verdict, len(items))
	for i, item := range items {
		// "refuse N" breaks N rules.
		if count, found := strings.CutPrefix(said(item), "refuse "); found {
			verdicts[i] = atlas.Refuse(broken(count)...)
		}
	}
	return verdicts
}

func broken(count string) []atlas.Problem {
	number, _ := strconv.Atoi(count)
	problems := make([]atlas.Problem, number)
	for n := range problems {
		text := strconv.Itoa(n)
		problems[n] = atlas.Problem{
			Code: "PROBE_RULE", Message: text, Pointer: "/", Details: []atlas.Pair{{Name: "rule", Value: text}},
		}
	}
	return problems
}

func apply(items []atlas.Item) []atlas.Outcome {
	outcomes := make([]atlas.Outcome, len(items))
	for i, item := range items {
		outcomes[i] = outcome(item)
	}
	return outcomes
}

func said(item atlas.Item) string { return strings.Trim(item.Body, `"`) }

func outcome(item atlas.Item) atlas.Outcome {
	words := strings.Split(said(item), " ")
	switch words[0] {
	case "keep":
		return atlas.Keep()
	case "drop":
		return atlas.Drop()
	case "replace":
		return atlas.Replace(`["replaced"]`)
	case "emit":
		return atlas.Emit(
			atlas.Put(other, item.ID+"-other", item.Body),
			atlas.Put("", item.ID+"-own", `{"emitted":true}`),
			atlas.Delete(other, "gone"),
			atlas.Delete("", "gone"),
		)
	case "nothing":
		return atlas.Emit()
	case "retry":
		if atlas.Attempt() > 1 {
			return atlas.Replace(fmt.Sprintf(`{"attempt":%d}`, atlas.Attempt()))
		}
		delay, _ := strconv.Atoi(words[1])
		return retry(time.Duration(delay) * time.Millisecond)
	case "never":
		return retry(0)
	case "reject":
		return atlas.Reject(atlas.Problem{
			Code: "PROBE_REJECT", Message: "asked to refuse", Pointer: "/a~1b/0",
			Details: []atlas.Pair{{Name: "k"}, {Value: "v"}},
		})
	case "bare":
		return atlas.Reject(atlas.Problem{})
	case "log":
		atlas.Log(levels[words[1]], strings.Join(words[2:], " "))
		return atlas.Keep()
	case "config":
		if value, found := atlas.Config(words[1]); found {
			return learned("some", atlas.Pair{Name: words[1], Value: value})
		}
		return learned("none")
	case "configs":
		return learned("all", atlas.Configs()...)
	case "context":
		return learned("context", context(item)...)
	default:
		return read(words)
	}
}

var levels = map[string]atlas.Level{
	"trace": atlas.Trace, "debug": atlas.Debug, "info": atlas.Info, "warn": atlas.Warn, "error": atlas.Error,
}

func context(item atlas.Item) []atlas.Pair {
	now := "moves"
	if atlas.NowMs() == atlas.NowMs() && atlas.NowMs() > 1_700_000_000_000 {
		now = "fixed"
	}
	return []atlas.Pair{
		{Name: "run", Value: strconv.Itoa(len(atlas.Run()))},
		{Name: "batch", Value: strconv.FormatUint(atlas.Batch(), 10)},
		{Name: "attempt", Value: fmt.Sprint(atlas.Attempt())},
		{Name: "deadline", Value: strconv.FormatUint(atlas.DeadlineMs(), 10)},
		{Name: "now", Value: now},
		{Name: "seed", Value: strconv.FormatUint(atlas.Seed(item.Ordinal), 10)},
		{Name: "other-seed", Value: strconv.FormatUint(atlas.Seed(1<<53-1), 10)},
	}
}

func retry(delay time.Duration) atlas.Outcome {
	return atlas.Retry(atlas.Problem{
		Code: "PROBE_RETRY", Message: "asked to fail for now", Pointer: "/retry",
		Details: []atlas.Pair{{Name: "why", Value: "asked"}},
	}, delay)
}

// learned is what was learned, as a refusal.
func learned(message string, details ...atlas.Pair) atlas.Outcome {
	return atlas.Reject(atlas.Problem{Code: "PROBE", Message: message, Details: details})
}
