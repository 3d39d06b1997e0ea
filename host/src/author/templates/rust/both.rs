//! %DESCRIPTION%

wit_bindgen::generate!({ path: "wit", world: "%WORLD%" });

use atlas::batch::types::Problem;
use exports::atlas::batch::operation::{self, Outcome};
use exports::atlas::batch::validator::{self, Item, Verdict};
use serde_json::{Map, Value};

struct Plugin;

impl validator::Guest for Plugin {
    /// One verdict for each item, in the same order.
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        items
            .iter()
            .map(|item| match judged(&item.body) {
                Ok(()) => Verdict::Accept,
                Err(problem) => Verdict::Reject(vec![problem]),
            })
            .collect()
    }
}

impl operation::Guest for Plugin {
    /// One outcome for each item, in the same order. Only items that were accepted come here.
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items.iter().map(|item| tidied(&item.body).unwrap_or_else(Outcome::Reject)).collect()
    }
}

fn judged(body: &str) -> Result<(), Problem> {
    let contact = contact(body)?;
    let email = email(&contact)?;
    match email.trim().split_once('@') {
        Some((name, domain)) if !name.is_empty() && !domain.is_empty() && !domain.contains('@') => {
            Ok(())
        }
        _ => Err(problem("EMAIL_FORM", format!("\"{email}\" is no e-mail address"), "/email")),
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
