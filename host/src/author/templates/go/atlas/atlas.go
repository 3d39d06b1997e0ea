// Package atlas is the contract with the host, atlas:batch@0.1.0, as Go.
//
// A plugin sets Apply, Validate or both before main begins, in an init
// function. The functions are called with many items at once and return one
// answer for each, in the same order.
package atlas

import "time"

// Apply decides what becomes of each item. Where a call's list of items begins
// and ends must not change an answer, and a call may be repeated.
var Apply func(items []Item) []Outcome

// Validate judges each item, under the same rules as Apply.
var Validate func(items []Item) []Verdict

// Item is one record of the input, on its way to be stored.
type Item struct {
	// Ordinal is the position in the input, counted from 0 over all input
	// files. It is the same on every attempt.
	Ordinal uint64
	// ID is the key under which the item is stored.
	ID string
	// Body is the item as JSON text, byte for byte as it was read.
	Body string
}

// Problem says why an item was refused, or why it has to be tried again.
type Problem struct {
	// Code is a stable code of the plugin's own, such as EMAIL_MISSING.
	Code string
	// Message is one sentence for a human reader.
	Message string
	// Pointer is a JSON pointer (RFC 6901) to the culprit inside the body;
	// empty for the item as a whole.
	Pointer string
	// Details are further facts.
	Details []Pair
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Verdict is what a validator says of one item. The zero value accepts it.
type Verdict struct {
	refused  bool
	problems []Problem
}

// Accept says that no rule is broken.
func Accept() Verdict { return Verdict{} }

// Refuse sends the item to the dead letters with these problems.
func Refuse(problems ...Problem) Verdict { return Verdict{refused: true, problems: problems} }

// Outcome is what an operation wants done with one item. The zero value keeps
// it.
type Outcome struct {
	tag     uint8
	body    string
	changes []Change
	problem Problem
	delay   time.Duration
}

// The cases of the contract's variant, in its order.
const (
	outcomeKeep = iota
	outcomeReplace
	outcomeEmit
	outcomeDrop
	outcomeReject
	outcomeRetry
)

// Keep stores the body unchanged under the item's id.
func Keep() Outcome { return Outcome{tag: outcomeKeep} }

// Replace stores this body, strict JSON, under the item's id.
func Replace(body string) Outcome { return Outcome{tag: outcomeReplace, body: body} }

// Emit applies these changes instead, in this order, all of them or none.
func Emit(changes ...Change) Outcome { return Outcome{tag: outcomeEmit, changes: changes} }

// Drop stores nothing and counts the item as dropped.
func Drop() Outcome { return Outcome{tag: outcomeDrop} }

// Reject sends the item to the dead letters.
func Reject(problem Problem) Outcome { return Outcome{tag: outcomeReject, problem: problem} }

// Retry asks for another attempt after this time at least, counted in
// milliseconds; 0 leaves it to the host.
func Retry(problem Problem, delay time.Duration) Outcome {
	return Outcome{tag: outcomeRetry, problem: problem, delay: delay}
}

// Change is one change to the store.
type Change struct {
	deletes              bool
	collection, id, body string
}

// Put stores the body under the id. An empty collection is the run's own.
func Put(collection, id, body string) Change {
	return Change{collection: collection, id: id, body: body}
}

// Delete deletes the row of that id. An empty collection is the run's own.
func Delete(collection, id string) Change {
	return Change{deletes: true, collection: collection, id: id}
}
