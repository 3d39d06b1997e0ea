//! HTTP to a registry and to where it leads, bounded in bytes, time and redirects.
//!
//! Invariant: plain HTTP goes to loopback only, and only for a registry that is there; a token goes to the registry that it is
//! for and nowhere else. Redirects and the token challenge are followed here and not by the HTTP crate, so that each step is
//! judged. No credentials are read.
//!
//! Source: the OCI distribution specification 1.1, "Pull", and the token authentication of the CNCF Distribution project.

use std::io::Read;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use ureq::http::uri::PathAndQuery;
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::printable;
use crate::plugin::reference::{Reference, is_loopback};

/// What Docker Hub is called by in references, and where it is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The digest that a registry says a manifest has; it need not say so.
const DIGEST_HEADER: &str = "docker-content-digest";
/// What is read of an answer that is an error, in bytes, and what is shown of it, in characters.
const ERROR_BYTES: u64 = 16 << 10;
const ERROR_SHOWN: usize = 200;

/// How far a pull may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For all requests of a pull together.
    pub total: Duration,
    /// For a connection, TLS included.
    pub connect: Duration,
    /// Without a byte.
    pub silence: Duration,
    /// Redirects of one request.
    pub redirects: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            total: limits::REGISTRY_TIME_MAX,
            connect: limits::REGISTRY_CONNECT_TIME_MAX,
            silence: limits::REGISTRY_SILENCE_MAX,
            redirects: limits::REGISTRY_REDIRECTS_MAX,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Below `/v2/REPOSITORY/`.
    pub path: &'a str,
    /// Media types.
    pub accept: &'static str,
    /// The answer has no more.
    pub bytes_max: u64,
    /// A noun for messages.
    pub what: &'static str,
}

/// What came.
pub struct Answer {
    pub bytes: Vec<u8>,
    /// The digest that the registry says it has.
    pub digest: Option<String>,
}

/// One pull's way to a registry.
pub struct Client<'a> {
    agent: Agent,
    reference: &'a Reference,
    base: Uri,
    token: Option<HeaderValue>,
    bounds: Bounds,
    deadline: Instant,
}

impl<'a> Client<'a> {
    /// The time runs from here on. Nothing is sent yet.
    pub fn new(reference: &'a Reference, bounds: Bounds) -> Result<Self> {
        let deadline = Instant::now() + bounds.total;
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("atlas-host/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(bounds.connect))
            .timeout_recv_response(Some(bounds.silence))
            .timeout_per_read(Some(bounds.silence))
            .tls_config(tls);
        let scheme = if reference.is_loopback() {
            // A proxy's loopback is another machine's.
            config = config.proxy(None);
            "http"
        } else {
            "https"
        };
        let authority = match reference.authority() {
            name if name == DOCKER_HUB.0 => DOCKER_HUB.1.to_owned(),
            name => name,
        };
        let base = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        let base = base.map_err(|error| cannot(reference, format!("its host makes no URL ({error})")))?;
        Ok(Self { agent: config.build().into(), reference, base, token: None, bounds, deadline })
    }

    /// Asks the registry.
    ///
    /// Errors: GUEST_10011, naming the reference and what came in place of what is wanted.
    pub fn get(&mut self, wanted: Wanted<'_>) -> Result<Answer> {
        let path = format!("/v2/{}/{}", self.reference.repository(), wanted.path);
        let mut url = with_path(&self.base, &path).ok_or_else(|| self.cannot(format!("{path:?} makes no URL")))?;
        let mut redirects = 0;
        loop {
            let response = self.send(&url, wanted.accept, &[])?;
            match response.status().as_u16() {
                200 => return self.read(response, &wanted),
                401 if self.token.is_none() && self.is_registry(&url) => self.authenticate(&response)?,
                301 | 302 | 303 | 307 | 308 => {
                    redirects += 1;
                    if redirects > self.bounds.redirects {
                        let bound = self.bounds.redirects;
                        return Err(self.cannot(format!("the {} is more than {bound} redirects away", wanted.what)));
                    }
                    url = self.target(&url, &response)?;
                }
                _ => return Err(self.refused(response, &url, wanted.what)),
            }
        }
    }

    fn send(&self, url: &Uri, accept: &str, query: &[(&str, &str)]) -> Result<Response<Body>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.cannot(format!("it takes more than {:?}", self.bounds.total)));
        }
        let mut request = self.agent.get(url).header(ACCEPT, accept);
        for (key, value) in query {
            request = request.query(*key, *value);
        }
        if let (Some(token), true) = (&self.token, self.is_registry(url)) {
            request = request.header(AUTHORIZATION, token);
        }
        let answer = request.config().timeout_global(Some(left)).build().call();
        answer.map_err(|error| {
            let why = format!("{} gives no answer: {}", place(url), printable(&error.to_string()));
            self.cannot(why).hint(match url.scheme_str() {
                Some("http") => "check that the registry is up and that the port is its own",
                _ => "check the name, the network, and that the certificate is of an authority that this system trusts",
            })
        })
    }

    fn is_registry(&self, url: &Uri) -> bool {
        (url.scheme(), url.authority()) == (self.base.scheme(), self.base.authority())
    }

    fn read(&self, response: Response<Body>, wanted: &Wanted<'_>) -> Result<Answer> {
        let digest = response.headers().get(DIGEST_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Wanted { bytes_max, what, .. } = *wanted;
        let too_long = |length: String| {
            self.cannot(format!("the {what} that came has {length} bytes, wanted are {bytes_max} at the most"))
        };
        let told = response.body().content_length();
        if let Some(length) = told.filter(|length| *length > bytes_max) {
            return Err(too_long(length.to_string()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(told.unwrap_or(0)).unwrap_or(0));
        let mut body = response.into_body().into_reader().take(bytes_max + 1);
        body.read_to_end(&mut bytes).map_err(|error| {
            let came = bytes.len();
            self.cannot(format!("the {what} ends after {came} bytes: {}", printable(&error.to_string())))
                .hint("try again")
        })?;
        if bytes.len() as u64 > bytes_max {
            return Err(too_long(format!("more than {bytes_max}")));
        }
        Ok(Answer { bytes, digest })
    }

    /// Where a redirect leads, if it may be followed.
    fn target(&self, from: &Uri, response: &Response<Body>) -> Result<Uri> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let target = match location.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => with_path(from, location),
            _ => location.parse::<Uri>().ok(),
        };
        let target = target.filter(is_whole);
        let target = target.ok_or_else(|| self.cannot(format!("{} redirects to no URL", place(from))))?;
        self.permitted(target)
    }

    /// TLS, or loopback for a registry that is there itself.
    fn permitted(&self, url: Uri) -> Result<Uri> {
        let host = url.host().unwrap_or_default();
        let plain = url.scheme_str() == Some("http") && is_loopback(host) && self.reference.is_loopback();
        let named = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if !named && (plain || url.scheme_str() == Some("https")) {
            return Ok(url);
        }
        Err(self.cannot(format!("the registry leads to {}, which is not taken: wanted is an https URL", place(&url))))
    }

    /// Gets a token that anybody gets, from where the registry says.
    fn authenticate(&mut self, response: &Response<Body>) -> Result<()> {
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = challenges.filter_map(Challenge::parse).next().ok_or_else(|| self.closed(401))?;
        let realm = challenge.realm.parse::<Uri>().ok().filter(is_whole);
        let realm = realm.ok_or_else(|| self.cannot("the registry sends for a token to no URL".to_owned()))?;
        let realm = self.permitted(realm)?;
        let usual = format!("repository:{}:pull", self.reference.repository());
        let mut query = vec![("scope", challenge.scope.as_deref().unwrap_or(&usual))];
        query.extend(challenge.service.as_deref().map(|service| ("service", service)));
        let response = self.send(&realm, "application/json", &query)?;
        match response.status().as_u16() {
            200 => {}
            status @ (401 | 403) => return Err(self.closed(status)),
            _ => return Err(self.refused(response, &realm, "token")),
        }
        let wanted = Wanted { path: "", accept: "", bytes_max: limits::REGISTRY_TOKEN_BYTES_MAX, what: "token" };
        let answer = self.read(response, &wanted)?;
        let token =
            serde_json::from_slice::<Token>(&answer.bytes).ok().and_then(|token| token.token.or(token.access_token));
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        self.token = Some(header.ok_or_else(|| self.cannot(format!("{} gives no token", place(&realm))))?);
        Ok(())
    }

    fn refused(&self, response: Response<Body>, url: &Uri, what: &str) -> Error {
        let status = response.status();
        let mut told = Vec::new();
        // Why it says so is no more than a help: what cannot be read of it is left out.
        let _ = response.into_body().into_reader().take(ERROR_BYTES).read_to_end(&mut told);
        let told = reason(&told).map_or_else(String::new, |reason| format!(": {reason}"));
        let error = |hint: &str| {
            self.cannot(format!("{} answers {} to the request for its {what}{told}", place(url), status.as_u16()))
                .hint(hint)
        };
        match status.as_u16() {
            401 | 403 => self.closed(status.as_u16()),
            404 => error("check the repository, and the tag or digest"),
            429 => error("the registry has had too many requests from here: wait, then try again"),
            500..=599 => error("the registry has trouble: try again later"),
            _ => error("check that this is a registry"),
        }
    }

    /// What wants credentials.
    fn closed(&self, status: u16) -> Error {
        self.cannot(format!("the registry gives it to nobody without credentials (status {status})")).hint(
            "images are pulled anonymously: make it public, or pull it by another tool (`wkg oci pull`, `oras pull`) and give \
             the file",
        )
    }

    /// What cannot be had, and why.
    pub fn cannot(&self, why: String) -> Error {
        cannot(self.reference, why)
    }
}

/// See [`Client::cannot`].
fn cannot(reference: &Reference, why: String) -> Error {
    Error::new(Code::PluginWorld, format!("{reference} cannot be had: {why}")).hint("check the reference")
}

/// True for a URL that leads somewhere from everywhere.
fn is_whole(url: &Uri) -> bool {
    url.scheme().is_some() && url.host().is_some()
}

/// The same host with another path, which may have a query.
fn with_path(url: &Uri, path: &str) -> Option<Uri> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// A URL for people: without its query, which may hold signatures, and without a user.
fn place(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("?");
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    printable(&format!("{scheme}://{}{port}{}", url.host().unwrap_or_default(), url.path())).into_owned()
}

/// The first error of an answer in the form that the specification gives errors.
fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        code: String,
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Errors>(body).ok()?.errors.into_iter().next()?;
    let text = format!("{} {}", first.code, first.message);
    Some(printable(text.trim()).chars().take(ERROR_SHOWN).collect())
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Where a token is to be had: `Bearer realm="…",service="…",scope="…"`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// None if it is of another kind, or malformed.
    fn parse(header: &str) -> Option<Self> {
        let (kind, mut rest) = header.trim().split_once(' ')?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut realm = None;
        let mut challenge = Self::default();
        loop {
            let (key, value, after) = parameter(rest)?;
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => challenge.service = Some(value),
                "scope" => challenge.scope = Some(value),
                _ => {}
            }
            match after.trim_start().strip_prefix(',') {
                Some(more) => rest = more,
                None if after.trim().is_empty() => break,
                None => return None,
            }
        }
        Some(Self { realm: realm?, ..challenge })
    }
}

/// `key="value"` or `key=value`, and what follows it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (key, rest) = text.trim_start().split_once('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
        return Some((key.trim_end(), value.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((key.trim_end(), value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn client(reference: &Reference) -> Client<'_> {
        Client::new(reference, Bounds::default()).unwrap()
    }

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for (text, base) in [
            ("oci://localhost:5000/a", "http://localhost:5000/"),
            ("oci://127.0.0.1/a", "http://127.0.0.1/"),
            ("oci://[::1]:5000/a", "http://[::1]:5000/"),
            ("oci://ghcr.io/a", "https://ghcr.io/"),
            ("oci://10.0.0.1:5000/a", "https://10.0.0.1:5000/"),
            ("oci://docker.io/acme/a", "https://registry-1.docker.io/"),
        ] {
            assert_eq!(client(&Reference::parse(text).unwrap()).base.to_string(), base, "{text}");
        }
    }

    #[test]
    fn a_registry_leads_no_further_than_to_tls_or_from_loopback_to_loopback() {
        let (near, far) =
            (Reference::parse("oci://localhost:1/a").unwrap(), Reference::parse("oci://ghcr.io/a").unwrap());
        let permitted = |reference: &Reference, url: &str| client(reference).permitted(url.parse().unwrap()).is_ok();
        for (url, from_near, from_far) in [
            ("https://cdn.example/x?sig=1", true, true),
            ("http://127.0.0.1:9/x", true, false),
            ("http://[::1]:9/x", true, false),
            ("http://cdn.example/x", false, false),
            ("ftp://localhost/x", false, false),
            ("https://user:word@cdn.example/x", false, false),
        ] {
            assert_eq!((permitted(&near, url), permitted(&far, url)), (from_near, from_far), "{url}");
        }
    }

    #[test]
    fn urls_are_shown_without_what_may_be_secret() {
        let url: Uri = "https://user:word@cdn.example:8/x?signature=1".parse().unwrap();
        assert_eq!(place(&url), "https://cdn.example:8/x");
    }

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let challenge = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) })
        };
        for (header, wanted) in [
            (
                r#"Bearer realm="https://a/t",service="s",scope="repository:a:pull,push""#,
                challenge("https://a/t", Some("s"), Some("repository:a:pull,push")),
            ),
            (r#"bearer  realm=https://a/t , error="x\"y""#, challenge("https://a/t", None, None)),
            (r#"Bearer service="s", realm="a\"b""#, challenge("a\"b", Some("s"), None)),
            (r#"Basic realm="a""#, None),
            (r#"Bearer service="s""#, None),
            (r#"Bearer realm="a"#, None),
            (r#"Bearer realm="a" x"#, None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), wanted, "{header}");
        }
    }

    #[test]
    fn the_reason_of_a_registry_is_shown_short() {
        assert_eq!(
            reason(br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no\u001b"}]}"#).unwrap(),
            "NAME_UNKNOWN no\\u{1b}"
        );
        assert_eq!(reason(br#"{"errors":[]}"#), None);
        assert_eq!(reason(b"<html>"), None);
        let long = format!(r#"{{"errors":[{{"code":"X","message":"{}"}}]}}"#, "é".repeat(5000));
        assert_eq!(reason(long.as_bytes()).unwrap().chars().count(), ERROR_SHOWN);
    }

    /// The bounds are those of the operating system's clock: what is measured is only that an end comes, by the one bound that
    /// is short.
    #[test]
    fn a_registry_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reference = Reference::parse(&format!("oci://{}/a", listener.local_addr().unwrap())).unwrap();
        let (short, long) = (Duration::from_millis(50), Duration::from_secs(600));
        for (total, silence) in [(short, long), (long, short)] {
            let bounds = Bounds { total, silence, ..Bounds::default() };
            let mut client = Client::new(&reference, bounds).unwrap();
            let wanted = Wanted { path: "manifests/b", accept: "*/*", bytes_max: 1, what: "manifest" };
            let error = client.get(wanted).map(|answer| answer.bytes).unwrap_err();
            assert_eq!(error.code(), Code::PluginWorld);
            assert!(error.to_string().contains("timeout"), "{error}");
        }
    }
}
