//! The report of a real run in a real browser: Chromium without a screen, with every name of a host leading nowhere. It is
//! drawn light, dark, narrow and on paper; the pictures are left in `target/browser` for whoever wants to look at them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Folder, guest_arg, root, tickets};

/// Demands the browser: without one the tests of this area fail instead of being left out.
const DEMAND: &str = "ATLAS_TEST_BROWSER";
/// Names under which distributions install it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// Widths at which nothing may stick out: a telephone, a tablet, a screen.
const WIDTHS: [u32; 3] = [400, 760, 1280];

/// The browser's program; none where it is missing, which is told.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found =
        NAMES.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|file| file.is_file());
    if found.is_none() {
        let hint = "as root, run: apt-get install chromium";
        assert!(
            std::env::var_os(DEMAND).is_none_or(|value| value.is_empty()),
            "{DEMAND} is set, and there is no Chromium; {hint}"
        );
        eprintln!("left out: there is no Chromium. hint: {hint}");
    }
    found
}

/// What a call of the browser gave.
struct Seen {
    stdout: String,
    stderr: String,
    /// Addresses that the page asked for, but those of files.
    requests: Vec<String>,
}

/// Opens a page, with a profile of its own and nobody to ask in the network.
fn open(browser: &Path, folder: &Folder, page: &Path, dark: bool, arguments: &[String]) -> Seen {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let log = folder.at("net.json");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-default-apps", "--disable-extensions", "--no-default-browser-check"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--enable-logging=stderr"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--log-net-log={}", log.display()))
        .args(arguments)
        .arg(format!("file:{}", page.display()))
        .env_remove("DISPLAY")
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "the browser failed: {stderr}");
    let requests = requests(&std::fs::read_to_string(&log).expect("the browser's log"));
    Seen { stdout, stderr, requests }
}

/// Addresses that pages asked for, by the browser's log of its network. What the browser asks for itself has no origin.
fn requests(log: &str) -> Vec<String> {
    // A log that was cut short lacks its end only; each event stands on a line.
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim_end_matches(',')).ok());
    let of_page = |event: &Value| event["params"]["initiator"].as_str().is_some_and(|origin| origin != "not an origin");
    let asked = events.filter(of_page).filter_map(|event| event["params"]["url"].as_str().map(str::to_owned));
    asked.filter(|url| !["file:", "data:", "about:"].iter().any(|own| url.starts_with(own))).collect()
}

/// The report of a run that has everything: several lanes, failures, retries, alerts, another plugin's run before it.
fn report(folder: &Folder) -> PathBuf {
    folder.write("tickets.ndjson", tickets(20_000, 25));
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    for _ in 0..2 {
        let arguments = [
            "run",
            "--again",
            "--input",
            "tickets.ndjson",
            "--id",
            "id",
            "--index",
            "status",
            "--validator",
            &rules,
            "--plugin",
            &tidy,
            "--events",
            "events.ndjson",
            "--lanes",
            "1..3",
            "--max-error-share",
            "1%",
            "-q",
            "--max-batch-time",
            "200ms",
        ];
        folder.atlas(arguments).run().exits(3);
    }
    let made = folder.atlas(["runs", "report", "--events", "events.ndjson", "-o", "report.html"]).run();
    made.exits(0);
    folder.at("report.html")
}

/// A page that holds the report in a frame of each width and writes down what it measures.
fn measuring(folder: &Folder) -> PathBuf {
    let frames: String =
        WIDTHS.iter().map(|width| format!("<iframe width={width} height=900 src=report.html></iframe>")).collect();
    let script = "onload = () => { document.body.dataset.found = JSON.stringify([...document.querySelectorAll('iframe')].map(frame => {
        const page = frame.contentDocument, root = page.documentElement;
        const reaches = element => { const scrolls = element.closest('.scroll, .chart, details'); return scrolls ? 0 : element.getBoundingClientRect().right; };
        const all = [...page.querySelectorAll('body *')];
        return {
            width: frame.clientWidth, page: root.scrollWidth, right: Math.max(...all.map(reaches)),
            background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
            dark: frame.contentWindow.matchMedia('(prefers-color-scheme: dark)').matches,
            charts: page.querySelectorAll('svg').length, sections: [...page.querySelectorAll('section')].map(part => part.id),
            small: all.filter(e => e.tagName == 'text' && e.closest('.chart')).filter(e => e.getBoundingClientRect().height > 0 && e.getBoundingClientRect().height < 6).length,
        };
    })); };";
    folder.write("measuring.html", format!("<!DOCTYPE html><body>{frames}<script>{script}</script>"))
}

/// What was written down, by width.
fn measured(browser: &Path, folder: &Folder, dark: bool) -> Vec<Value> {
    let seen = open(browser, folder, &measuring(folder), dark, &["--dump-dom".to_owned()]);
    let found = seen.stdout.split("data-found=\"").nth(1).and_then(|rest| rest.split('"').next());
    let found = found.unwrap_or_else(|| panic!("nothing was measured: {}\n{}", seen.stdout, seen.stderr));
    serde_json::from_str(&found.replace("&quot;", "\"")).expect("JSON")
}

#[test]
fn a_page_that_asks_for_something_is_noticed() {
    let Some(browser) = browser() else { return };
    let folder = Folder::new();
    let page = folder.write("asks.html", "<!DOCTYPE html><link rel=stylesheet href='https://host.invalid/style.css'>");
    let seen = open(&browser, &folder, &page, false, &["--dump-dom".to_owned()]);
    assert_eq!(seen.requests, ["https://host.invalid/style.css"]);
}

#[test]
fn the_report_asks_for_nothing_and_fits_light_dark_narrow_and_on_paper() {
    let Some(browser) = browser() else { return };
    let folder = Folder::new();
    let page = report(&folder);

    let (light, dark) = (measured(&browser, &folder, false), measured(&browser, &folder, true));
    for (found, wanted) in light.iter().chain(&dark).zip(WIDTHS.iter().chain(&WIDTHS)) {
        assert_eq!(found["width"], *wanted);
        assert_eq!(found["page"], *wanted, "the page is wider than its window: {found}");
        let right = found["right"].as_f64().expect("a number");
        assert!(right <= f64::from(*wanted) + 0.5, "something sticks out at {wanted}: {found}");
        assert!(found["charts"].as_u64() > Some(8), "{found}");
        let sections: Vec<&str> =
            found["sections"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let wanted = [
            "",
            "throughput",
            "controller",
            "timeline",
            "latency",
            "time",
            "problems",
            "plugins",
            "history",
            "recommendations",
        ];
        assert_eq!(sections, wanted);
        assert_eq!(found["small"], 0, "letters too small to be read: {found}");
    }
    assert!(light.iter().all(|found| found["dark"] == false) && dark.iter().all(|found| found["dark"] == true));
    assert_ne!(light[0]["background"], dark[0]["background"]);

    let pictures = root().join("target/browser");
    std::fs::create_dir_all(&pictures).expect("a folder for the pictures");
    for (name, dark, width) in [("light", false, 1280), ("dark", true, 1280), ("narrow", false, 500)] {
        let picture = pictures.join(format!("report-{name}.png"));
        let arguments = [format!("--screenshot={}", picture.display()), format!("--window-size={width},5200")];
        let seen = open(&browser, &folder, &page, dark, &arguments);
        assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"), "{}", seen.stderr);
        assert_eq!(seen.requests, [""; 0], "{name}: the page asked for something");
        assert!(!seen.stderr.contains("CONSOLE"), "{name}: {}", seen.stderr);
    }
    let paper = pictures.join("report.pdf");
    let arguments = [format!("--print-to-pdf={}", paper.display()), "--no-pdf-header-footer".to_owned()];
    let seen = open(&browser, &folder, &page, false, &arguments);
    assert_eq!(seen.requests, [""; 0]);
    let bytes = std::fs::read(&paper).expect("a document");
    let text = String::from_utf8_lossy(&bytes);
    let pages = text.matches("/Type /Page\n").count()
        + text.matches("/Type /Page ").count()
        + text.matches("/Type/Page/").count();
    assert!(text.starts_with("%PDF") && (2..=20).contains(&pages), "{pages} pages");
}
