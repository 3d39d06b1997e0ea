//! Names and versions of packages (Debian Policy Manual, sections 5.6.1,
//! 5.6.7 and 5.6.12).

use serde::Serialize;

/// A version in its three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Version<'a> {
    /// 0 where the version names none.
    pub epoch: u32,
    /// The version of the software.
    #[serde(rename = "upstream_version")]
    pub upstream: &'a str,
    /// The version of the packaging; none for a native package.
    #[serde(rename = "debian_revision", skip_serializing_if = "Option::is_none")]
    pub revision: Option<&'a str>,
}

impl<'a> Version<'a> {
    /// Read `[epoch:]upstream[-revision]`.
    ///
    /// # Errors
    /// A sentence on the part that is not legal.
    pub fn parse(text: &'a str) -> Result<Version<'a>, String> {
        let (epoch, rest) = match text.split_once(':') {
            None => (0, text),
            Some((epoch, rest)) => {
                let digits = epoch.bytes().all(|byte| byte.is_ascii_digit());
                let number = epoch.parse().ok().filter(|_| digits);
                (number.ok_or_else(|| format!("epoch {epoch:?}, wanted a whole number"))?, rest)
            }
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, None),
            Some((upstream, revision)) => (upstream, Some(revision)),
        };
        // A hyphen can only be left where another one begins the revision.
        check_part("upstream version", upstream, b".+-~")?;
        if let Some(revision) = revision {
            check_part("revision", revision, b"+.~")?;
        }
        Ok(Version { epoch, upstream, revision })
    }
}

/// Check that `name` is legal for a package: two or more of lower-case
/// letters, digits, `+`, `-`, `.`, beginning with a letter or digit.
///
/// # Errors
/// A sentence on what was found.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| legal(byte) || b"+-.".contains(&byte);
    let bytes = name.as_bytes();
    if bytes.len() >= 2 && legal(bytes[0]) && bytes.iter().all(|byte| rest(*byte)) {
        Ok(())
    } else {
        Err(format!("name {name:?}, wanted two or more of a-z, 0-9, + - . that begin with a letter or digit"))
    }
}

/// Check that `name` is legal for an architecture, such as `amd64`, `all`,
/// `kfreebsd-amd64`.
///
/// # Errors
/// A sentence on what was found.
pub fn check_architecture(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(legal) && !name.starts_with('-') {
        Ok(())
    } else {
        Err(format!("architecture {name:?}, wanted a-z, 0-9 and -"))
    }
}

fn check_part(what: &str, part: &str, marks: &[u8]) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    if !part.is_empty() && part.bytes().all(legal) {
        Ok(())
    } else {
        let marks = marks.escape_ascii();
        Err(format!("{what} {part:?}, wanted letters, digits and any of {marks}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_apart_in_three() {
        let parts = |text| {
            let version = Version::parse(text).unwrap();
            (version.epoch, version.upstream, version.revision)
        };
        assert_eq!(parts("1.0"), (0, "1.0", None));
        assert_eq!(parts("0.0.26-3"), (0, "0.0.26", Some("3")));
        assert_eq!(parts("2:1.2-rc1-0+deb12u1~bpo1"), (2, "1.2-rc1", Some("0+deb12u1~bpo1")));
        assert_eq!(parts("1~~a+b"), (0, "1~~a+b", None));
    }

    #[test]
    fn illegal_versions() {
        for text in
            ["", "-1", "1-", ":1", "a:1", "-1:1", "+1:1", "1:2:3", "1 2", "1_2", "1-a_b", "4294967296:1", "1.0é"]
        {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_packages_and_architectures() {
        for name in ["0ad", "libstdc++6", "g++", "python3.11", "a-"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "a", "A1", "-a", "+a", ".a", "a_b", "a b", "aé"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(check_architecture("kfreebsd-amd64"), Ok(()));
        for name in ["", "-x", "AMD64", "a b"] {
            assert!(check_architecture(name).is_err(), "{name}");
        }
    }
}
