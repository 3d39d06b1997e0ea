//! Where a plugin comes from: a file, or an image in an OCI registry. Text only; nothing is read or fetched here.
//!
//! Source: the grammar of names, tags and digests in the OCI distribution specification 1.1, "Pulling manifests".

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::limits::REGISTRY_NAME_BYTES_MAX;

/// What a reference to a registry begins with.
const SCHEME: &str = "oci://";
/// The tag of a reference that has neither tag nor digest, as everywhere else.
const USUAL_TAG: &str = "latest";
/// Longest tag, in bytes, as the specification has it.
const TAG_BYTES: usize = 128;
const DIGEST_PREFIX: &str = "sha256:";

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of this machine.
    File(PathBuf),
    /// An image in a registry.
    Image(Reference),
}

/// An image in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]`.
///
/// Invariant: it has a tag, a digest, or both; where it has a digest the tag decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    port: Option<u16>,
    repository: String,
    tag: Option<String>,
    digest: Option<Sha256>,
}

/// The SHA-256 of bytes: how registries name what they hold. The host's own digests are BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Location {
    /// What `oci://` begins is an image, everything else a file.
    ///
    /// Errors: CONFIG_3001 for a reference that is malformed.
    pub fn parse(text: impl AsRef<Path>) -> Result<Self> {
        let path = text.as_ref();
        match path.to_str() {
            Some(text) if text.starts_with(SCHEME) => Reference::parse(text).map(Self::Image),
            _ => Ok(Self::File(path.to_owned())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Image(reference) => reference.fmt(f),
        }
    }
}

impl Reference {
    /// Reads a reference. Without tag and digest its tag is `latest`; the host is brought into lower case.
    ///
    /// Errors: CONFIG_3001, naming the text and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| malformed(text, "it does not begin with oci://"))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| malformed(text, "it names no repository"))?;
        if authority.contains('@') {
            // What stands before the @ may be a secret, so that the text is not shown.
            let message = "a reference to an image holds a user name or a password, which are not taken";
            return Err(
                Error::new(Code::ConfigInvalid, message).hint("images are pulled without credentials: remove them")
            );
        }
        let (host, port) = parse_authority(authority).map_err(|why| malformed(text, &why))?;
        let (name, digest) = match path.split_once('@') {
            None => (path, None),
            Some((name, digest)) => {
                let found = Sha256::parse(digest);
                let why = "a digest is `sha256:` and 64 digits or letters from a to f";
                (name, Some(found.ok_or_else(|| malformed(text, why))?))
            }
        };
        let (repository, tag) = match name.split_once(':') {
            None => (name, None),
            Some((repository, tag)) if is_tag(tag) => (repository, Some(tag)),
            Some(_) => {
                let why = "a tag has up to 128 letters, digits, and _ . -, of which . and - do not begin it";
                return Err(malformed(text, why));
            }
        };
        if !repository.split('/').all(is_part_of_repository) {
            let why = "the parts of a repository are lower-case letters and digits, with . _ __ or - between them";
            return Err(malformed(text, why));
        }
        if host.len() + 1 + repository.len() > REGISTRY_NAME_BYTES_MAX {
            let why = format!("host and repository have more than {REGISTRY_NAME_BYTES_MAX} bytes");
            return Err(malformed(text, &why));
        }
        let usual = digest.is_none().then_some(USUAL_TAG);
        let tag = tag.or(usual).map(str::to_owned);
        Ok(Self { host, port, repository: repository.to_owned(), tag, digest })
    }

    /// Host and port, as they are written in a URL.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The last part of the repository, after which a slot is called.
    pub fn stem(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// The tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest that is meant, if it has one.
    pub fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// The same image by this digest of its manifest.
    #[must_use]
    pub fn pinned(&self, manifest: Sha256) -> Self {
        Self { digest: Some(manifest), ..self.clone() }
    }

    /// True if the host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`. It alone is spoken to without TLS.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.authority(), self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl Sha256 {
    /// Digest of these bytes.
    #[cfg(feature = "oci")]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads the text form back; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(DIGEST_PREFIX)?.as_bytes();
        // Upper case is another text for the same digest, and registries refuse it.
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The hex digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGEST_PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// True if a host, as it stands in a URL, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Errors: what is wrong.
fn parse_authority(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.rfind(':') {
        // The colons of an IPv6 address stand in brackets.
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let port = port.map(|text| {
        let number =
            text.parse::<u16>().ok().filter(|port| *port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
        number.ok_or_else(|| format!("{text:?} is no port"))
    });
    let name = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let legal = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.split('.').all(name),
    };
    match legal {
        true => Ok((host.to_ascii_lowercase(), port.transpose()?)),
        false => Err(format!("{host:?} is no host")),
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = text.bytes().next().is_some_and(word);
    first && text.len() <= TAG_BYTES && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_part_of_repository(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(word);
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    ends(text.bytes().next())
        && ends(text.bytes().next_back())
        && text.split(|c: char| u8::try_from(c).is_ok_and(word)).filter(|between| !between.is_empty()).all(separator)
}

fn malformed(text: &str, why: &str) -> Error {
    let message = format!("{text:?} is no reference to an image: {why}");
    Error::new(Code::ConfigInvalid, message).hint("write oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn references_are_read_and_written_in_one_form() {
        let pinned = format!("oci://ghcr.io/acme/tidy:1.2@sha256:{HEX}");
        let by_digest = format!("oci://ghcr.io/acme/tidy@sha256:{HEX}");
        for (text, written, authority, repository, tag, stem) in [
            ("oci://ghcr.io/acme/tidy:1.2", "oci://ghcr.io/acme/tidy:1.2", "ghcr.io", "acme/tidy", Some("1.2"), "tidy"),
            ("oci://Localhost:5000/t", "oci://localhost:5000/t:latest", "localhost:5000", "t", Some("latest"), "t"),
            (
                "oci://[::1]:80/a.b__c--d/e",
                "oci://[::1]:80/a.b__c--d/e:latest",
                "[::1]:80",
                "a.b__c--d/e",
                Some("latest"),
                "e",
            ),
            ("oci://[::1]/a:_", "oci://[::1]/a:_", "[::1]", "a", Some("_"), "a"),
            (&pinned, &pinned, "ghcr.io", "acme/tidy", Some("1.2"), "tidy"),
            (&by_digest, &by_digest, "ghcr.io", "acme/tidy", None, "tidy"),
        ] {
            let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), written);
            assert_eq!((reference.authority().as_str(), reference.repository()), (authority, repository), "{text}");
            assert_eq!((reference.tag(), reference.stem()), (tag, stem), "{text}");
            assert_eq!(reference.digest().is_some(), text.contains('@'), "{text}");
            assert_eq!(Reference::parse(written).unwrap(), reference, "the one form is read as the same");
        }
        let reference = Reference::parse("oci://ghcr.io/acme/tidy:1.2").unwrap();
        assert_eq!(reference.pinned(Sha256::parse(&format!("sha256:{HEX}")).unwrap()).to_string(), pinned);
    }

    #[test]
    fn what_is_malformed_is_refused_with_what_is_wrong() {
        let long = format!("oci://a/{}", "b".repeat(REGISTRY_NAME_BYTES_MAX));
        let tag = format!("oci://a/b:{}", "c".repeat(TAG_BYTES + 1));
        let upper = format!("oci://a/b@sha256:{}", HEX.to_uppercase());
        let short = format!("oci://a/b@sha256:{}", &HEX[1..]);
        for (text, why) in [
            ("oci://", "names no repository"),
            ("oci://ghcr.io", "names no repository"),
            ("oci:///tidy", "is no host"),
            ("oci://a..b/tidy", "is no host"),
            ("oci://-a/tidy", "is no host"),
            ("oci://a b/tidy", "is no host"),
            ("oci://[::g]/tidy", "is no host"),
            ("oci://::1/tidy", "is no host"),
            ("oci://a:/tidy", "is no port"),
            ("oci://a:0/tidy", "is no port"),
            ("oci://a:+1/tidy", "is no port"),
            ("oci://a:65536/tidy", "is no port"),
            ("oci://a/", "parts of a repository"),
            ("oci://a/Tidy", "parts of a repository"),
            ("oci://a//b", "parts of a repository"),
            ("oci://a/b/", "parts of a repository"),
            ("oci://a/../b", "parts of a repository"),
            ("oci://a/b?c", "parts of a repository"),
            ("oci://a/b...c", "parts of a repository"),
            ("oci://a/b.-c", "parts of a repository"),
            ("oci://a/b___c", "parts of a repository"),
            ("oci://a/é", "parts of a repository"),
            ("oci://a/b:", "a tag has"),
            ("oci://a/b:-c", "a tag has"),
            ("oci://a/b:c:d", "a tag has"),
            ("oci://a/b:c/d", "a tag has"),
            ("oci://a/b@", "a digest is"),
            ("oci://a/b@sha512:00", "a digest is"),
            ("https://a/b", "does not begin with oci://"),
            (&upper, "a digest is"),
            (&short, "a digest is"),
            (&tag, "a tag has"),
            (&long, "more than 255 bytes"),
        ] {
            let error = Reference::parse(text).expect_err(text);
            assert_eq!(error.code(), Code::ConfigInvalid, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_reference_are_refused_and_not_shown() {
        let error = Reference::parse("oci://user:secret@ghcr.io/tidy").unwrap_err();
        assert_eq!(error.code(), Code::ConfigInvalid);
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "localhost:1", "LOCALHOST", "127.0.0.1", "127.255.0.9:80", "[::1]", "[0:0::1]:5000"] {
            assert!(Reference::parse(&format!("oci://{host}/a")).unwrap().is_loopback(), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.nip.io", "128.0.0.1", "[::2]", "0.0.0.0", "127.1", "example.org"] {
            assert!(!Reference::parse(&format!("oci://{host}/a")).unwrap().is_loopback(), "{host}");
        }
    }

    #[test]
    fn a_location_is_a_file_unless_it_is_a_reference() {
        for file in ["tidy.wasm", "./oci:/a", "/oci://a/b", "OCI://a/b", "https://a/b"] {
            assert_eq!(Location::parse(file).unwrap(), Location::File(file.into()), "{file}");
        }
        assert!(matches!(Location::parse("oci://a/b").unwrap(), Location::Image(_)));
        Location::parse("oci://a").unwrap_err();
    }

    #[test]
    fn digests_have_one_text() {
        let text = format!("sha256:{HEX}");
        let digest = Sha256::parse(&text).unwrap();
        assert_eq!((digest.to_string(), digest.short().as_str()), (text, "ba7816bf8f01"));
        // The digest of "abc", an example of FIPS 180-4.
        #[cfg(feature = "oci")]
        assert_eq!(Sha256::of(b"abc"), digest);
    }
}
