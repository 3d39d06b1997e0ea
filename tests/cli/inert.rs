//! Settings that can never act: each is told in one line, and everything else goes on.

use super::{numbered, plain_run, words};
use crate::harness::{Folder, Ran, guest, guest_arg};

/// A folder with input and a plugin whose slot is called `identity`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    std::fs::copy(guest("identity"), folder.at("identity.wasm")).expect("a copy");
    folder
}

/// Each of these is told, once, and nothing else of the kind.
#[track_caller]
fn tells(ran: &Ran, lines: &[&str]) {
    assert_eq!(ran.stderr.matches("CONFIG_3004").count(), lines.len(), "{}", ran.stderr);
    for line in lines {
        assert_eq!(ran.stderr.matches(line).count(), 1, "{line}\n{}", ran.stderr);
    }
}

#[test]
fn a_table_that_no_slot_is_called_by_is_told_with_its_line() {
    let folder = folder();
    folder.write(
        "atlas.toml",
        "attempts = 4\n\n[plugins.identiti]\nconfig = { lang = \"en\" }\n\n[plugins.other]\nmemory = \"8MiB\"\n",
    );
    let misspelt =
        "atlas.toml:3: [plugins.identiti] does nothing, since this run has no slot identiti. Did you mean identity?";
    let foreign = "atlas.toml:6: [plugins.other] does nothing, since this run has no slot other.";
    for verb in ["run --again", "validate"] {
        let line = format!("{verb} --input in.ndjson --id id --plugin identity.wasm --output json");
        let ran = words(&folder, &line).exits(0);
        tells(&ran, &[misspelt, foreign]);
        assert!(ran.json().is_object());
    }
    let quiet = words(&folder, "run -qq --again --input in.ndjson --id id --plugin identity.wasm").exits(0);
    assert_eq!(quiet.stderr, "");
    folder.write("atlas.toml", "[plugins.identity]\nconfig = { lang = \"en\" }\n");
    tells(&plain_run(&folder, "--again --plugin identity.wasm").run().exits(0), &[]);
}

#[test]
fn a_table_with_a_source_gives_way_to_a_flag_without_a_word() {
    let folder = folder();
    folder.write("atlas.toml", "[plugins.work]\nsource = \"identity.wasm\"\nrole = \"operation\"\n");
    tells(&plain_run(&folder, "--again").run().exits(0), &[]);
    tells(&plain_run(&folder, "--again --plugin identity.wasm").run().exits(0), &[]);
}

#[test]
fn what_goes_to_all_plugins_and_was_meant_for_one_is_told_with_both_readings() {
    let folder = folder();
    let flags = "--plugin identity.wasm --plugin-config identiti.lang=hush-hush --grant-env dentity=hush-hush";
    let ran = plain_run(&folder, flags).run().exits(0);
    let of_flags = [
        "--plugin-config identiti.… is a setting of every plugin; did you mean identity.…, for slot identity alone?",
        "--grant-env dentity=… is a variable of every plugin; did you mean identity=…, for slot identity alone?",
        "--grant-env does nothing for slot identity, whose plugin does not import wasi:cli/environment.",
    ];
    tells(&ran, &of_flags);
    assert!(!ran.stderr.contains("hush-hush"), "{}", ran.stderr);
    folder.write("atlas.toml", "plugin = \"identity.wasm\"\ngrant-env = [\"identiti=hush-hush\"]\n");
    let ran = plain_run(&folder, "--again").run().exits(0);
    let of_file = [
        "atlas.toml:2: grant-env identiti=… is a variable of every plugin; did you mean identity=…, for slot identity alone?",
        "atlas.toml:2: grant-env does nothing for slot identity, whose plugin does not import wasi:cli/environment.",
    ];
    tells(&ran, &of_file);
    assert!(!ran.stderr.contains("hush-hush"), "{}", ran.stderr);
    std::fs::remove_file(folder.at("atlas.toml")).expect("the file is there");
    for text in ["identity.lang=en", "lang=en", "lang=0.5", "language.of=en", "IDENTITI.of=en"] {
        let flags = format!("--again --plugin identity.wasm --plugin-config {text}");
        tells(&plain_run(&folder, &flags).run().exits(0), &[]);
    }
}

#[test]
fn a_misspelt_variable_is_told_with_the_one_that_was_meant() {
    let folder = folder();
    let ran = plain_run(&folder, "")
        .env("ATLAS_BATCHSIZE", "7")
        .env("ATLAS_HOST", "localhost")
        .env("ATLAS_TOKEN", "hush-hush")
        .run()
        .exits(0);
    tells(&ran, &["ATLAS_BATCHSIZE is no variable of this program and does nothing. Did you mean ATLAS_BATCH_SIZE?"]);
    tells(&plain_run(&folder, "--again").env("ATLAS_LOG", "warn").env("ATLAS_AGAIN", "1").run().exits(0), &[]);
    let ran = folder.atlas(["query", "--count"]).env("ATLAS_STORES", "x").run().exits(0);
    tells(&ran, &["Did you mean ATLAS_STORE?"]);
    assert_eq!(ran.stdout, "3\n");
}

#[test]
fn what_the_strategy_the_input_or_the_plugins_have_no_use_for_is_told() {
    let folder = folder();
    for (flags, line) in [
        (
            "--strategy sequential --lanes 4 --aim latency --max-batch-time 1s",
            "With strategy sequential these do nothing: --aim, --max-batch-time, --lanes.",
        ),
        ("--strategy concurrent --lanes 2 --aim latency", "With strategy concurrent these do nothing: --aim."),
        ("--delimiter ; --no-header", "No input is CSV or TSV, so that these do nothing: --delimiter, --no-header."),
        (
            "--grant-env KEY=value --plugin-config key=value",
            "There is no plugin in this run, so that these do nothing: --grant-env, --plugin-config.",
        ),
        (
            "--plugin identity.wasm --grant-collection others",
            "--grant-collection does nothing for slot identity, whose plugin does not import atlas:batch/store.",
        ),
        (
            "--plugin identity.wasm --plugin b=identity.wasm --grant-collection others --grant-collection more",
            "--grant-collection does nothing: no plugin of this run imports atlas:batch/store.",
        ),
    ] {
        tells(&plain_run(&folder, &format!("--again {flags}")).run().exits(0), &[line]);
        let validated = words(&folder, &format!("validate --input in.ndjson --id id {flags}")).exits(0);
        tells(&validated, &[line]);
    }
    let ran = plain_run(&folder, "--again --strategy sequential").env("ATLAS_LANES", "4").run().exits(0);
    tells(&ran, &["With strategy sequential these do nothing: ATLAS_LANES."]);
    folder.write(
        "atlas.toml",
        "strategy = \"sequential\"\nlanes = \"1..3\"\n\n[plugins.identity]\ngrant-collection = [\"others\"]\n",
    );
    tells(
        &plain_run(&folder, "--again --plugin identity.wasm").run().exits(0),
        &[
            "With strategy sequential these do nothing: atlas.toml:2: lanes.",
            "atlas.toml:4: grant-collection does nothing for slot identity, whose plugin does not import",
        ],
    );
}

#[test]
fn settings_that_act_are_not_told() {
    let folder = folder();
    folder.write("in.csv", "id;n\na;1\n");
    folder.write("words.ndjson", "\"keep\"\n");
    let probe = guest_arg("probe");
    for line in [
        "--input in.ndjson --id id",
        "--input in.ndjson --id id --strategy sequential --lanes 1",
        "--input in.ndjson --id id --strategy concurrent --lanes 2",
        "--input in.ndjson --id id --aim latency --max-batch-time 1s --memory-budget 8GiB --lanes 2",
        "--input in.ndjson --input in.csv --id id --delimiter ;",
        &format!("--input words.ndjson --into words --plugin {probe} --plugin identity.wasm --grant-collection items"),
    ] {
        tells(&words(&folder, &format!("run --again {line}")).exits(0), &[]);
    }
}
