use super::*;

fn about() -> About {
    About {
        export: Some("e1".into()),
        since: None,
        until: None,
        created_by: "cli:ada".into(),
        created_at: "2026-05-04T12:00:00Z".parse().unwrap(),
    }
}

fn line(position: u64) -> String {
    format!(
        r#"{{"type":"daybook.T{}","time":"2026-05-04T12:00:{position:02}.000001Z","position":{position},"data":{{}}}}"#,
        position % 2
    )
}

fn export(positions: &[u64]) -> (Manifest, String) {
    let mut builder = ManifestBuilder::new(about());
    let mut file = String::new();
    for position in positions {
        builder.add_line(line(*position).as_bytes()).unwrap();
        file.push_str(&line(*position));
        file.push('\n');
    }
    (builder.finish(), file)
}

#[test]
fn what_was_delivered_verifies() {
    for positions in [&[][..], &[1], &[1, 2, 5, 9]] {
        let (manifest, file) = export(positions);
        let json = serde_json::to_string(&manifest).unwrap();
        let manifest: Manifest = serde_json::from_str(&json).unwrap();
        let verified = verify(&manifest, file.as_bytes()).unwrap();
        assert_eq!(verified.count, positions.len() as u64);
        assert_eq!(manifest.bytes, file.len() as u64);
        assert_eq!(
            manifest.sha256,
            hex::encode(Sha256::digest(file.as_bytes()))
        );
    }
}

#[test]
fn the_manifest_counts() {
    let (manifest, _) = export(&[1, 2, 5, 9]);
    assert_eq!(manifest.count, 4);
    assert_eq!(
        (manifest.first_position, manifest.last_position),
        (Some(1), Some(9))
    );
    assert_eq!(manifest.types["daybook.T1"], 3);
    assert_eq!(manifest.types["daybook.T0"], 1);
}

/// The number of the line that an altered file is refused for; 0 if no line is named.
fn refused_at(manifest: &Manifest, file: &str) -> u64 {
    match verify(manifest, file.as_bytes()).unwrap_err() {
        VerifyError::Line { line, .. }
        | VerifyError::Unended { line }
        | VerifyError::Count { line, .. } => line,
        VerifyError::Different { .. } => 0,
        other => panic!("{other}"),
    }
}

#[test]
fn an_altered_file_is_refused_at_the_line() {
    let (manifest, file) = export(&[1, 2, 5, 9]);
    let lines: Vec<&str> = file.lines().collect();
    let of = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let more = line(10);

    let swapped = of(&[lines[0], lines[2], lines[1], lines[3]]);
    assert_eq!(refused_at(&manifest, &swapped), 3);
    let repeated = of(&[lines[0], lines[0], lines[1], lines[2]]);
    assert_eq!(refused_at(&manifest, &repeated), 2);
    let shorter = of(&lines[..3]);
    assert_eq!(refused_at(&manifest, &shorter), 4);
    let longer = of(&[lines[0], lines[1], lines[2], lines[3], &more]);
    assert_eq!(refused_at(&manifest, &longer), 5);
    let no_event = of(&[lines[0], "{}", lines[2], lines[3]]);
    assert_eq!(refused_at(&manifest, &no_event), 2);
    assert_eq!(refused_at(&manifest, &file[..file.len() - 1]), 4);
    let changed = file.replace("{}", "{ }");
    assert_eq!(refused_at(&manifest, &changed), 0);
    let one_byte = file.replacen("\"data\":{}", "\"date\":{}", 1);
    assert_eq!(refused_at(&manifest, &one_byte), 0);
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    let (mut manifest, file) = export(&[1]);
    manifest.version = 2;
    let error = verify(&manifest, file.as_bytes()).unwrap_err();
    assert!(matches!(error, VerifyError::Unknown { .. }));
}
