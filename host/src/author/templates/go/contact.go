package main

import (
	"encoding/json"
	"strings"

	"plugin_%IDENTIFIER%/atlas"
)

// contact is a JSON object with an e-mail address.
type contact struct {
	email   string
	deleted bool
	// Where the address stands in the body.
	from, to int64
}

func readContact(body string) (contact, *atlas.Problem) {
	shape := &atlas.Problem{Code: "CONTACT_SHAPE", Message: "a contact is a JSON object"}
	missing := &atlas.Problem{
		Code: "EMAIL_MISSING", Message: "a contact needs an e-mail address", Pointer: "/email",
	}
	var c contact
	decoder := json.NewDecoder(strings.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return c, shape
	}
	for decoder.More() {
		name, _ := decoder.Token()
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return c, shape
		}
		switch name {
		case "deleted":
			c.deleted = string(value) == "true"
		case "email":
			var email *string
			if json.Unmarshal(value, &email) != nil || email == nil {
				c.to = 0
				continue
			}
			c.email, c.to = *email, decoder.InputOffset()
			c.from = c.to - int64(len(value))
		}
	}
	if c.to == 0 {
		return c, missing
	}
	return c, nil
}

// withEmail is the body with another address in it. What else it has stays as
// it is written, every digit too.
func (c contact) withEmail(body, email string) string {
	written, _ := json.Marshal(email)
	return body[:c.from] + string(written) + body[c.to:]
}
