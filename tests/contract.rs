//! The contract in `wit/`: documented, gated, and the same for the host, the guests and the text.

use std::collections::BTreeSet;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{
    Docs, Function, Interface, ManglingAndAbi, PackageId, Resolve, Stability, Type, TypeDefKind, WorldItem,
};

use crate::harness::{Folder, guest, root};

const INTERFACES: [&str; 7] = ["types", "operation", "validator", "config", "log", "context", "store"];
const WORLDS: [&str; 4] = ["imports", "operation-plugin", "validator-plugin", "dual-plugin"];

fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).expect("the contract parses");
    (resolve, package)
}

fn interface<'a>(resolve: &'a Resolve, package: PackageId, name: &str) -> &'a Interface {
    &resolve.interfaces[resolve.packages[package].interfaces[name]]
}

/// What lacks documentation, or a gate of the present version or an earlier one.
#[derive(Default)]
struct Lacking(Vec<String>);

impl Lacking {
    fn documented(&mut self, what: &str, docs: &Docs) {
        if docs.contents.as_ref().is_none_or(|text| text.trim().is_empty()) {
            self.0.push(format!("{what} has no documentation"));
        }
    }

    fn gated(&mut self, what: &str, stability: &Stability) {
        match stability {
            Stability::Stable { since, .. } if since.major == 0 && since.minor == 1 => {}
            Stability::Stable { since, .. } => self.0.push(format!("{what} is of {since}")),
            _ => self.0.push(format!("{what} has no @since")),
        }
    }

    fn interface(&mut self, resolve: &Resolve, interface: &Interface) {
        let name = interface.name.as_deref().expect("no interface without a name");
        self.documented(name, &interface.docs);
        self.gated(name, &interface.stability);
        for (function, found) in &interface.functions {
            self.documented(&format!("{name}.{function}"), &found.docs);
            self.gated(&format!("{name}.{function}"), &found.stability);
        }
        for (type_name, id) in &interface.types {
            let found = &resolve.types[*id];
            let name = format!("{name}.{type_name}");
            let parts: Vec<(&String, &Docs)> = match &found.kind {
                // What another interface defines is documented there.
                TypeDefKind::Type(Type::Id(_)) => continue,
                TypeDefKind::Record(record) => record.fields.iter().map(|field| (&field.name, &field.docs)).collect(),
                TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| (&case.name, &case.docs)).collect(),
                TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| (&case.name, &case.docs)).collect(),
                _ => Vec::new(),
            };
            self.documented(&name, &found.docs);
            self.gated(&name, &found.stability);
            for (part, docs) in parts {
                self.documented(&format!("{name}.{part}"), docs);
            }
        }
    }
}

#[test]
fn every_item_of_the_contract_is_documented_and_gated() {
    let (resolve, package) = contract();
    let package = &resolve.packages[package];
    assert_eq!(package.name.to_string(), "atlas:batch@0.1.0");
    let found: BTreeSet<&str> = package.interfaces.keys().map(String::as_str).collect();
    assert_eq!(found, BTreeSet::from(INTERFACES));
    let found: BTreeSet<&str> = package.worlds.keys().map(String::as_str).collect();
    assert_eq!(found, BTreeSet::from(WORLDS));
    let mut lacking = Lacking::default();
    for id in package.interfaces.values() {
        lacking.interface(&resolve, &resolve.interfaces[*id]);
    }
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        lacking.documented(name, &world.docs);
        lacking.gated(name, &world.stability);
        for (key, item) in world.imports.iter().chain(&world.exports) {
            lacking.gated(&format!("{name}: {}", resolve.name_world_key(key)), item.stability(&resolve));
        }
    }
    assert!(lacking.0.is_empty(), "{}", lacking.0.join("\n"));
}

#[test]
fn no_world_bears_the_name_of_an_interface() {
    let (resolve, package) = contract();
    let package = &resolve.packages[package];
    let shared: Vec<&String> = package.worlds.keys().filter(|name| package.interfaces.contains_key(*name)).collect();
    assert!(shared.is_empty(), "{shared:?}");
}

#[test]
fn every_file_of_the_contract_holds_its_own_interface_and_is_named_in_its_readme() {
    let readme = std::fs::read_to_string(root().join("wit/README.md")).expect("a README");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("wit")).expect("the contract") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if let Some(stem) = name.strip_suffix(".wit") {
            assert!(readme.contains(&format!("`{name}`")), "{name} is not in wit/README.md");
            files.insert(stem.to_owned());
        }
    }
    let wanted = INTERFACES.iter().chain(&["worlds"]).map(|name| (*name).to_owned()).collect();
    assert_eq!(files, wanted);
}

/// A type as the host writes it: structure alone, names of types left out.
fn describe(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return match ty {
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S64 => "s64",
            Type::F64 => "f64",
            Type::String => "string",
            other => panic!("the contract uses no {other:?}"),
        }
        .to_owned();
    };
    let case = |name: &str, ty: &Option<Type>| match ty {
        Some(ty) => format!("{name}({})", describe(resolve, ty)),
        None => name.to_owned(),
    };
    let joined = |parts: Vec<String>| parts.join(", ");
    match &resolve.types[*id].kind {
        TypeDefKind::Type(ty) => describe(resolve, ty),
        TypeDefKind::List(ty) => format!("list<{}>", describe(resolve, ty)),
        TypeDefKind::Option(ty) => format!("option<{}>", describe(resolve, ty)),
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", joined(tuple.types.iter().map(|ty| describe(resolve, ty)).collect()))
        }
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, describe(resolve, &field.ty)));
            format!("record{{{}}}", joined(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|found| case(&found.name, &found.ty));
            format!("variant{{{}}}", joined(cases.collect()))
        }
        TypeDefKind::Result(result) => format!("{}{}", case("ok", &result.ok), case("err", &result.err)),
        TypeDefKind::Enum(cases) => {
            format!("enum{{{}}}", joined(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        other => panic!("the contract uses no {}", other.as_str()),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<String> = function.params.iter().map(|param| describe(resolve, &param.ty)).collect();
    let result = function.result.as_ref().expect("a result");
    format!("func({}) -> {}", params.join(", "), describe(resolve, result))
}

/// All that a compiled plugin can lean on, a line each: types and functions of interfaces, what worlds export and import.
fn promises(folder: &Path) -> BTreeSet<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).expect("the contract parses");
    let package = &resolve.packages[package];
    let mut promises = BTreeSet::new();
    for (name, id) in &package.interfaces {
        let interface = &resolve.interfaces[*id];
        for (ty, id) in &interface.types {
            promises.insert(format!("{name}.{ty}: {}", describe(&resolve, &Type::Id(*id))));
        }
        for (function, found) in &interface.functions {
            let params: Vec<&str> = found.params.iter().map(|param| param.name.as_str()).collect();
            let result = found.result.as_ref().map(|result| describe(&resolve, result)).unwrap_or_default();
            let types: Vec<String> = found.params.iter().map(|param| describe(&resolve, &param.ty)).collect();
            promises.insert(format!("{name}.{function}: ({}: {}) -> {result}", params.join(", "), types.join(", ")));
        }
    }
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        promises.extend(world.imports.keys().map(|key| format!("{name} imports {}", resolve.name_world_key(key))));
        // All in one line, since one more is a change too: every plugin of the world would have to export it.
        let exports: Vec<String> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
        promises.insert(format!("{name} exports {}", exports.join(", ")));
    }
    promises
}

#[test]
fn what_a_frozen_version_has_is_there_unchanged() {
    let present = promises(&root().join("wit"));
    let mut versions = 0;
    for entry in std::fs::read_dir(root().join("wit/frozen")).expect("frozen versions") {
        let folder = entry.expect("an entry").path();
        let gone: Vec<String> = promises(&folder).difference(&present).cloned().collect();
        assert!(gone.is_empty(), "not as in {}:\n{}", folder.display(), gone.join("\n"));
        versions += 1;
    }
    assert!(versions > 0, "no version is frozen");
}

/// A component of this world that imports all that it may, and whose functions trap.
fn dummy(resolve: &Resolve, package: PackageId, world: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).expect("a world of the contract");
    let mut module = dummy_module(resolve, world, ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("metadata fits");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .expect("a component")
}

#[test]
fn a_plugin_that_imports_all_of_the_contract_starts_and_is_called() {
    let (resolve, package) = contract();
    for (world, flags, codes) in [
        ("operation-plugin", &["--plugin", "p.wasm"][..], "GUEST_10001"),
        ("validator-plugin", &["--validator", "p.wasm"], "BATCH_8004"),
        ("dual-plugin", &["--plugin", "p.wasm", "--validator", "p.wasm"], "BATCH_8004"),
    ] {
        let folder = Folder::new();
        folder.write("p.wasm", dummy(&resolve, package, world));
        folder.write("items.ndjson", "{}\n");
        let inspected = folder.atlas(["inspect", "p.wasm", "--output", "json"]).run().exits(0).json();
        let imports: BTreeSet<&str> = inspected["imports"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|import| {
                assert_eq!(import["status"], "offered", "{world}: {import}");
                import["name"].as_str().expect("a name")
            })
            .collect();
        for name in ["config", "context", "log", "store"] {
            assert!(
                imports.contains(format!("atlas:batch/{name}@0.1.0").as_str()),
                "{world} lacks {name}: {imports:?}"
            );
        }
        // Starting it links every function of every import against the host's types; calling it checks those of the export.
        folder.atlas([&["run", "-q", "--input", "items.ndjson"][..], flags].concat()).run().exits(3);
        let letters = folder.atlas(["dead-letters", "list", "--output", "json"]).run().exits(0).json_lines();
        assert_eq!(letters[0]["code"], codes, "{world}: {letters:?}");
        assert!(letters[0]["message"].as_str().expect("a message").contains("trap"), "{world}: {letters:?}");
    }
}

#[test]
fn what_the_host_says_it_wants_is_what_the_contract_says() {
    let (resolve, package) = contract();
    for (name, function, flag) in [("operation", "apply", "--plugin"), ("validator", "validate", "--validator")] {
        let wanted = signature(&resolve, &interface(&resolve, package, name).functions[function]);
        let wit = format!(
            "package atlas:batch@0.1.0;
             interface {name} {{ {function}: func() -> u32; }}
             world plugin {{ export {name}; }}"
        );
        let mut other = Resolve::default();
        let package = other.push_str("other.wit", &wit).expect("the WIT is well-formed");
        let folder = Folder::new();
        folder.write("p.wasm", dummy(&other, package, "plugin"));
        folder.write("items.ndjson", "{}\n");
        let ran = folder.atlas(["run", "-q", "--input", "items.ndjson", flag, "p.wasm"]).run().exits(4);
        let line = ran.stderr.lines().find(|line| line.contains("has another type")).expect("the type is compared");
        let (_, said) = line.split_once("found func() -> u32, wanted ").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(said, wanted, "the host's words for {name} are not those of wit/{name}.wit");
    }
}

/// Rows of the table in the guests' README, as (name, exports, imports).
fn guests() -> Vec<(String, String, String)> {
    let readme = std::fs::read_to_string(root().join("guests/README.md")).expect("a README");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| guest ")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            (cells[0].trim_matches('`').to_owned(), cells[1].to_owned(), cells[2].replace('`', ""))
        })
        .collect()
}

#[test]
fn every_guest_is_what_its_row_in_the_readme_says_and_fits_the_contract() {
    let (resolve, package) = contract();
    let guests = guests();
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("guests"))
        .expect("the guests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("src/plugin.rs").is_file())
        .map(|path| path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned())
        .collect();
    assert_eq!(guests.iter().map(|(name, ..)| name.clone()).collect::<BTreeSet<_>>(), folders);
    for (name, exports, imports) in &guests {
        let file = guest(name);
        let folder = Folder::new();
        let arguments = [Path::new("inspect"), &file, Path::new("--output"), Path::new("json")];
        let inspected = folder.atlas(arguments).run().exits(0).json();
        let fits = (inspected["operation"] == true, inspected["validator"] == true);
        let (wanted, world) = match exports.as_str() {
            "operation" => ((true, false), "operation-plugin"),
            "validator" => ((false, true), "validator-plugin"),
            "both" => ((true, true), "dual-plugin"),
            other => panic!("{name}: the README says it exports {other}"),
        };
        assert_eq!(fits, wanted, "{name}: {inspected}");
        let mut found = BTreeSet::new();
        for import in inspected["imports"].as_array().expect("a list") {
            assert_eq!(import["status"], "offered", "{name}: {import}");
            let import = import["name"].as_str().expect("a name");
            let interface = import.strip_prefix("atlas:batch/").and_then(|rest| rest.strip_suffix("@0.1.0"));
            found.insert(interface.unwrap_or_else(|| panic!("{name} imports {import}")).to_owned());
        }
        // Types are a part of every plugin, and no power.
        found.remove("types");
        let said: BTreeSet<String> = imports.split(", ").filter(|name| *name != "–").map(str::to_owned).collect();
        assert_eq!(found, said, "{name}: imports and what the README says of them");
        let world = resolve.select_world(&[package], Some(world)).expect("a world of the contract");
        let bytes = std::fs::read(&file).expect("a guest");
        wit_component::targets(&resolve, world, &bytes)
            .unwrap_or_else(|error| panic!("{name} was not built with the contract in wit/: {error:#}"));
    }
}

#[test]
fn every_import_of_a_world_is_an_interface_of_the_contract() {
    let (resolve, package) = contract();
    for (name, id) in &resolve.packages[package].worlds {
        for (key, item) in &resolve.worlds[*id].imports {
            let WorldItem::Interface { id, .. } = item else { panic!("{name} imports {key:?}, which is no interface") };
            assert_eq!(resolve.interfaces[*id].package, Some(package), "{name}: {}", resolve.name_world_key(key));
        }
    }
}
