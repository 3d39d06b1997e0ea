//! Fields whose values have a small syntax of their own.

use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A person or a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Maintainer<'a> {
    /// As written, without quotes around it.
    pub name: &'a str,
    /// The address between the angle brackets.
    pub email: &'a str,
}

impl<'a> Maintainer<'a> {
    /// Read `Name <user@host>`.
    ///
    /// # Errors
    /// A sentence on what was found.
    pub fn parse(text: &'a str) -> Result<Maintainer<'a>, String> {
        let parts = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
        let (name, email) = parts.ok_or_else(|| format!("{text:?}, wanted Name <user@host>"))?;
        let name = name.trim().trim_matches('"');
        let (user, host) = email.split_once('@').unwrap_or_default();
        let blank = |text: &str| text.contains(char::is_whitespace);
        if name.is_empty() || user.is_empty() || host.is_empty() || blank(email) {
            return Err(format!("{text:?}, wanted Name <user@host>"));
        }
        Ok(Maintainer { name, email })
    }
}

/// Values by facet, both in the order in which they come.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Tags<'a> {
    /// Read a list such as `role::program, interface::x11`.
    ///
    /// # Errors
    /// A sentence on the first tag without `::`.
    pub fn parse(text: &'a str) -> Result<Tags<'a>, String> {
        let mut facets: Vec<(&str, Vec<&str>)> = Vec::new();
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let parts = tag.split_once("::");
            let (facet, value) = parts.ok_or_else(|| format!("tag {tag:?}, wanted facet::value"))?;
            match facets.iter_mut().find(|(known, _)| *known == facet) {
                Some((_, values)) => values.push(value),
                None => facets.push((facet, vec![value])),
            }
        }
        Ok(Tags(facets))
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(facet, values)| (facet, values)))
    }
}

/// The area of the archive that a section names, and the section without it.
pub fn area(section: &str) -> (&str, &str) {
    section.split_once('/').unwrap_or(("main", section))
}

/// Summary and text of a description. Lines of the text lose the space they
/// are folded with; one that is only a dot is an empty line.
pub fn description(text: &str) -> (&str, Option<String>) {
    let (summary, text) = text.split_once('\n').unwrap_or((text, ""));
    let lines = text.lines().map(|line| line.strip_prefix([' ', '\t']).unwrap_or(line));
    let lines: Vec<&str> = lines.map(|line| if line.trim() == "." { "" } else { line.trim_end() }).collect();
    let text = lines.join("\n").trim_end().to_owned();
    (summary.trim_end(), Some(text).filter(|text| !text.is_empty()))
}

/// The source package that `Source` names, with its version where that
/// differs from the binary's.
pub fn source(text: &str) -> (&str, Option<&str>) {
    match text.split_once('(') {
        Some((name, version)) => (name.trim_end(), Some(version.trim_end_matches(')').trim())),
        None => (text, None),
    }
}

/// A value on one line: folded lines are joined by single spaces.
pub fn unfolded(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintainers() {
        let parts = |text| {
            let one = Maintainer::parse(text).unwrap();
            (one.name, one.email)
        };
        assert_eq!(parts("A B <a@b.org>"), ("A B", "a@b.org"));
        assert_eq!(parts("\"B, A\" <a@b>"), ("B, A", "a@b"));
        for text in ["", "A B", "a@b", "A <>", "A <a>", "<a@b>", "A <a@b> x", "A <a b@c>"] {
            assert!(Maintainer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_gather_by_facet() {
        let tags = Tags::parse("game::strategy, role::program,\n game::x, ").unwrap();
        assert_eq!(serde_json::to_string(&tags).unwrap(), r#"{"game":["strategy","x"],"role":["program"]}"#);
        assert!(Tags::parse("bare").is_err());
    }

    #[test]
    fn areas_sources_and_descriptions() {
        assert_eq!(area("games"), ("main", "games"));
        assert_eq!(area("non-free-firmware/kernel"), ("non-free-firmware", "kernel"));
        assert_eq!(source("gcc-12 (12.2.0-14)"), ("gcc-12", Some("12.2.0-14")));
        assert_eq!(source("gcc-12"), ("gcc-12", None));
        assert_eq!(description("one line"), ("one line", None));
        assert_eq!(description("short\n first\n .\n  verbatim"), ("short", Some("first\n\n verbatim".to_owned())));
    }
}
