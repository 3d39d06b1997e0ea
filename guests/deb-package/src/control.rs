//! The control fields of one item.

use crate::problem::Problem;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Fields in the order of the item, borrowed from it where they have no escapes.
#[derive(Debug, Default)]
pub struct Control<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Control<'a> {
    /// The fields in `body`.
    ///
    /// # Errors
    /// `DEB_SHAPE`: `body` is no object with strings for members, or names a
    /// field twice.
    pub fn parse(body: &'a str) -> Result<Control<'a>, Problem> {
        serde_json::from_str(body).map_err(|error| Problem {
            code: "DEB_SHAPE",
            message: format!("not an object of control fields: {error}"),
            pointer: String::new(),
            details: Vec::new(),
        })
    }

    /// The value of a field without the space around it; none if the field is
    /// not there or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Control<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Control<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with a string for each field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Control<'de>, A::Error> {
        let mut fields: Vec<(Cow<str>, Cow<str>)> = Vec::with_capacity(24);
        while let Some((Text(name), Text(value))) = members.next_entry()? {
            if fields.iter().any(|(known, _)| *known == name) {
                let message = format!("field {name:?} is given twice");
                return Err(serde::de::Error::custom(message));
            }
            fields.push((name, value));
        }
        Ok(Control { fields })
    }
}

/// A string that is borrowed where it can be.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_empty_ones_are_not() {
        let control = Control::parse(r#"{"A":" x\n","B":"  "}"#).unwrap();
        assert_eq!(control.get("A"), Some("x"));
        assert_eq!(control.get("B"), None);
        assert_eq!(control.get("a"), None);
        assert_eq!(control.iter().count(), 2);
    }

    #[test]
    fn only_objects_of_strings_are_items() {
        for body in ["", "[]", r#"{"A":1}"#, r#"{"A":null}"#, r#"{"A":"x","A":"y"}"#] {
            assert_eq!(Control::parse(body).unwrap_err().code, "DEB_SHAPE", "{body}");
        }
    }
}
