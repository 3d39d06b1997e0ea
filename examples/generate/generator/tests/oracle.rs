//! The rules once more, written another way: row by row over parsed JSON,
//! against a map of everything stored. Shares no code with the generator.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Stored,
    Dropped,
    Fields(BTreeSet<String>),
    /// Codes, and the first link that leads nowhere.
    Links(BTreeSet<String>, Option<String>),
    Duplicate,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub milestone: bool,
    pub status: String,
    pub dependencies: Vec<String>,
    pub chain: usize,
    pub children: usize,
}

/// A store that rows are applied to in input order.
#[derive(Debug, Default)]
pub struct Oracle {
    pub tasks: HashMap<String, Task>,
    keys: HashSet<String>,
}

impl Oracle {
    pub fn apply(&mut self, line: &[u8]) -> Verdict {
        let row: Value = serde_json::from_slice(line).expect("every row is JSON");
        let codes = fields(&row);
        if !codes.is_empty() {
            return Verdict::Fields(codes);
        }
        let path = row["path"].as_str().expect("checked");
        let op = row["op"].as_str().unwrap_or("create");
        if op == "create" {
            return self.create(path, &row);
        }
        let Some(task) = self.tasks.get(path).cloned() else {
            return Verdict::Links(BTreeSet::from(["TASK_1001".into()]), Some(path.into()));
        };
        if op == "status" {
            let to = row["status"].as_str().expect("checked");
            let open = task.dependencies.iter().any(|to| self.tasks[to].status != "COMPLETED");
            let broken = [(!may_go(&task.status, to), "TASK_1004"), (to == "COMPLETED" && open, "TASK_1003")];
            let codes: BTreeSet<String> =
                broken.iter().filter(|(broken, _)| *broken).map(|(_, code)| (*code).to_owned()).collect();
            if !codes.is_empty() {
                return Verdict::Links(codes, None);
            }
        }
        if op == "delete" && task.children > 0 {
            return Verdict::Links(BTreeSet::from(["TASK_1008".into()]), None);
        }
        if !self.keys.insert(row["key"].as_str().expect("every mixed row has a key").into()) {
            return Verdict::Dropped;
        }
        match op {
            "status" => {
                self.tasks.get_mut(path).expect("it is there").status = row["status"].as_str().expect("a text").into()
            }
            "delete" => {
                self.tasks.remove(path);
                if let Some((parent, _)) = path.rsplit_once('/') {
                    self.tasks.get_mut(parent).expect("a parent").children -= 1;
                }
                for task in self.tasks.values() {
                    assert!(!task.dependencies.iter().any(|to| to == path), "something depends on deleted {path}");
                }
            }
            _ => {}
        }
        Verdict::Stored
    }

    fn create(&mut self, path: &str, row: &Value) -> Verdict {
        if self.tasks.contains_key(path) {
            return Verdict::Duplicate;
        }
        let mut codes = BTreeSet::new();
        let mut link = None;
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if let Some(parent) = parent {
            match self.tasks.get(parent) {
                None => {
                    codes.insert("TASK_1008".into());
                    link = Some(parent.to_owned());
                }
                Some(task) if !task.milestone || task.children >= 100 => {
                    codes.insert("TASK_1008".into());
                }
                Some(_) => {}
            }
        }
        let dependencies: Vec<String> = texts(&row["dependencies"]);
        let mut chain = 0;
        for to in &dependencies {
            let Some(task) = self.tasks.get(to) else {
                codes.insert("TASK_1003".into());
                link = link.or(Some(to.clone()));
                continue;
            };
            chain = chain.max(task.chain + 1);
            let open = row["status"] == "COMPLETED" && task.status != "COMPLETED";
            if task.status == "CANCELLED" || open || task.chain + 1 > 10 {
                codes.insert("TASK_1003".into());
            }
        }
        if !codes.is_empty() {
            return Verdict::Links(codes, link);
        }
        if let Some(parent) = parent {
            self.tasks.get_mut(parent).expect("checked").children += 1;
        }
        if let Some(key) = row["key"].as_str() {
            assert!(self.keys.insert(key.into()), "key {key} comes again in a create row");
        }
        let milestone = row["type"] == "MILESTONE";
        let status = row["status"].as_str().unwrap_or("PENDING").to_owned();
        self.tasks.insert(path.into(), Task { milestone, status, dependencies, chain, children: 0 });
        Verdict::Stored
    }

    /// Counts as the manifest has them under `stored`.
    pub fn counts(&self) -> [BTreeMap<String, u64>; 3] {
        let mut counts = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for (path, task) in &self.tasks {
            let kind = if task.milestone { "MILESTONE" } else { "TASK" };
            let project = path.split('/').next().expect("a segment");
            for (count, name) in counts.iter_mut().zip([task.status.as_str(), kind, project]) {
                *count.entry(name.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

fn may_go(from: &str, to: &str) -> bool {
    let next = match from {
        "PENDING" => "IN_PROGRESS BLOCKED CANCELLED",
        "IN_PROGRESS" => "COMPLETED BLOCKED CANCELLED",
        "BLOCKED" => "PENDING IN_PROGRESS CANCELLED",
        "CANCELLED" => "PENDING",
        _ => "",
    };
    from == to || next.split(' ').any(|next| next == to)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn chars(value: &Value) -> usize {
    value.as_str().expect("a text").chars().count()
}

pub fn is_path(path: &str) -> bool {
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        (1..=50).contains(&bytes.len())
            && bytes[0].is_ascii_alphabetic()
            && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (1..=255).contains(&path.len()) && path.split('/').count() <= 7 && path.split('/').all(segment)
}

/// The rules that need the item alone; returns the codes of those broken.
pub fn fields(row: &Value) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut check = |holds: bool, code: &str| {
        if !holds {
            codes.insert(code.to_owned());
        }
    };
    let fields = row.as_object().expect("an object");
    let op = row["op"].as_str().unwrap_or("create");
    check(["create", "update", "status", "delete"].contains(&op), "TASK_1002");
    let path = row["path"].as_str().unwrap_or("");
    check(is_path(path), "TASK_1002");
    check(op != "create" || fields.contains_key("name"), "TASK_1002");
    check(op != "status" || fields.contains_key("status"), "TASK_1002");
    let patch = row["set"].as_object().into_iter().flatten();
    for (name, value) in fields.iter().chain(patch) {
        let code = match name.as_str() {
            "type" => "TASK_1006",
            "status" => "TASK_1007",
            "dependencies" => "TASK_1003",
            "parentPath" | "projectPath" => "TASK_1008",
            _ => "TASK_1002",
        };
        let holds = match name.as_str() {
            "path" | "op" | "key" | "set" => true,
            "mode" => value == "block",
            "name" => (1..=200).contains(&chars(value)),
            "type" => value == "TASK" || value == "MILESTONE",
            "status" => {
                ["PENDING", "IN_PROGRESS", "COMPLETED", "BLOCKED", "CANCELLED"].iter().any(|status| value == status)
            }
            "description" | "reasoning" => chars(value) <= 2000,
            "dependencies" => {
                let all = texts(value);
                let once: HashSet<&String> = all.iter().collect();
                all.len() <= 50 && once.len() == all.len() && all.iter().all(|to| is_path(to) && to != path)
            }
            "planningNotes" | "progressNotes" | "completionNotes" | "troubleshootingNotes" => {
                texts(value).len() <= 25 && texts(value).iter().all(|note| note.chars().count() <= 2000)
            }
            "metadata" => is_metadata(value),
            "statusMetadata" => value.is_object(),
            "parentPath" => path.rsplit_once('/').is_some_and(|(parent, _)| value == parent),
            "projectPath" => path.split('/').next().is_some_and(|project| value == project),
            "version" => value.as_u64().is_some_and(|version| version >= 1),
            "created" => value.is_u64(),
            "updated" => value.as_u64() >= row["created"].as_u64(),
            _ => false,
        };
        check(holds, code);
    }
    codes
}

fn is_metadata(metadata: &Value) -> bool {
    fn bounded(value: &Value) -> bool {
        match value {
            Value::String(text) => text.chars().count() <= 1000,
            Value::Array(list) => list.len() <= 100 && list.iter().all(bounded),
            Value::Object(fields) => fields.values().all(bounded),
            _ => true,
        }
    }
    let priority = &metadata["priority"];
    metadata.is_object()
        && metadata.to_string().len() <= 32_768
        && bounded(metadata)
        && metadata["tags"].as_array().is_none_or(|tags| tags.len() <= 10)
        && (priority.is_null() || ["low", "medium", "high"].iter().any(|known| priority == known))
}
