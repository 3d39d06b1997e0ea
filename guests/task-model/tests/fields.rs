//! Every rule of a row, from both sides of its limit.

use serde_json::{Value, json};
use task_model::{Code, fields};

/// A create row `a/b` with the members of `more` added or, where null, taken away.
fn row(more: Value) -> Value {
    let mut row = json!({"path": "a/b", "name": "n"});
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

fn found(row: &Value) -> Vec<(Code, String)> {
    let problems = fields::check(&row.to_string());
    problems.into_iter().map(|p| (p.code, p.pointer)).collect()
}

#[track_caller]
fn accepted(row: &Value) {
    assert_eq!(found(row), [], "{row}");
}

#[track_caller]
fn refused(row: &Value, code: Code, pointer: &str) {
    assert_eq!(found(row), [(code, pointer.to_owned())], "{row}");
}

#[test]
fn a_full_task_is_accepted() {
    accepted(&row(json!({
        "type": "MILESTONE", "status": "COMPLETED", "description": "d", "reasoning": "",
        "dependencies": ["a", "x/y"], "planningNotes": ["p"], "progressNotes": [],
        "completionNotes": ["c"], "troubleshootingNotes": ["t"],
        "metadata": {"priority": "low", "tags": ["t"], "own": {"deep": [1, null, true]}},
        "statusMetadata": {"assignee": "x", "completedBy": "x", "blockedBy": ["a"],
            "blockedReason": "x", "verificationStatus": "passed", "completionChecks": ["x"],
            "errorType": "x", "errorDetails": "x", "recoveryAttempts": 0},
        "parentPath": "a", "projectPath": "a", "version": 1, "created": 5, "updated": 5,
        "op": "create", "key": "k"
    })));
}

#[test]
fn path_and_name_are_required() {
    refused(&json!({"path": "a"}), Code::Field, "/name");
    refused(&json!({"name": "n"}), Code::Field, "/path");
    refused(&row(json!({"path": 1})), Code::Field, "/path");
    refused(&row(json!({"path": "a//b"})), Code::Field, "/path");
}

#[test]
fn lengths_count_unicode_scalar_values() {
    accepted(&row(json!({"name": "😀".repeat(200)})));
    refused(&row(json!({"name": "😀".repeat(201)})), Code::Field, "/name");
    refused(&row(json!({"name": ""})), Code::Field, "/name");
    for field in ["description", "reasoning"] {
        accepted(&row(json!({ field: "ä".repeat(2000) })));
        refused(&row(json!({ field: "ä".repeat(2001) })), Code::Field, &format!("/{field}"));
        refused(&row(json!({ field: null })), Code::Field, &format!("/{field}"));
    }
    for field in ["planningNotes", "progressNotes", "completionNotes", "troubleshootingNotes"] {
        accepted(&row(json!({ field: vec!["ä".repeat(2000); 25] })));
        refused(&row(json!({ field: vec!["x"; 26] })), Code::Field, &format!("/{field}"));
        refused(&row(json!({ field: ["x", "ä".repeat(2001)] })), Code::Field, &format!("/{field}/1"));
        refused(&row(json!({ field: [1] })), Code::Field, &format!("/{field}/0"));
        refused(&row(json!({ field: "x" })), Code::Field, &format!("/{field}"));
    }
}

#[test]
fn type_and_status_have_codes_of_their_own() {
    for wrong in [json!("task"), json!(1), Value::Null] {
        refused(&row(json!({ "type": wrong })), Code::Type, "/type");
        refused(&row(json!({ "status": wrong })), Code::Status, "/status");
    }
}

#[test]
fn dependencies_are_legal_paths_without_self_and_repeats() {
    let many: Vec<String> = (0..51).map(|i| format!("d{i}")).collect();
    accepted(&row(json!({"dependencies": many[..50]})));
    refused(&row(json!({ "dependencies": many })), Code::Dependency, "/dependencies");
    refused(&row(json!({"dependencies": ["a/b"]})), Code::Dependency, "/dependencies/0");
    refused(&row(json!({"dependencies": ["x", "y", "x"]})), Code::Dependency, "/dependencies/2");
    refused(&row(json!({"dependencies": ["/x"]})), Code::Dependency, "/dependencies/0");
    refused(&row(json!({"dependencies": [1]})), Code::Dependency, "/dependencies/0");
    refused(&row(json!({"dependencies": {}})), Code::Dependency, "/dependencies");
}

#[test]
fn metadata_is_bounded_at_every_depth() {
    let of_bytes = |bytes: usize| {
        // {"a":["…1000…",…]}: the text is filled up to the wanted length.
        let mut texts = vec!["x".repeat(990); 33];
        let length = json!({ "a": texts }).to_string().len();
        texts[0] = "x".repeat(990 + bytes - length);
        row(json!({ "metadata": { "a": texts } }))
    };
    accepted(&of_bytes(32_768));
    refused(&of_bytes(32_769), Code::Field, "/metadata");
    accepted(&row(json!({"metadata": {"a": [{"b/c": "ä".repeat(1000)}]}})));
    refused(&row(json!({"metadata": {"a": [{"b/c": "ä".repeat(1001)}]}})), Code::Field, "/metadata/a/0/b~1c");
    accepted(&row(json!({"metadata": {"a": vec![0; 100]}})));
    refused(&row(json!({"metadata": {"a": vec![0; 101]}})), Code::Field, "/metadata/a");
    accepted(&row(json!({"metadata": {"tags": vec!["t"; 10]}})));
    refused(&row(json!({"metadata": {"tags": vec!["t"; 11]}})), Code::Field, "/metadata/tags");
    refused(&row(json!({"metadata": {"tags": [1]}})), Code::Field, "/metadata/tags/0");
    refused(&row(json!({"metadata": {"priority": "urgent"}})), Code::Field, "/metadata/priority");
    refused(&row(json!({"metadata": []})), Code::Field, "/metadata");
}

#[test]
fn status_metadata_is_closed() {
    for (field, wrong) in [
        ("assignee", json!(1)),
        ("blockedBy", json!(1)),
        ("completionChecks", json!("x")),
        ("verificationStatus", json!("maybe")),
        ("recoveryAttempts", json!(-1)),
        ("other", json!("x")),
    ] {
        let pointer = format!("/statusMetadata/{field}");
        refused(&row(json!({"statusMetadata": { field: wrong }})), Code::Field, &pointer);
    }
}

#[test]
fn parent_and_project_repeat_the_path() {
    refused(&row(json!({"parentPath": "b"})), Code::Parent, "/parentPath");
    refused(&row(json!({"projectPath": "b"})), Code::Parent, "/projectPath");
    refused(&row(json!({"path": "a", "parentPath": "a"})), Code::Parent, "/parentPath");
    accepted(&row(json!({"path": "a", "parentPath": null, "projectPath": "a"})));
}

#[test]
fn version_and_times_are_whole_numbers_in_order() {
    for wrong in [json!(0), json!(1.5), json!("1")] {
        refused(&row(json!({ "version": wrong })), Code::Field, "/version");
    }
    refused(&row(json!({"created": "2025-01-01"})), Code::Field, "/created");
    refused(&row(json!({"created": 2, "updated": 1})), Code::Field, "/updated");
}

#[test]
fn unknown_fields_are_refused() {
    refused(&row(json!({"notes": []})), Code::Field, "/notes");
    refused(&row(json!({"a~/b": 1})), Code::Field, "/a~0~1b");
}

#[test]
fn each_op_has_its_own_fields() {
    refused(&row(json!({"op": "upsert"})), Code::Field, "/op");
    refused(&row(json!({"mode": "block"})), Code::Field, "/mode");
    refused(&row(json!({"set": {}})), Code::Field, "/set");
    accepted(&json!({"op": "delete", "path": "a", "mode": "cascade", "key": "k"}));
    refused(&json!({"op": "delete", "path": "a", "mode": "all"}), Code::Field, "/mode");
    accepted(&json!({"op": "status", "path": "a", "status": "BLOCKED"}));
    refused(&json!({"op": "status", "path": "a"}), Code::Field, "/status");
    refused(&json!({"op": "update", "path": "a"}), Code::Field, "/set");
    refused(&json!({"op": "update", "path": "a", "set": {}, "name": "n"}), Code::Field, "/name");
    refused(&row(json!({"key": "x".repeat(509)})), Code::Field, "/key");
}

#[test]
fn a_patch_is_judged_field_by_field_and_null_deletes() {
    let update = |set: Value| json!({"op": "update", "path": "a/b", "set": set});
    accepted(&update(json!({"name": "m", "description": null, "metadata": {"tags": null}})));
    refused(&update(json!({"name": null})), Code::Field, "/set/name");
    refused(&update(json!({"path": "a/c"})), Code::Field, "/set/path");
    refused(&update(json!({"key": "k"})), Code::Field, "/set/key");
    refused(&update(json!({"dependencies": ["a/b"]})), Code::Dependency, "/set/dependencies/0");
    refused(&update(json!({"status": "X"})), Code::Status, "/set/status");
    refused(&update(json!({"metadata": {"priority": 1}})), Code::Field, "/set/metadata/priority");
    refused(&update(json!([])), Code::Field, "/set");
}

#[test]
fn all_problems_are_listed_up_to_a_bound() {
    let several = row(json!({"name": "", "type": "x", "status": "y", "notes": 1}));
    assert_eq!(found(&several).len(), 4);
    let endless = row(json!({"dependencies": vec![1; 1000]}));
    assert_eq!(found(&endless).len(), 101);
}

#[test]
fn a_refusal_names_limit_and_finding() {
    let problem = &fields::check(&row(json!({"name": "x".repeat(201)})).to_string())[0];
    assert_eq!(problem.message, "name has 201 characters, wanted 1 to 200");
    assert_eq!(problem.details, [("found", "201".to_owned()), ("limit", "200".to_owned())]);
}
