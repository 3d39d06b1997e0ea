use super::*;
use crate::error::Code;

fn filled(place: &Place) -> (Writer, RunHandle) {
    let (mut writer, run) = begun(place, &[index("status", false)]);
    let items = [
        ("b", r#"{"status":"new"}"#),
        ("a", r#"{"status":"new"}"#),
        ("é", r#"{"status":"old"}"#),
        ("Z", "{}"),
        ("c", r#"{"status":null}"#),
    ];
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    (writer, run)
}

fn ids(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|r| r.id.as_str()).collect()
}

#[test]
fn rows_come_by_key_in_the_order_asked() {
    let place = place();
    let (writer, _) = filled(&place);
    let reader = place.reader();
    for store in [&writer as &dyn Lookup, &reader] {
        let found = store.get_many(&name("items"), &["c", "nope", "a", "c"]).unwrap();
        assert_eq!(
            found.iter().map(|r| r.as_ref().map(|r| r.id.as_str())).collect::<Vec<_>>(),
            [Some("c"), None, Some("a"), Some("c")]
        );
        assert_eq!(store.get(&name("items"), "a").unwrap().unwrap().body, r#"{"status":"new"}"#);
        assert_eq!(store.get(&name("items"), "' OR 1=1 --").unwrap(), None);
    }
}

#[test]
fn forty_thousand_ids_in_one_call() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let ids: Vec<String> = (0..40_000).map(|i| format!("{i:05}")).collect();
    let items: Vec<(&str, &str)> = ids.iter().map(|i| (i.as_str(), "{}")).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let found = place.reader().get_many(&name("items"), &asked).unwrap();
    assert!(found.iter().zip(&asked).all(|(row, id)| row.as_ref().is_some_and(|r| r.id == *id)));
}

#[test]
fn an_index_finds_by_value_sorted_by_id_and_in_pages() {
    let place = place();
    let (_writer, _) = filled(&place);
    let reader = place.reader();
    let find = |key: IndexKey, after: Option<&str>, limit| {
        reader.find(&name("items"), &name("status"), &key, after, limit).unwrap()
    };
    let new = || IndexKey::Text("new".to_owned());
    assert_eq!(ids(&find(new(), None, 10)), ["a", "b"]);
    assert_eq!(ids(&find(new(), None, 1)), ["a"]);
    assert_eq!(ids(&find(new(), Some("a"), 10)), ["b"]);
    assert_eq!(ids(&find(IndexKey::Null, None, 10)), ["Z", "c"]);
    assert!(find(IndexKey::Text("NEW".to_owned()), None, 10).is_empty());
}

#[test]
fn a_read_of_an_index_really_uses_it() {
    let place = place();
    let (_writer, _) = filled(&place);
    let mut plan = Vec::new();
    let done = place.reader().sql("EXPLAIN QUERY PLAN SELECT id FROM items WHERE status = 'new'", None, |_, row| {
        plan.push(row.to_vec());
        crate::error::Result::<()>::Ok(())
    });
    done.unwrap();
    assert!(format!("{plan:?}").contains("idx_items_status"), "{plan:?}");
}

#[test]
fn an_index_sees_what_it_says_it_sees() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("v", false)]);
    let cases = [
        (r#"{"v":1}"#, IndexKey::Integer(1)),
        (r#"{"v":true}"#, IndexKey::Integer(1)),
        (r#"{"v":false}"#, IndexKey::Integer(0)),
        (r#"{"v":1.5}"#, IndexKey::Real(1.5)),
        (r#"{"v":18446744073709551617}"#, IndexKey::Real(18446744073709551617.0)),
        (r#"{"v":"1"}"#, IndexKey::Text("1".to_owned())),
        (r#"{"v":"\u00e9"}"#, IndexKey::Text("é".to_owned())),
        (r#"{"v":[1, 2]}"#, IndexKey::Text("[1,2]".to_owned())),
        (r#"{"v":null}"#, IndexKey::Null),
        ("{}", IndexKey::Null),
        ("[]", IndexKey::Null),
        (r#"{"v":"first","v":"second"}"#, IndexKey::Text("first".to_owned())),
    ];
    let named: Vec<String> = (0..cases.len()).map(|i| format!("{i:02}")).collect();
    let items: Vec<(&str, &str)> = named.iter().zip(&cases).map(|(id, (body, _))| (id.as_str(), *body)).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    let (items, v) = (name("items"), name("v"));
    for (id, (body, key)) in named.iter().zip(&cases) {
        assert_eq!(writer.index_key(&items, &v, body).unwrap(), *key, "{body}");
        let found = writer.find(&items, &v, key, None, 100).unwrap();
        assert!(ids(&found).contains(&id.as_str()), "{body}");
    }
    assert_eq!(ids(&writer.find(&items, &v, &IndexKey::Integer(1), None, 100).unwrap()), ["00", "01"]);
    assert_eq!(ids(&writer.find(&items, &v, &IndexKey::Real(1.0), None, 100).unwrap()), ["00", "01"]);
    assert_eq!(writer.index_key(&items, &v, "{").unwrap_err().code(), Code::IndexConstraint);
}

#[test]
fn a_pointer_reaches_what_it_names() {
    let place = place();
    let pointers = [
        ("plain", "/a/b", r#"{"a":{"b":1}}"#),
        ("position", "/list/1", r#"{"list":[0,1]}"#),
        ("dotted", "/a.b", r#"{"a.b":1}"#),
        ("quoted", "/say \"x\"", r#"{"say \"x\"":1}"#),
        ("single", "/it's", r#"{"it's":1}"#),
        ("backslash", "/a\\b", r#"{"a\\b":1}"#),
        ("slash", "/a~1b", r#"{"a/b":1}"#),
        ("tilde", "/a~0b", r#"{"a~b":1}"#),
        ("accent", "/é", r#"{"é":1}"#),
        ("dollar", "/$", r#"{"$":1}"#),
        ("bracket", "/[0]", r#"{"[0]":1}"#),
        ("leading", "/007", r#"{"007":1}"#),
        ("empty", "/", r#"{"":1}"#),
        ("injected", "/x') --", r#"{"x') --":1}"#),
    ];
    let specs: Vec<IndexSpec> =
        pointers.iter().map(|(n, p, _)| IndexSpec { pointer: Pointer::parse(p).unwrap(), ..index(n, false) }).collect();
    let (mut writer, run) = begun(&place, &specs);
    let items: Vec<(&str, &str)> = pointers.iter().map(|(n, _, body)| (*n, *body)).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    for (index, pointer, _) in pointers {
        let found = writer.find(&name("items"), &name(index), &IndexKey::Integer(1), None, 10).unwrap();
        assert_eq!(ids(&found), [index], "{pointer}");
    }
    assert_eq!(place.reader().verify(Level::Full).unwrap(), []);
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let place = place();
    let (_writer, _) = filled(&place);
    let reader = place.reader();
    let error = reader.get(&name("itmes"), "a").unwrap_err();
    assert_eq!((error.code(), error.hint_text()), (Code::ConfigInvalid, "did you mean `items`?"));
    let error = reader.find(&name("items"), &name("state"), &IndexKey::Null, None, 1).unwrap_err();
    assert_eq!((error.code(), error.hint_text()), (Code::IndexNotFound, "did you mean `status`?"));
    assert_eq!(reader.count(&name("something_else")).unwrap_err().hint_text(), "there are: items");
}

#[test]
fn a_reader_sees_what_another_declares_later() {
    let place = place();
    let (mut writer, _) = filled(&place);
    let reader = place.reader();
    writer.declare(&[name("later")], &[index("kind", false)], &name("items")).unwrap();
    assert_eq!(reader.count(&name("later")).unwrap(), 0);
    assert_eq!(reader.find(&name("items"), &name("kind"), &IndexKey::Null, None, 10).unwrap().len(), 5);
    assert_eq!(reader.collections().unwrap(), [name("items"), name("later")]);
}

#[test]
fn export_is_sorted_by_bytes_and_whole_while_a_run_writes() {
    let place = place();
    let (mut writer, run) = filled(&place);
    let reader = place.reader();
    let mut seen = Vec::new();
    let count = reader.export(&name("items"), |id, _| -> crate::error::Result<()> {
        if seen.is_empty() {
            commit(&mut writer, &run, &[kept(1, 5, &[("zz", "{}")])], &replacing());
        }
        seen.push(id.to_owned());
        Ok(())
    });
    assert_eq!(count.unwrap(), 5);
    assert_eq!(seen, ["Z", "a", "b", "c", "é"]);
    assert_eq!(reader.count(&name("items")).unwrap(), 6);
    let stopped = reader.export(&name("items"), |_, _| Err(crate::error::Error::new(Code::OperationFailed, "enough")));
    assert_eq!(stopped.unwrap_err().code(), Code::OperationFailed);
}

#[test]
fn a_reader_on_another_thread_sees_whole_batches_only() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reader = place.reader();
            let mut looks = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) || looks == 0 {
                assert_eq!(reader.count(&name("items")).unwrap() % 10, 0);
                assert_eq!(reader.verify(Level::Quick).unwrap(), []);
                looks += 1;
            }
        });
        for batch in 0..100u64 {
            let ids: Vec<String> = (0..10).map(|i| format!("{batch:03}-{i}")).collect();
            let items: Vec<(&str, &str)> = ids.iter().map(|i| (i.as_str(), "{}")).collect();
            commit(&mut writer, &run, &[kept(batch, batch * 10, &items)], &replacing());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reading.join().unwrap();
    });
    assert_eq!(place.reader().count(&name("items")).unwrap(), 1000);
}

#[test]
fn sql_reads_and_does_nothing_else() {
    let place = place();
    let (_writer, _) = filled(&place);
    let mut reader = place.reader();
    let mut seen = Vec::new();
    let done = reader
        .sql(
            "SELECT id, body ->> '$.status' AS s, 1.5, x'00ff' FROM items ORDER BY id",
            Some(2),
            |columns, row| -> crate::error::Result<()> {
                seen.push((columns.len(), row.to_vec()));
                Ok(())
            },
        )
        .unwrap();
    assert_eq!((done.rows, done.cut, done.columns[1].as_str()), (2, true, "s"));
    assert_eq!(
        seen[1].1,
        [
            SqlValue::Text("a".to_owned()),
            SqlValue::Text("new".to_owned()),
            SqlValue::Real(1.5),
            SqlValue::Blob(vec![0, 255])
        ]
    );

    let other = place.folder.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let into = format!("VACUUM INTO '{}'", other.display());
    let refused = [
        "INSERT INTO items (id, body) VALUES ('x', '1')",
        "DELETE FROM items",
        "UPDATE items SET body = '1' RETURNING id",
        "DROP TABLE items",
        "CREATE TEMP TABLE t (x)",
        "PRAGMA journal_mode = delete",
        "PRAGMA query_only = 0",
        "PRAGMA wal_checkpoint",
        "BEGIN",
        "SELECT load_extension('x')",
        "REINDEX",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "SELECT \"not a column\" FROM items",
        "",
        &attach,
        &into,
    ];
    for sql in refused {
        let error = reader.sql(sql, None, |_, _| crate::error::Result::<()>::Ok(())).unwrap_err();
        assert_eq!(error.code(), Code::ConfigInvalid, "{sql}: {error}");
    }
    assert!(!other.exists());
    for sql in [
        "PRAGMA table_info(items)",
        "SELECT name FROM pragma_index_list('items')",
        "SELECT count(*) FROM atlas_runs",
        "SELECT 1 WHERE 0",
    ] {
        reader.sql(sql, None, |_, _| crate::error::Result::<()>::Ok(())).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    assert_eq!(rows(&reader).len(), 5);
}

#[test]
fn a_copy_taken_during_a_run_opens_and_verifies() {
    let place = place();
    let (mut writer, run) = filled(&place);
    writer.begin().unwrap();
    writer.apply(&run, &[kept(1, 5, &[("zz", "{}")])], &replacing()).unwrap();
    let copy = place.folder.path().join("copy.db");
    place.reader().copy_to(&copy).unwrap();
    writer.commit().unwrap();
    let reader = Reader::open(&copy).unwrap();
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
    assert_eq!(rows(&reader).len(), 5);
    assert_eq!(place.reader().copy_to(&copy).unwrap_err().code(), Code::RecoveryBackup);
}

#[test]
fn runs_are_listed_newest_first_and_found_by_job() {
    let place = place();
    let (mut writer, first) = filled(&place);
    let again = writer.begin_run(&start("job")).unwrap();
    let other = writer.begin_run(&start("other")).unwrap();
    writer.finish_run(&other, &RunEnd { error_json: Some("{}".to_owned()), ..end(RunStatus::Failed) }).unwrap();
    let reader = place.reader();
    let listed: Vec<_> = reader.runs(10).unwrap().iter().map(|r| (r.run, r.job.clone(), r.status)).collect();
    let expected = [
        (other.run, "other", RunStatus::Failed),
        (again.run, "job", RunStatus::Running),
        (first.run, "job", RunStatus::Running),
    ];
    assert_eq!(listed, expected.map(|(r, j, s)| (r, j.to_owned(), s)));
    assert_eq!(reader.last_run_of_job("job").unwrap().unwrap().run, again.run);
    assert_eq!(reader.last_run_of_job("nothing").unwrap(), None);
    let row = reader.run(first.run).unwrap().unwrap();
    assert_eq!(row.identity, [("id".to_owned(), "/id".to_owned())]);
    assert_eq!(
        writer.resume_run(crate::model::RunNumber(99), &start("job")).unwrap_err().code(),
        Code::RecoveryCheckpoint
    );
}

#[test]
fn a_run_that_is_continued_is_known_by_its_present_job_and_by_how_far_it_has_read() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[], &[], &name("items")).unwrap();
    let inputs_json = r#"[{"path":"collection items"}]"#.to_owned();
    let run = writer.begin_run(&RunStart { inputs_json, ..start("job") }).unwrap();
    let mut write = kept(0, 0, &[("a", "1"), ("é", "2")]);
    Arc::get_mut(&mut write.batch).unwrap().place = Some("é".to_owned());
    commit(&mut writer, &run, &[write], &replacing());
    let reader = place.reader();
    let row = reader.run(run.run).unwrap().unwrap();
    assert_eq!(row.inputs_json, r#"[{"path":"collection items","place":"é"}]"#);
    assert!(!row.is_resumable(), "its job is no digest");

    let job = Digest::of(b"elsewhere").to_string();
    writer.resume_run(run.run, &start(&job)).unwrap();
    assert_eq!(reader.last_run_of_job("job").unwrap(), None);
    let row = reader.last_run_of_job(&job).unwrap().unwrap();
    assert_eq!((row.run, row.is_resumable()), (run.run, true));
}

#[test]
fn runs_that_have_changed_a_collection_since_another_one_began_are_told() {
    let place = place();
    let (mut writer, first) = filled(&place);
    let reader = place.reader();
    let since = |run: &RunHandle| -> Vec<u64> {
        let writers = reader.writers_since(run.run, &name("items")).unwrap();
        assert!(writers.iter().all(|(_, inputs_json)| inputs_json == "[]"));
        writers.into_iter().map(|(run, _)| run.0).collect()
    };
    assert_eq!(since(&first), [] as [u64; 0]);
    let mut others = Vec::new();
    for (collection, collections, body) in [
        ("items", "", "0"),
        // What is there already is no change.
        ("items", "", "0"),
        ("edges", "", "1"),
        ("edges", "edges, more_items", "2"),
        ("edges", "edges, items, more_items", "3"),
    ] {
        let identity = vec![("collections".to_owned(), collections.to_owned())];
        let begun = RunStart { collection: name(collection), identity, ..start("other") };
        others.push(writer.begin_run(&begun).unwrap());
        commit(&mut writer, &others[others.len() - 1], &[kept(0, 0, &[("a", body)])], &replacing());
    }
    assert_eq!(since(&first), [others[0].run.0, others[4].run.0]);
    assert_eq!(since(&others[0]), [others[4].run.0]);
    assert_eq!(since(&others[4]), [] as [u64; 0]);
    // One that was interrupted goes on.
    commit(&mut writer, &first, &[kept(1, 5, &[("new", "{}")])], &replacing());
    assert_eq!(since(&others[4]), [first.run.0]);
    // One that had nothing to write is placed by its number.
    let none = writer.begin_run(&start("none")).unwrap();
    assert_eq!(since(&none), [] as [u64; 0]);
    let last = writer.begin_run(&start("last")).unwrap();
    commit(&mut writer, &last, &[kept(0, 0, &[("last", "{}")])], &replacing());
    assert_eq!(since(&none), [last.run.0]);
}

#[test]
fn times_are_integers() {
    let place = place();
    let (mut writer, run) = filled(&place);
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    let raw = place.raw();
    let mut tables = raw.prepare("SELECT m.name, c.name, c.type FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c WHERE c.name LIKE '%\\_ms' ESCAPE '\\'").unwrap();
    let columns: Vec<(String, String, String)> =
        tables.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(Result::unwrap).collect();
    assert!(columns.len() >= 10, "{columns:?}");
    for (table, column, kind) in columns {
        assert_eq!(kind, "INTEGER", "{table}.{column}");
    }
}

#[test]
fn a_search_that_takes_too_long_is_over_the_limit_and_the_connection_goes_on() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("n", false)]);
    let ids: Vec<String> = (0..5000).map(|n| format!("{n:05}")).collect();
    let items: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), r#"{"n":1}"#)).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    let reader = place.reader();
    let (items, n, one) = (name("items"), name("n"), IndexKey::Integer(1));
    for store in [&reader as &dyn Lookup, &writer] {
        // All that match are sorted before the first is given, which takes more than no time.
        let hurried = hurry::within(std::time::Duration::ZERO, || store.find(&items, &n, &one, None, 1));
        let error = hurried.unwrap_err();
        assert_eq!(error.code(), Code::GuestOutput, "{error}");
        assert!(error.to_string().contains("takes longer than"), "{error}");
        assert_eq!(store.find_within((&items, &n), &one, None, 1, 1000).unwrap()[0].id, "00000");
        assert_eq!(store.count_equal(&items, &n, &one, 10_000).unwrap(), 5000);
    }
}

#[test]
fn a_page_of_rows_ends_where_their_bodies_come_to_its_bytes() {
    let place = place();
    let (_writer, _) = filled(&place);
    let reader = place.reader();
    let page = |after: Option<&str>, bytes_max| -> Vec<String> {
        let rows = reader.rows_after(&name("items"), after, 100, bytes_max).unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    let all = page(None, usize::MAX);
    assert_eq!(all, ["Z", "a", "b", "c", "é"]);
    // The first has two bytes.
    assert_eq!(
        (page(None, 0), page(None, 2), page(None, 3)),
        (all[..1].to_vec(), all[..1].to_vec(), all[..2].to_vec())
    );
    let mut found = Vec::new();
    while let [id] = &page(found.last().map(String::as_str), 1)[..] {
        found.push(id.clone());
    }
    assert_eq!(found, all);
}

/// Names of ours may look like theirs, and not all of theirs can refuse anything.
#[test]
fn what_others_have_added_to_a_collection_that_may_refuse_rows_is_found() {
    let (items, checks) = (name("items"), name("checks"));
    for (addition, may_refuse) in [
        ("", false),
        ("CREATE INDEX mine ON items (body, checked)", false),
        ("CREATE UNIQUE INDEX mine ON items (body)", true),
        ("CREATE INDEX mine ON items (abs(checked))", true),
        ("CREATE INDEX mine ON items (id) WHERE abs(checked) > 1", true),
        ("ALTER TABLE items ADD COLUMN mine ANY CHECK (mine IS NULL)", true),
    ] {
        let place = place();
        let mut writer = place.writer();
        let declared = [index("checked", false), index("u", true)];
        writer.declare(std::slice::from_ref(&checks), &declared, &items).unwrap();
        place.raw().execute_batch(addition).unwrap();
        let reader = place.reader();
        assert_eq!(reader.has_rules_of_others(std::slice::from_ref(&items)).unwrap(), may_refuse, "{addition}");
        assert!(!reader.has_rules_of_others(&[checks.clone(), name("nowhere")]).unwrap(), "{addition}");
    }
}
