//! An entry of the index, read from its control fields, in the shape in which
//! it is stored.

use crate::control::Control;
use crate::problem::Problem;
use crate::relation::{self, Relation};
use crate::text::{Maintainer, Tags, area, description, source, unfolded};
use crate::version::{Version, check_architecture, check_name};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

type Groups<'a> = Vec<Vec<Relation<'a>>>;

/// One package of the index. The members are written in this order; lists are
/// always there, other members only where the index has them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Entry<'a> {
    package: &'a str,
    version: &'a str,
    #[serde(flatten)]
    parts: Version<'a>,
    architecture: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    area: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'a str>,
    maintainer: Maintainer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    installed_size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_size_bytes: Option<u64>,
    tags: Tags<'a>,
    depends: Groups<'a>,
    pre_depends: Groups<'a>,
    recommends: Groups<'a>,
    suggests: Groups<'a>,
    conflicts: Groups<'a>,
    breaks: Groups<'a>,
    replaces: Groups<'a>,
    provides: Groups<'a>,
    enhances: Groups<'a>,
    source: &'a str,
    source_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_arch: Option<&'a str>,
    essential: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Others::is_empty")]
    other: Others<'a>,
}

/// The fields that have a member of their own.
const KNOWN: [&str; 25] = [
    "Package",
    "Version",
    "Architecture",
    "Section",
    "Priority",
    "Maintainer",
    "Installed-Size",
    "Size",
    "Tag",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
    "Enhances",
    "Source",
    "Homepage",
    "Description",
    "Multi-Arch",
    "Essential",
    "SHA256",
    "Filename",
];

/// Fields without a member of their own, as they are, on one line each.
#[derive(Debug)]
struct Others<'a>(Vec<(&'a str, Cow<'a, str>)>);

/// Judge the item `body`: the problems of all its fields, none for a good one.
pub fn judge(body: &str) -> Vec<Problem> {
    match Control::parse(body) {
        Ok(control) => Entry::read(&control).err().unwrap_or_default(),
        Err(problem) => vec![problem],
    }
}

/// The item `body` in the shape in which it is stored, as compact JSON.
///
/// # Errors
/// The first problem of the item.
pub fn normalise(body: &str) -> Result<String, Problem> {
    let control = Control::parse(body)?;
    match Entry::read(&control) {
        Ok(entry) => Ok(serde_json::to_string(&entry).expect("an entry has text for keys only")),
        Err(problems) => Err(problems.into_iter().next().expect("a failed reading says why")),
    }
}

impl<'a> Entry<'a> {
    /// Read the control fields of one package.
    ///
    /// # Errors
    /// Every field that cannot be read, and every one that is missing though
    /// the Debian Policy Manual asks for it; at least one.
    pub fn read(control: &'a Control) -> Result<Entry<'a>, Vec<Problem>> {
        let mut fields = Reader { control, problems: Vec::new() };
        let package = fields.required("Package", "DEB_PACKAGE", |name| check_name(name).map(|()| name));
        let parts = fields.required("Version", "DEB_VERSION", Version::parse);
        let architecture =
            fields.required("Architecture", "DEB_ARCHITECTURE", |name| check_architecture(name).map(|()| name));
        let maintainer = fields.required("Maintainer", "DEB_MAINTAINER", Maintainer::parse);
        let installed_size_bytes = fields.optional("Installed-Size", "DEB_SIZE", kibibytes);
        let download_size_bytes = fields.optional("Size", "DEB_SIZE", number);
        let tags = fields.optional("Tag", "DEB_TAG", Tags::parse).unwrap_or_default();
        let sha256 = fields.optional("SHA256", "DEB_SHA256", digest);
        let relations = Relations::read(&mut fields);
        let (Some(package), Some(parts), Some(architecture), Some(maintainer), []) =
            (package, parts, architecture, maintainer, &fields.problems[..])
        else {
            return Err(fields.problems);
        };

        let version = control.get("Version").unwrap_or_default();
        let section = control.get("Section").map(area);
        let (source, source_version) = control.get("Source").map_or((package, None), source);
        let about = control.get("Description").map(description);
        let (summary, description) = about.unzip();
        Ok(Entry {
            package,
            version,
            parts,
            architecture,
            section: section.map(|(_, section)| section),
            area: section.map(|(area, _)| area),
            priority: control.get("Priority"),
            maintainer,
            installed_size_bytes,
            download_size_bytes,
            tags,
            depends: relations.depends,
            pre_depends: relations.pre_depends,
            recommends: relations.recommends,
            suggests: relations.suggests,
            conflicts: relations.conflicts,
            breaks: relations.breaks,
            replaces: relations.replaces,
            provides: relations.provides,
            enhances: relations.enhances,
            source,
            source_version: source_version.unwrap_or(version),
            homepage: control.get("Homepage"),
            summary,
            description: description.flatten(),
            multi_arch: control.get("Multi-Arch"),
            essential: control.get("Essential") == Some("yes"),
            sha256,
            filename: control.get("Filename"),
            other: Others::of(control),
        })
    }
}

struct Relations<'a> {
    depends: Groups<'a>,
    pre_depends: Groups<'a>,
    recommends: Groups<'a>,
    suggests: Groups<'a>,
    conflicts: Groups<'a>,
    breaks: Groups<'a>,
    replaces: Groups<'a>,
    provides: Groups<'a>,
    enhances: Groups<'a>,
}

impl<'a> Relations<'a> {
    fn read(fields: &mut Reader<'a>) -> Relations<'a> {
        let mut read = |field| {
            let groups = fields.optional(field, "DEB_RELATION", relation::parse);
            groups.unwrap_or_default()
        };
        Relations {
            depends: read("Depends"),
            pre_depends: read("Pre-Depends"),
            recommends: read("Recommends"),
            suggests: read("Suggests"),
            conflicts: read("Conflicts"),
            breaks: read("Breaks"),
            replaces: read("Replaces"),
            provides: read("Provides"),
            enhances: read("Enhances"),
        }
    }
}

/// Reads fields and gathers what is wrong with them.
struct Reader<'a> {
    control: &'a Control<'a>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn required<T>(
        &mut self,
        field: &str,
        code: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        if self.control.get(field).is_none() {
            self.problems.push(Problem::missing(code, field));
        }
        self.optional(field, code, read)
    }

    fn optional<T>(
        &mut self,
        field: &str,
        code: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.control.get(field)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(message) => {
                let problem = Problem::of_value(code, field, text, message);
                self.problems.push(problem);
                None
            }
        }
    }
}

impl<'a> Others<'a> {
    fn of(control: &'a Control) -> Others<'a> {
        let others = control.iter().filter(|(name, _)| !KNOWN.contains(name));
        Others(others.map(|(name, value)| (name, unfolded(value))).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Others<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("{text:?}, wanted a whole number"))
}

/// `Installed-Size` counts units of 1024 bytes.
fn kibibytes(text: &str) -> Result<u64, String> {
    let bytes = number(text)?.checked_mul(1024);
    bytes.ok_or_else(|| format!("{text:?} KiB are too many"))
}

fn digest(text: &str) -> Result<&str, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text)
    } else {
        Err(format!("{text:?}, wanted 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// An entry as `apt-cache dumpavail` prints it, shortened.
    fn item() -> Value {
        json!({
            "Package": "0ad-data-common",
            "Source": "0ad-data",
            "Version": "0.0.26-1",
            "Installed-Size": "2428",
            "Maintainer": "Debian Games Team <pkg-games-devel@lists.alioth.debian.org>",
            "Architecture": "all",
            "Replaces": "0ad-data (<< 0.0.12-1~)",
            "Depends": "fonts-dejavu-core | ttf-dejavu-core, tex-gyre:any",
            "Pre-Depends": "dpkg (>= 1.15.6~)",
            "Description": "Real-time strategy game of ancient warfare (common data files)",
            "Homepage": "https://play0ad.com/",
            "Description-md5": "8d014b839c4c4e9b6f82c7512d7e3496",
            "Tag": "game::strategy, role::app-data,\n role::program",
            "Section": "contrib/games",
            "Priority": "optional",
            "Filename": "pool/main/0/0ad-data/0ad-data-common_0.0.26-1_all.deb",
            "Size": "779908",
            "SHA256": "0a40074c844a304688e503dd0c3f8b04e10e40f6f81b8bad260e07c54aa37864"
        })
    }

    #[test]
    fn an_entry_is_written_in_a_fixed_order_with_numbers_as_numbers() {
        let wanted = concat!(
            r#"{"package":"0ad-data-common","version":"0.0.26-1","epoch":0,"upstream_version":"0.0.26","debian_revision":"1","#,
            r#""architecture":"all","section":"games","area":"contrib","priority":"optional","#,
            r#""maintainer":{"name":"Debian Games Team","email":"pkg-games-devel@lists.alioth.debian.org"},"#,
            r#""installed_size_bytes":2486272,"download_size_bytes":779908,"#,
            r#""tags":{"game":["strategy"],"role":["app-data","program"]},"#,
            r#""depends":[[{"name":"fonts-dejavu-core"},{"name":"ttf-dejavu-core"}],[{"name":"tex-gyre","arch":"any"}]],"#,
            r#""pre_depends":[[{"name":"dpkg","operator":">=","version":"1.15.6~"}]],"recommends":[],"suggests":[],"conflicts":[],"breaks":[],"#,
            r#""replaces":[[{"name":"0ad-data","operator":"<<","version":"0.0.12-1~"}]],"provides":[],"enhances":[],"#,
            r#""source":"0ad-data","source_version":"0.0.26-1","homepage":"https://play0ad.com/","#,
            r#""summary":"Real-time strategy game of ancient warfare (common data files)","essential":false,"#,
            r#""sha256":"0a40074c844a304688e503dd0c3f8b04e10e40f6f81b8bad260e07c54aa37864","#,
            r#""filename":"pool/main/0/0ad-data/0ad-data-common_0.0.26-1_all.deb","#,
            r#""other":{"Description-md5":"8d014b839c4c4e9b6f82c7512d7e3496"}}"#
        );
        assert_eq!(normalise(&item().to_string()).unwrap(), wanted);
        assert_eq!(judge(&item().to_string()), []);
    }

    #[test]
    fn each_field_has_its_code_and_pointer() {
        for (field, value, code) in [
            ("Package", json!("A"), "DEB_PACKAGE"),
            ("Package", json!(""), "DEB_PACKAGE"),
            ("Version", json!("1_0"), "DEB_VERSION"),
            ("Architecture", json!("a b"), "DEB_ARCHITECTURE"),
            ("Maintainer", json!("nobody"), "DEB_MAINTAINER"),
            ("Installed-Size", json!("2.5"), "DEB_SIZE"),
            ("Installed-Size", json!("18446744073709551615"), "DEB_SIZE"),
            ("Size", json!("-1"), "DEB_SIZE"),
            ("Tag", json!("bare"), "DEB_TAG"),
            ("SHA256", json!("0a"), "DEB_SHA256"),
            ("Breaks", json!("x y"), "DEB_RELATION"),
        ] {
            let mut item = item();
            item[field] = value;
            let problems = judge(&item.to_string());
            assert_eq!(problems.len(), 1, "{field}");
            assert_eq!((problems[0].code, problems[0].pointer.as_str()), (code, &*format!("/{field}")));
            assert_eq!(normalise(&item.to_string()).unwrap_err(), problems[0]);
        }
    }

    #[test]
    fn all_problems_are_listed() {
        let codes: Vec<_> = judge(r#"{"Depends":"x y"}"#).iter().map(|p| p.code).collect();
        assert_eq!(codes, ["DEB_PACKAGE", "DEB_VERSION", "DEB_ARCHITECTURE", "DEB_MAINTAINER", "DEB_RELATION"]);
        assert_eq!(judge("[]")[0].code, "DEB_SHAPE");
    }

    #[test]
    fn the_table_of_known_fields_is_complete() {
        let mut item = item();
        for field in KNOWN {
            if item.get(field).is_none() {
                item[field] = json!("aa");
            }
        }
        let text = normalise(&item.to_string()).unwrap();
        let entry: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(entry["other"].as_object().unwrap().len(), 1, "{text}");
    }
}
