//! Why a task is refused.

use std::fmt;

/// The stable codes of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The task that a row changes is not stored.
    NotFound,
    /// A field is missing, mistyped, unknown or beyond its limit.
    Field,
    /// A dependency is illegal, missing, cancelled, open, or its chain too long.
    Dependency,
    /// A status may not follow the present one.
    Transition,
    /// The path is taken.
    Duplicate,
    /// `type` has no legal value.
    Type,
    /// `status` has no legal value.
    Status,
    /// The parent is missing, no milestone or full.
    Parent,
    /// Dependencies run in a circle.
    Cycle,
}

impl Code {
    /// The code as the host stores it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::NotFound => "TASK_1001",
            Code::Field => "TASK_1002",
            Code::Dependency => "TASK_1003",
            Code::Transition => "TASK_1004",
            Code::Duplicate => "TASK_1005",
            Code::Type => "TASK_1006",
            Code::Status => "TASK_1007",
            Code::Parent => "TASK_1008",
            Code::Cycle => "TASK_1010",
        }
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which rule.
    pub code: Code,
    /// One sentence: what was found and what was wanted.
    pub message: String,
    /// JSON pointer (RFC 6901) into the item; empty for the whole.
    pub pointer: String,
    /// Further facts as pairs of name and value.
    pub details: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem without details.
    pub fn new(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), pointer: pointer.into(), details: Vec::new() }
    }

    /// A row asks for a change of a task that is not stored.
    pub fn not_found(path: &str) -> Problem {
        Problem::new(Code::NotFound, "/path", format!("there is no task {} to change", quoted(path)))
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Problem {
        self.details.push((name, value.to_string()));
        self
    }

    /// Code, message, pointer and details as the contract has them.
    pub fn into_parts(self) -> (String, String, String, Vec<(String, String)>) {
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let details = self.details.into_iter().map(owned).collect();
        let code = self.code.as_str().to_owned();
        (code, self.message, self.pointer, details)
    }
}

/// `text` in quotes for a message, cut after 60 characters.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// The pointer to member `name` of what `parent` points to.
pub fn pointer_to(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_slash_and_tilde() {
        assert_eq!(pointer_to("/metadata", "a/b~c"), "/metadata/a~1b~0c");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(quoted(&"ä".repeat(61)), format!("\"{}\"…", "ä".repeat(60)));
    }
}
