//! Plugins that are let go, and those that are not what was kept.

use super::*;
use crate::error::Code;

fn plugin(text: &str) -> PluginRow {
    PluginRow {
        slot: "clean".to_owned(),
        role: "operation".to_owned(),
        name: text.to_owned(),
        digest: Some(Digest::of(text.as_bytes())),
        bytes: Some(text.as_bytes().into()),
    }
}

/// A run into `collection` with this plugin, which takes this step, and ends well.
fn ran(writer: &mut Writer, collection: &str, text: &str, step: Option<&str>) {
    run_over(writer, collection, text, step, r#"[{"path":"in.ndjson"}]"#);
}

fn run_over(writer: &mut Writer, collection: &str, text: &str, step: Option<&str>, inputs: &str) {
    let begin = RunStart {
        collection: name(collection),
        plugins: vec![plugin(text)],
        inputs_json: inputs.to_owned(),
        ..start("job")
    };
    let run = writer.begin_run(&begin).unwrap();
    let step = step.map(|step| SwapRow {
        slot: "clean".to_owned(),
        step: step.to_owned(),
        source: "watch".to_owned(),
        name: text.to_owned(),
        old_digest: None,
        new_digest: Digest::of(text.as_bytes()),
        batch: None,
        at_ms: 0,
        ok: true,
        code: None,
        reason: String::new(),
        figures_json: None,
    });
    writer.note_swaps(&run, step.as_slice()).unwrap();
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
}

/// Names of the plugins that nobody needs, where no run is recent.
fn unneeded(writer: &mut Writer) -> Vec<String> {
    writer.forget_plugins(0, false).unwrap().into_iter().map(|plugin| plugin.name).collect()
}

#[test]
fn the_last_two_plugins_of_a_slot_stay_in_each_collection() {
    let place = place();
    let mut writer = place.writer();
    for collection in ["items", "other"] {
        writer.declare(&[], &[], &name(collection)).unwrap();
    }
    for (collection, text) in [("items", "v0"), ("items", "v1"), ("items", "v2"), ("other", "w1"), ("other", "w2")] {
        ran(&mut writer, collection, text, None);
    }
    assert_eq!(unneeded(&mut writer), ["v0"]);
}

#[test]
fn what_was_put_back_or_tried_with_dead_letters_alone_is_none_of_the_last_two() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[], &[], &name("items")).unwrap();
    ran(&mut writer, "items", "v0", None);
    ran(&mut writer, "items", "v1", None);
    ran(&mut writer, "items", "v2", Some("settled"));
    ran(&mut writer, "items", "v3", Some("put-back"));
    run_over(&mut writer, "items", "v4", None, r#"[{"path":"dead letters of run 1"}]"#);
    assert_eq!(unneeded(&mut writer), ["v0", "v3", "v4"]);
    ran(&mut writer, "items", "v3", Some("settled"));
    assert_eq!(unneeded(&mut writer), ["v0", "v1", "v4"], "it stayed at last");
}

#[test]
fn the_plugin_that_made_a_row_stays_however_many_collections_there_are() {
    let place = place();
    let mut writer = place.writer();
    // More than one statement of SQLite can ask for.
    let names: Vec<Name> = (0..510).map(|n| name(&format!("c{n}"))).collect();
    writer.declare(&names, &[], &name("items")).unwrap();
    let run = writer.begin_run(&RunStart { plugins: vec![plugin("v1")], ..start("job") }).unwrap();
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    for text in ["v2", "v3", "v4"] {
        ran(&mut writer, "items", text, None);
    }
    assert_eq!(unneeded(&mut writer), ["v2"]);
}

#[test]
fn bytes_that_are_other_ones_by_now_are_not_given_and_a_run_with_the_right_ones_mends_them() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[], &[], &name("items")).unwrap();
    ran(&mut writer, "items", "v1", None);
    let digest = Digest::of(b"v1");
    let bytes = || place.reader().plugin_bytes(&digest);
    for damage in ["x'7632'", "x''"] {
        place.raw().execute(&format!("UPDATE atlas_plugins SET bytes = {damage}"), []).unwrap();
        let error = bytes().unwrap_err();
        assert_eq!(error.code(), Code::StorageGeneral);
        assert!(error.to_string().contains(&digest.to_string()) && error.hint_text().contains("plugins verify"));
        ran(&mut writer, "items", "v1", None);
        assert_eq!(bytes().unwrap().as_deref(), Some(b"v1".as_slice()));
    }
    // A run that does not have them takes nothing away.
    let without = PluginRow { bytes: None, ..plugin("v1") };
    writer.begin_run(&RunStart { plugins: vec![without], ..start("job") }).unwrap();
    assert_eq!(bytes().unwrap().as_deref(), Some(b"v1".as_slice()));
}
