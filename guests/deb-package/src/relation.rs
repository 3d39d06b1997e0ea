//! Relations to other packages (Debian Policy Manual, section 7.1).

use crate::version::{Version, check_architecture, check_name};
use serde::Serialize;

/// One package that a relation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Relation<'a> {
    /// Name of the package, real or virtual.
    pub name: &'a str,
    /// Architecture it has to be of, such as `any` or `amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<&'a str>,
    /// `<<`, `<=`, `=`, `>=` or `>>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<&'a str>,
    /// The version that the operator compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
}

const OPERATORS: [&str; 5] = ["<<", "<=", "=", ">=", ">>"];

/// Read a list such as `a (>= 1), b:any | c`: groups, of which each is
/// fulfilled by any one of its alternatives. An empty text is an empty list.
///
/// # Errors
/// A sentence on the first relation that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Vec<Relation<'_>>>, String> {
    // A comma at the end is tolerated, as dpkg does.
    let text = text.trim().trim_end_matches(',');
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|group| group.split('|').map(|one| parse_one(one.trim())).collect()).collect()
}

fn parse_one(text: &str) -> Result<Relation<'_>, String> {
    let wrong = |why: String| format!("relation {text:?}: {why}");
    let (package, bound) = match text.split_once('(') {
        None => (text, None),
        Some((package, bound)) => {
            let inner = bound.strip_suffix(')');
            let inner = inner.ok_or_else(|| wrong("wanted ) at its end".to_owned()))?;
            (package.trim_end(), Some(inner.trim()))
        }
    };
    let (name, arch) = match package.split_once(':') {
        None => (package, None),
        Some((name, arch)) => (name, Some(arch)),
    };
    check_name(name).map_err(wrong)?;
    if let Some(arch) = arch {
        check_architecture(arch).map_err(wrong)?;
    }
    let (operator, version) = match bound {
        None => (None, None),
        Some(bound) => {
            let (operator, version) = parse_bound(bound).map_err(wrong)?;
            (Some(operator), Some(version))
        }
    };
    Ok(Relation { name, arch, operator, version })
}

fn parse_bound(bound: &str) -> Result<(&str, &str), String> {
    let marks = bound.bytes().take_while(|byte| b"<=>".contains(byte));
    let (operator, version) = bound.split_at(marks.count());
    if !OPERATORS.contains(&operator) {
        return Err(format!("operator {operator:?}, wanted one of {}", OPERATORS.join(" ")));
    }
    let version = version.trim_start();
    Version::parse(version)?;
    Ok((operator, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_alternatives_architectures_and_bounds() {
        let plain = |name| Relation { name, arch: None, operator: None, version: None };
        let groups = parse("libc6 (>= 2.34), zlib1g (>=1:1.2.0),\n python3:any (<< 3.12) | perl").unwrap();
        let bound =
            |name, operator, version| Relation { operator: Some(operator), version: Some(version), ..plain(name) };
        let python = Relation { arch: Some("any"), ..bound("python3", "<<", "3.12") };
        assert_eq!(
            groups,
            [vec![bound("libc6", ">=", "2.34")], vec![bound("zlib1g", ">=", "1:1.2.0")], vec![python, plain("perl")]]
        );
        assert_eq!(parse(" "), Ok(Vec::new()));
        assert_eq!(parse("perl,").unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in [
            "aa bb",
            "aa (1.0)",
            "aa (> 1)",
            "aa (>= 1",
            "aa (>= )",
            "aa,,bb",
            "aa | ",
            "A",
            "aa:",
            "aa (>= 1_0)",
            "aa (>= 1) bb",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("relation "), "{text}: {error}");
        }
    }
}
