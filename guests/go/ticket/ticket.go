// Package ticket reads benchmark tickets, and refuses what is none in the
// words of the reference implementation.
package ticket

import "math"

// Ticket is a ticket as its JSON text has it.
type Ticket struct {
	ID, Path, Title, Status, Notes string
	Priority                       uint32
	Created                        uint64
	Tags                           []string
}

const (
	id = iota
	path
	title
	status
	priority
	tags
	created
	notes
	slug
	score
	fields
)

// Fields from here on may be missing, and what they hold is not used.
const firstOptional = slug

var names = [fields]string{"id", "path", "title", "status", "priority", "tags", "created", "notes", "slug", "score"}

// Read reads one ticket. The words for what tags has to be are the caller's.
// An error says why and where the body is no ticket.
func Read(body, tagsWanted string) (Ticket, error) {
	r := reader{text: body}
	var ticket Ticket
	var err error
	switch r.peek() {
	case '{':
		err = r.object(&ticket, tagsWanted)
	case '[':
		err = r.list(&ticket, tagsWanted)
	default:
		err = r.wrongType("struct Ticket")
	}
	if err == nil && (r.peek() != 0 || r.at < len(r.text)) {
		err = r.malformed()
	}
	return ticket, err
}

func (r *reader) object(ticket *Ticket, tagsWanted string) error {
	var seen [fields]bool
	r.eat('{')
	for first := true; !r.eat('}'); first = false {
		if !first && !r.eat(',') {
			return r.malformed()
		}
		name, err := r.string()
		if err != nil {
			return err
		}
		field := fieldNamed(name)
		if field != fields && seen[field] {
			// The place is in front of the colon.
			r.peek()
			return r.fail("duplicate field `%s`", name)
		}
		if !r.eat(':') {
			return r.malformed()
		}
		if err := r.field(field, ticket, tagsWanted); err != nil {
			return err
		}
		if field != fields {
			seen[field] = true
		}
	}
	for field, there := range seen[:firstOptional] {
		if !there {
			return r.fail("missing field `%s`", names[field])
		}
	}
	return nil
}

// list reads the values of the fields in their order, which are a ticket too.
func (r *reader) list(ticket *Ticket, tagsWanted string) error {
	r.eat('[')
	length := 0
	for ; !r.eat(']'); length++ {
		if length > 0 && !r.eat(',') {
			return r.malformed()
		}
		if length == fields {
			r.peek()
			r.at++
			return r.fail("trailing characters")
		}
		if err := r.field(length, ticket, tagsWanted); err != nil {
			return err
		}
	}
	if length < firstOptional {
		return r.fail("invalid length %d, expected struct Ticket with %d elements", length, fields)
	}
	return nil
}

func fieldNamed(name string) int {
	for field, known := range names {
		if name == known {
			return field
		}
	}
	return fields
}

func (r *reader) field(field int, ticket *Ticket, tagsWanted string) (err error) {
	switch field {
	case id:
		ticket.ID, err = r.aString()
	case path:
		ticket.Path, err = r.aString()
	case title:
		ticket.Title, err = r.aString()
	case status:
		ticket.Status, err = r.aString()
	case priority:
		var whole uint64
		whole, err = r.whole(math.MaxUint32, "u32")
		ticket.Priority = uint32(whole)
	case tags:
		ticket.Tags, err = r.texts(tagsWanted)
	case created:
		ticket.Created, err = r.whole(math.MaxUint64, "u64")
	case notes:
		ticket.Notes, err = r.aString()
	case slug:
		_, err = r.aString()
	case score:
		if !isNumber(r.peek()) {
			return r.wrongType("f64")
		}
		_, err = r.number()
	default:
		err = r.skip(0)
	}
	return err
}

func (r *reader) aString() (string, error) {
	if r.peek() != '"' {
		return "", r.wrongType("a string")
	}
	return r.string()
}

func (r *reader) whole(most uint64, wanted string) (uint64, error) {
	if !isNumber(r.peek()) {
		return 0, r.wrongType(wanted)
	}
	found, err := r.number()
	switch {
	case err != nil:
		return 0, err
	case !found.whole:
		return 0, r.wrongNumber("type", found, wanted)
	case found.negative || found.absolute > most:
		return 0, r.wrongNumber("value", found, wanted)
	}
	return found.absolute, nil
}

func (r *reader) texts(wanted string) ([]string, error) {
	if r.peek() != '[' {
		return nil, r.wrongType(wanted)
	}
	r.eat('[')
	var texts []string
	for first := true; !r.eat(']'); first = false {
		if !first && !r.eat(',') {
			return nil, r.malformed()
		}
		text, err := r.aString()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}
