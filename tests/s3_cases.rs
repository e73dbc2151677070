//! The S3 surface as boto3 sees it: programs with many small cases, all against one server, on which
//! operators may make buckets.

use crate::support::clients::cases;
use crate::support::{Ledger, OPERATOR, UPPERCASE};

/// The programs in `tests/clients`.
const PROGRAMS: [&str; 9] = [
    "s3_auth.py",
    "s3_buckets.py",
    "s3_conditional.py",
    "s3_copy.py",
    "s3_listing.py",
    "s3_multipart.py",
    "s3_objects.py",
    "s3_tagging.py",
    "s3_versioning.py",
];

const MORE: &str = r#"
[s3]
create_buckets = true

[s3.keys.other]
access_key = "AKOTHER"
secret_key = "another-secret-of-the-tests"
"#;

#[tokio::test]
async fn every_case_of_the_s3_programs_passes() {
    let ledger = Ledger::new(&format!("{UPPERCASE}{OPERATOR}{MORE}"));
    let server = ledger.start().await;
    let mut failed = Vec::new();
    for program in PROGRAMS {
        let ran = cases(&server, program).await;
        if ran.code != 0 || !ran.out.contains(" passed, 0 failed") {
            failed.push(format!("{program}: {}{}", ran.out, ran.err));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
