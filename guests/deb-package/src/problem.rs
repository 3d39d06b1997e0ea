//! Why an entry is refused.

/// One field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code: `DEB_` and what is wrong.
    pub code: &'static str,
    /// What was found and what was wanted.
    pub message: String,
    /// JSON pointer to the field; empty for the item as a whole.
    pub pointer: String,
    /// The name and the value of the field, where there is one.
    pub details: Vec<(&'static str, String)>,
}

impl Problem {
    /// A field whose value cannot be read.
    pub fn of_value(code: &'static str, field: &str, value: &str, message: String) -> Problem {
        Problem {
            code,
            message: format!("{field}: {message}"),
            pointer: format!("/{field}"),
            details: vec![("field", field.to_owned()), ("value", value.to_owned())],
        }
    }

    /// A field that has to be there.
    pub fn missing(code: &'static str, field: &str) -> Problem {
        Problem {
            code,
            message: format!("{field} is missing"),
            pointer: format!("/{field}"),
            details: vec![("field", field.to_owned())],
        }
    }
}
