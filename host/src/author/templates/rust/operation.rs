//! %DESCRIPTION%

wit_bindgen::generate!({ path: "wit", world: "%WORLD%" });

use atlas::batch::types::Problem;
use exports::atlas::batch::operation::{Guest, Item, Outcome};
use serde_json::{Map, Value};

struct Plugin;

impl Guest for Plugin {
    /// One outcome for each item, in the same order.
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items.iter().map(|item| tidied(&item.body).unwrap_or_else(Outcome::Reject)).collect()
    }
}

fn tidied(body: &str) -> Result<Outcome, Problem> {
    let mut contact = contact(body)?;
    if contact.get("deleted") == Some(&Value::Bool(true)) {
        return Ok(Outcome::Drop);
    }
    let email = email(&contact)?;
    let tidy = email.trim().to_lowercase();
    if tidy == email {
        return Ok(Outcome::Keep);
    }
    contact.insert("email".to_owned(), Value::String(tidy));
    Ok(Outcome::Replace(Value::Object(contact).to_string()))
}

fn contact(body: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(body)
        .map_err(|_| problem("CONTACT_SHAPE", "a contact is a JSON object".to_owned(), ""))
}

fn email(contact: &Map<String, Value>) -> Result<&str, Problem> {
    let text = contact.get("email").and_then(Value::as_str);
    text.ok_or_else(|| {
        problem("EMAIL_MISSING", "a contact needs an e-mail address".to_owned(), "/email")
    })
}

fn problem(code: &str, message: String, pointer: &str) -> Problem {
    Problem { code: code.to_owned(), message, pointer: pointer.to_owned(), details: Vec::new() }
}

export!(Plugin);
