//! A registry on loopback, as far as pulls go: what is asked for by a path is answered as the test has said.
//!
//! It serves one connection after another, each for a bounded time, and ends with the value.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use atlas_host::plugin::Sha256;

/// Requests that it answers before it ends by itself.
const REQUESTS: usize = 1000;
/// A client that neither reads nor writes for this long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub const LAYER: &str = "application/wasm";

/// What a request gets.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The length that is told, where it is another than that of the body; none at all for 0.
    pub told: Option<usize>,
}

/// An image that was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub manifest: String,
    pub layer: String,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    asked: Vec<String>,
    /// What a client has to bring for everything below `/v2/`.
    token: Option<String>,
    /// The first bytes of what was no HTTP.
    other: Vec<u8>,
}

pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("an address");
        let (state, ended) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (shared, over) = (Arc::clone(&state), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().take(REQUESTS) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away in the middle is the client's affair.
                let _ = stream.and_then(|stream| serve(stream, &shared));
            }
        });
        Self { address, state, ended, thread: Some(thread) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `oci://HOST:PORT/NAME`, where the name may have a tag or a digest.
    pub fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    /// What was asked for since the last time, as path, with ` +token` if a token came along.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// First bytes of what came and was no HTTP.
    pub fn other(&self) -> Vec<u8> {
        self.state().other.clone()
    }

    /// Gives nothing without this token, and the token to everybody.
    pub fn wants_token(&self, token: &str) {
        let body = format!(r#"{{"token":"{token}","expires_in":60}}"#).into_bytes();
        self.answers("/token", Answer { status: 200, body, ..Answer::default() });
        self.state().token = Some(token.to_owned());
    }

    pub fn answers(&self, path: &str, answer: Answer) {
        self.state().answers.insert(path.to_owned(), answer);
    }

    /// Changes what is answered to this path.
    #[track_caller]
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Answer)) {
        change(self.state().answers.get_mut(path).unwrap_or_else(|| panic!("nothing is at {path}")));
    }

    /// Puts bytes there; gives their digest.
    pub fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = Sha256::of(bytes).to_string();
        let answer = Answer { status: 200, body: bytes.to_vec(), ..Answer::default() };
        self.answers(&format!("/v2/{repository}/blobs/{digest}"), answer);
        digest
    }

    /// Puts a manifest there, by its digest and this tag; gives the digest.
    pub fn manifest(&self, repository: &str, tag: &str, kind: &str, text: &str) -> String {
        let digest = Sha256::of(text.as_bytes()).to_string();
        let headers = [("Content-Type", kind), ("Docker-Content-Digest", &digest)];
        let headers = headers.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let answer = Answer { status: 200, headers, body: text.into(), told: None };
        for name in [tag, &digest] {
            self.answers(&format!("/v2/{repository}/manifests/{name}"), answer.clone());
        }
        digest
    }

    /// Puts a component there as it is pushed by the usual tools.
    pub fn push(&self, repository: &str, tag: &str, component: &[u8]) -> Pushed {
        let layer = self.blob(repository, component);
        let manifest =
            self.manifest(repository, tag, MANIFEST, &image(CONFIG, &[(LAYER, &layer, component.len() as u64)]));
        Pushed { manifest, layer }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A manifest with these layers: media type, digest, bytes.
pub fn image(config: &str, layers: &[(&str, &str, u64)]) -> String {
    let empty = Sha256::of(b"{}").to_string();
    let layers: Vec<String> = layers.iter().map(|(kind, digest, size)| descriptor(kind, digest, *size, "")).collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        descriptor(config, &empty, 2, ""),
        layers.join(",")
    )
}

/// An index of these manifests: digest, bytes, further members.
pub fn index(images: &[(&str, usize, &str)]) -> String {
    let images: Vec<String> =
        images.iter().map(|(digest, size, more)| descriptor(MANIFEST, digest, *size as u64, more)).collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, images.join(","))
}

fn descriptor(kind: &str, digest: &str, size: u64, more: &str) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}{more}}}"#)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut first = [0];
    if stream.peek(&mut first)? == 1 && first != *b"G" {
        state.lock().unwrap_or_else(PoisonError::into_inner).other.extend(first);
        return Ok(());
    }
    let mut lines = BufReader::new(stream.try_clone()?.take(64 << 10));
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    line.clear();
    let mut token = None;
    while lines.read_line(&mut line)? > 2 {
        if let Some((key, value)) = line.trim().split_once(": ")
            && key.eq_ignore_ascii_case("authorization")
        {
            token = value.strip_prefix("Bearer ").map(str::to_owned);
        }
        line.clear();
    }
    let bare = path.split('?').next().unwrap_or_default();
    let address = stream.local_addr()?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.asked.push(format!("{path}{}", if token.is_some() { " +token" } else { "" }));
    let answer = match (&state.token, state.answers.get(bare)) {
        (Some(wanted), _) if bare.starts_with("/v2/") && token.as_ref() != Some(wanted) => {
            let challenge =
                format!("Bearer realm=\"http://{address}/token\",service=\"test\",scope=\"repository:tidy:pull\"");
            Answer { status: 401, headers: vec![("WWW-Authenticate".into(), challenge)], ..Answer::default() }
        }
        (_, Some(answer)) => answer.clone(),
        (_, None) => {
            let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"nothing is known of it"}]}"#.to_vec();
            Answer { status: 404, body, ..Answer::default() }
        }
    };
    drop(state);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    match answer.told.unwrap_or(answer.body.len()) {
        0 if answer.told.is_some() => {}
        length => head.push_str(&format!("Content-Length: {length}\r\n")),
    }
    for (key, value) in &answer.headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&answer.body)
}
