//! Faults within one call: each costs the poisoned item alone, under every strategy, in operations and validators.

use super::component::{Half, Module, POISON, replace, when_poisoned};
use super::{ITEMS, faults_cost_only_their_items, folder, items, run};

/// Makes a module whose poisoned item does `what`, in both halves, and checks its code.
#[track_caller]
fn costs_one_item(what: &str, module: Module<'_>, poison: &str, code: &str) {
    for (half, flag) in [(Half::Operation, "--plugin"), (Half::Validator, "--validator")] {
        let each = when_poisoned(poison);
        let folder = folder(&Module { half, each: &each, ..module }.component(), &items(ITEMS, &[]));
        let flags = [flag, "plugin.wasm", "--deadline", "300ms"];
        faults_cost_only_their_items(&format!("{what} in {half:?}"), &folder, &[(POISON as usize, code)], &flags);
    }
}

#[test]
fn a_trap_costs_one_item() {
    costs_one_item("unreachable", Module::default(), "unreachable", "GUEST_10001");
    let divided = "(i32.store (i32.const 0) (i32.div_u (i32.const 1) (i32.load (i32.const 8188))))";
    costs_one_item("division by zero", Module::default(), divided, "GUEST_10001");
    costs_one_item("out of bounds", Module::default(), "(i32.store (i32.const -4) (i32.const 1))", "GUEST_10001");
}

#[test]
fn an_endless_loop_costs_one_item() {
    costs_one_item("a loop", Module::default(), "(loop $again (br $again))", "GUEST_10002");
}

#[test]
fn recursion_without_end_costs_one_item() {
    let fields = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let module = Module { fields, ..Module::default() };
    costs_one_item("recursion", module, "(drop (call $deep (i32.const 1)))", "GUEST_10004");
}

#[test]
fn taking_all_memory_costs_one_item() {
    let bomb = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    costs_one_item("a memory bomb", Module::default(), bomb, "GUEST_10003");
}

#[test]
fn growing_a_table_beyond_its_bound_costs_one_item() {
    let module = Module { fields: "(table $t 1 funcref)", ..Module::default() };
    let bomb = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 1000000)) (i32.const -1)) (then unreachable))";
    costs_one_item("a table bomb", module, bomb, "GUEST_10003");
}

#[test]
fn growth_that_is_refused_and_borne_costs_nothing() {
    let refused = "(drop (memory.grow (i32.const 30000)))";
    let folder = folder(&Module { each: refused, ..Module::default() }.component(), &items(ITEMS, &[]));
    faults_cost_only_their_items("refused growth", &folder, &[], &["--plugin", "plugin.wasm"]);
}

#[test]
fn growth_that_was_refused_once_does_not_explain_a_later_trap() {
    // The first item asks for too much and bears it; the poisoned one traps for a reason of its own.
    let each = format!(
        "(if (i64.eqz (i64.load (local.get $item))) (then (drop (memory.grow (i32.const 30000))))) {}",
        when_poisoned("unreachable")
    );
    let folder = folder(&Module { each: &each, ..Module::default() }.component(), &items(ITEMS, &[]));
    let flags = ["--plugin", "plugin.wasm", "--lanes", "1"];
    faults_cost_only_their_items("a later trap", &folder, &[(POISON as usize, "GUEST_10001")], &flags);
}

#[test]
fn a_list_of_another_length_costs_one_item() {
    for (what, change) in [("short", "(i32.sub (local.get $count) (i32.const 1))"), ("empty", "(i32.const 0)")] {
        let module =
            Module { end: "(local.set $count (i32.add (local.get $count) (local.get $a)))", ..Module::default() };
        // `$a` becomes the difference to the true length.
        let poison = format!("(local.set $a (i32.sub {change} (local.get $count)))");
        costs_one_item(what, module, &poison, "GUEST_10007");
    }
}

#[test]
fn a_list_without_end_costs_one_item() {
    // The length is read from the answer only, so the loop over the items is not affected.
    let module = Module { end: "(if (local.get $a) (then (local.set $count (i32.const -1))))", ..Module::default() };
    costs_one_item("2^32-1 entries", module, "(local.set $a (i32.const 1))", "GUEST_10006");
    // Within memory, but more than one call may return: 1,400,000 entries of a validator or 381,300 of an operation.
    let module = Module {
        end: "(if (local.get $a) (then (local.set $out (i32.const 8192)) (local.set $count (i32.const 381300))))",
        pages: 257,
        ..Module::default()
    };
    let each = when_poisoned("(local.set $a (i32.const 1))");
    let folder = folder(&Module { each: &each, ..module }.component(), &items(ITEMS, &[]));
    faults_cost_only_their_items(
        "too long a list",
        &folder,
        &[(POISON as usize, "GUEST_10005")],
        &["--plugin", "plugin.wasm"],
    );
}

#[test]
fn a_list_out_of_place_costs_one_item() {
    let aligned = Module { end: "(local.set $out (i32.add (local.get $out) (local.get $a)))", ..Module::default() };
    costs_one_item("a misaligned list", aligned, "(local.set $a (i32.const 1))", "GUEST_10006");
    costs_one_item("a list beyond memory", aligned, "(local.set $a (i32.const 0x7ffffff0))", "GUEST_10006");
    let nowhere = Module { fields: "(global $bad (mut i32) (i32.const 0))", ..Module::default() };
    let module = Module { end: "(if (global.get $bad) (then (return (i32.const 0x7ffffff0))))", ..nowhere };
    costs_one_item("an answer beyond memory", module, "(global.set $bad (i32.const 1))", "GUEST_10006");
    let module = Module { end: "(if (global.get $bad) (then (return (i32.const 17))))", ..nowhere };
    costs_one_item("a misaligned answer", module, "(global.set $bad (i32.const 1))", "GUEST_10006");
}

#[test]
fn a_case_that_does_not_exist_costs_one_item() {
    costs_one_item("case 9", Module::default(), "(i32.store8 (local.get $one) (i32.const 9))", "GUEST_10006");
    costs_one_item("case 255", Module::default(), "(i32.store8 (local.get $one) (i32.const 255))", "GUEST_10006");
}

#[test]
fn changes_without_number_over_one_body_cost_one_item() {
    // `emit` with 500,000 puts that all name the same bytes: little for the guest, much for the host.
    let poison = "(i32.store8 (local.get $one) (i32.const 2)) \
        (i32.store offset=4 (local.get $one) (i32.const 262144)) (i32.store offset=8 (local.get $one) (i32.const 500000))";
    let folder = folder(
        &Module { each: &when_poisoned(poison), pages: 512, ..Module::default() }.component(),
        &items(ITEMS, &[]),
    );
    faults_cost_only_their_items(
        "a flood of changes",
        &folder,
        &[(POISON as usize, "GUEST_10005")],
        &["--plugin", "plugin.wasm"],
    );
}

#[test]
fn a_body_over_the_bound_of_a_call_costs_one_item() {
    let poison = replace("(i32.const 65536)", "(i32.const 17000000)");
    let folder = folder(
        &Module { each: &when_poisoned(&poison), pages: 300, ..Module::default() }.component(),
        &items(ITEMS, &[]),
    );
    faults_cost_only_their_items("17 MB", &folder, &[(POISON as usize, "GUEST_10005")], &["--plugin", "plugin.wasm"]);
}

#[test]
fn a_trap_while_arguments_arrive_costs_one_item() {
    // The body of the poisoned item is the only allocation of this size.
    let body = format!(r#"{{"id":"i-013","x":"{}"}}"#, "x".repeat(5000));
    let bytes = body.len();
    for (what, does, code) in [
        ("trap in realloc", "unreachable", "GUEST_10001"),
        ("loop in realloc", "(loop $again (br $again))", "GUEST_10002"),
        ("realloc beyond memory", "(return (i32.const 0x7ffffff0))", "GUEST_10006"),
    ] {
        let realloc = format!("(if (i32.eq (local.get $bytes) (i32.const {bytes})) (then {does}))");
        let plugin = Module { realloc: &realloc, ..Module::default() }.component();
        let folder = folder(&plugin, &items(ITEMS, &[(POISON as usize, body.clone())]));
        let flags = ["--plugin", "plugin.wasm", "--deadline", "300ms"];
        faults_cost_only_their_items(what, &folder, &[(POISON as usize, code)], &flags);
    }
}

#[test]
fn a_trap_after_a_good_answer_costs_one_item() {
    let fields = "(global $bad (mut i32) (i32.const 0))";
    for (post, code) in [("unreachable", "GUEST_10001"), ("(loop $again (br $again))", "GUEST_10002")] {
        let post = format!("(if (global.get $bad) (then {post}))");
        let module = Module { fields, post: &post, ..Module::default() };
        costs_one_item("post-return", module, "(global.set $bad (i32.const 1))", code);
    }
}

#[test]
fn several_poisoned_items_are_found_each() {
    let each =
        "(if (i32.eqz (i32.rem_u (i32.wrap_i64 (i64.load (local.get $item))) (i32.const 7))) (then unreachable))";
    let folder = folder(&Module { each, ..Module::default() }.component(), &items(ITEMS, &[]));
    let faults: Vec<(usize, &str)> = (0..ITEMS).step_by(7).map(|at| (at, "GUEST_10001")).collect();
    faults_cost_only_their_items("every seventh", &folder, &faults, &["--plugin", "plugin.wasm", "--batch-size", "60"]);
}

#[test]
fn a_plugin_that_always_faults_leaves_every_item_among_the_dead_letters() {
    let folder = folder(&Module { each: "unreachable", ..Module::default() }.component(), &items(ITEMS, &[]));
    let faults: Vec<(usize, &str)> = (0..ITEMS).map(|at| (at, "GUEST_10001")).collect();
    faults_cost_only_their_items("always", &folder, &faults, &["--plugin", "plugin.wasm"]);
}

#[test]
fn a_mended_plugin_stores_what_a_broken_one_lost() {
    let folder =
        folder(&Module { each: &when_poisoned("unreachable"), ..Module::default() }.component(), &items(ITEMS, &[]));
    assert_eq!(run(&folder, "atlas.db", &["--plugin", "plugin.wasm"]).stored.len(), ITEMS - 1);
    folder.write("mended.wasm", Module::default().component());
    folder.atlas(["dead-letters", "retry", "-q", "--plugin", "mended.wasm"]).run().exits(0);
    let rows = folder.atlas(["export"]).run().exits(0).stdout;
    assert_eq!(rows, items(ITEMS, &[]));
}
