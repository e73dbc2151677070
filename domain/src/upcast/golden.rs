//! The golden files: one body of every shape that was ever stored, which has to stay readable.
//!
//! ```text
//!  domain/fixtures/MANIFEST                                  what there is, with its SHA-256
//!  domain/fixtures/{aggregate}/{Type}.v{version}.{name}.json     a body as it was stored; for ever
//!  domain/fixtures/{aggregate}/{Type}.v{version}.{name}.now.json what it says today, where that is
//!                                                            something else
//! ```
//! The files of today's version are the samples as they are written now. With `DAYBOOK_NEW_FIXTURES`
//! set, what is missing is written; what was stored once is never written over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::samples::{self, Sample, Samples};

/// How to do what a failed test asks for.
const HOW: &str = "see CONTRIBUTING.md, \"Adding an event\"; new golden files are written by\n  \
    DAYBOOK_NEW_FIXTURES=1 cargo nextest run -p daybook-domain golden::each_event";

#[test]
fn each_event_is_written_as_its_golden_file_says() {
    let mut wrong = Vec::new();
    for aggregate in samples::all() {
        for sample in &aggregate.samples {
            let path = file_of(aggregate.kind, sample);
            let body = line(&sample.body);
            if writing() && !folder().join(&path).exists() {
                store(&path, &body);
            }
            match fs::read_to_string(folder().join(&path)) {
                Ok(stored) if stored == body => {}
                Ok(stored) => wrong.push(changed(&path, &stored, &body)),
                Err(_) => wrong.push(format!("{path} is missing: a new event, version or sample")),
            }
        }
    }
    if writing() {
        write_what_old_ones_say_now();
    }
    assert!(wrong.is_empty(), "{}\n{HOW}", wrong.join("\n"));
}

#[test]
fn every_body_ever_stored_is_read_as_it_should_be() {
    let mut wrong = Vec::new();
    for (path, stored) in fixtures() {
        let (kind, event_type, version) = parse(&path);
        match samples::read(kind, event_type, version, stored.clone()) {
            Err(error) => wrong.push(format!("{path} cannot be read any more: {error}")),
            Ok(now) => wrong.extend(differs(&path, (event_type, version), &stored, now)),
        }
    }
    assert!(wrong.is_empty(), "{}\n{HOW}", wrong.join("\n"));
}

#[test]
fn every_event_of_every_version_has_a_golden_file() {
    let there: BTreeSet<String> = fixtures().into_keys().map(|path| shape_of(&path)).collect();
    for aggregate in samples::all() {
        let older = aggregate.upcasters.iter();
        let older = older.map(|step| (step.event_type, step.from_version));
        for (event_type, version) in aggregate.types.iter().copied().chain(older) {
            let shape = format!("{}/{event_type}.v{version}", aggregate.kind);
            assert!(
                there.contains(&shape),
                "{shape} has no golden file: add a sample to domain/src/upcast/samples/{}.rs, or \
                 restore the file if it was there; {HOW}",
                aggregate.kind
            );
        }
    }
}

#[test]
fn no_golden_file_was_altered_or_removed() {
    let listed = manifest();
    for (path, sha256) in &listed {
        let stored = fs::read(folder().join(path))
            .unwrap_or_else(|error| panic!("{path} is in the MANIFEST, and must stay: {error}"));
        assert_eq!(
            hex::encode(Sha256::digest(stored)),
            *sha256,
            "{path} was altered; what was stored once stays as it is: restore it; {HOW}"
        );
    }
    for path in fixtures().keys() {
        assert!(
            listed.contains_key(path),
            "{path} is not in the MANIFEST; {HOW}"
        );
    }
}

/// A field that no sample has could change its shape unseen.
#[test]
fn the_samples_of_an_event_show_each_field() {
    for Samples {
        kind,
        types,
        samples,
        ..
    } in samples::all()
    {
        for (event_type, _) in types {
            let of_type = || {
                samples
                    .iter()
                    .filter(|sample| sample.event_type == *event_type)
            };
            let present: BTreeSet<_> = of_type().flat_map(|sample| &sample.present).collect();
            for field in of_type().flat_map(|sample| &sample.declared) {
                let (name, field_name) = field;
                assert!(
                    present.contains(field),
                    "no sample of {event_type} in domain/src/upcast/samples/{kind}.rs shows \
                     {name}.{field_name}: add one under a new name; {HOW}"
                );
            }
        }
    }
}

/// What may be left out is left out in some sample, so that reading it stays tested.
#[test]
fn the_samples_of_an_event_lack_each_field_that_may_be_left_out() {
    for Samples { kind, samples, .. } in samples::all() {
        for Sample {
            event_type,
            schema_version,
            name,
            body,
            ..
        } in &samples
        {
            for field in body.as_object().unwrap().keys() {
                let mut without = body.clone();
                without.as_object_mut().unwrap().remove(field);
                let read = samples::read(kind, event_type, *schema_version, without.clone());
                let may_be_left_out = read.is_ok_and(|(_, now)| now == without);
                let lacking = samples.iter().any(|sample| {
                    sample.event_type == *event_type && sample.body.get(field).is_none()
                });
                assert!(
                    lacking || !may_be_left_out,
                    "every sample of {event_type} has {field}, as {name} does, which may be left \
                     out: add one without it (\"bare\"); {HOW}"
                );
            }
        }
    }
}

/// Why what a stored body says today is not what it should say.
fn differs(
    path: &str,
    (event_type, version): (&str, u32),
    stored: &Value,
    (now_type, now): (&'static str, Value),
) -> Option<String> {
    let expected = folder().join(now_file(path));
    let said = json!({ "type": now_type, "data": now });
    let Ok(expected) = fs::read_to_string(&expected) else {
        let itself = event_type == now_type && now == *stored;
        return (!itself).then(|| {
            format!("{path} reads as something else now: {said}, and nothing says that it should")
        });
    };
    if expected != line(&said) {
        return Some(format!("{path} reads as {said}, but should as {expected}"));
    }
    let today = samples::all()
        .iter()
        .any(|aggregate| aggregate.types.contains(&(now_type, version)));
    (today && event_type == now_type && !holds(&now, stored)).then(|| {
        format!("{path} loses something when it is read: raise the version and add an upcaster")
    })
}

/// Whether everything in `part` is in `whole`.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| holds(whole, part))),
        (whole, part) => whole == part,
    }
}

fn changed(path: &str, stored: &str, now: &str) -> String {
    format!(
        "{path} is not how the event is written now.\n  stored: {stored}  now:    {now}  If only \
         an optional field was added, give the sample a new name; the golden file stays. Any \
         other change needs a new version and an upcaster."
    )
}

/// What old bodies say today, written for review where that is not what they said.
fn write_what_old_ones_say_now() {
    for (path, stored) in fixtures() {
        let (kind, event_type, version) = parse(&path);
        let Ok((now_type, now)) = samples::read(kind, event_type, version, stored.clone()) else {
            continue;
        };
        let file = folder().join(now_file(&path));
        if (now_type, &now) != (event_type, &stored) {
            fs::write(file, line(&json!({ "type": now_type, "data": now }))).unwrap();
        } else if file.exists() {
            fs::remove_file(file).unwrap();
        }
    }
}

/// Adds a golden file and its line in the manifest.
fn store(path: &str, body: &str) {
    let file = folder().join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, body).unwrap();
    let mut listed = manifest();
    listed.insert(path.to_owned(), hex::encode(Sha256::digest(body)));
    let lines = listed
        .iter()
        .map(|(path, sha256)| format!("{sha256}  {path}\n"));
    fs::write(folder().join(MANIFEST), lines.collect::<String>()).unwrap();
}

const MANIFEST: &str = "MANIFEST";

/// The manifest: path to SHA-256, as `sha256sum` writes and checks it.
fn manifest() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join(MANIFEST)).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let (sha256, path) = line.split_once("  ").expect("a digest and a path");
        (path.to_owned(), sha256.to_owned())
    });
    lines.collect()
}

/// The stored bodies that are there, by path.
fn fixtures() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for aggregate in samples::all() {
        let Ok(files) = fs::read_dir(folder().join(aggregate.kind)) else {
            continue;
        };
        for file in files {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = format!("{}/{name}", aggregate.kind);
            if !name.ends_with(".now.json") {
                let body = fs::read(folder().join(&path)).unwrap();
                found.insert(path, serde_json::from_slice(&body).unwrap());
            }
        }
    }
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn file_of(kind: &str, sample: &Sample) -> String {
    let Sample {
        event_type,
        schema_version,
        name,
        ..
    } = sample;
    format!("{kind}/{event_type}.v{schema_version}.{name}.json")
}

fn now_file(path: &str) -> String {
    path.replace(".json", ".now.json")
}

/// Aggregate, type and version of a golden file.
fn parse(path: &str) -> (&str, &str, u32) {
    let (kind, name) = path.split_once('/').expect("a folder and a file");
    let mut parts = name.split('.');
    let event_type = parts.next().expect("a type");
    let version = parts.next().and_then(|part| part.strip_prefix('v'));
    let version = version.and_then(|version| version.parse().ok());
    (
        kind,
        event_type,
        version.unwrap_or_else(|| panic!("{path}: Type.v1.name.json")),
    )
}

fn shape_of(path: &str) -> String {
    let (kind, event_type, version) = parse(path);
    format!("{kind}/{event_type}.v{version}")
}

/// As it is stored, in a line of its own.
fn line(body: &Value) -> String {
    format!("{body}\n")
}

fn writing() -> bool {
    std::env::var_os("DAYBOOK_NEW_FIXTURES").is_some()
}
