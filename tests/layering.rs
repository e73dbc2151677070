//! The floors of `ARCHITECTURE.md`, checked against the manifests.
//!
//! The facts come from `cargo metadata`; [`violations`] compares them with [`FLOORS`] and names
//! every edge that should not be there. All kinds of dependencies count, those of tests and build
//! scripts too: a test that needs the floor above belongs in this package.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The workspace's packages and which of each other they may use.
///
/// A new package needs a row here, which is the moment to think about where it belongs.
const FLOORS: &[(&str, &[&str])] = &[
    // Floor 0 knows nobody.
    ("daybook-disk", &[]),
    ("daybook-domain", &[]),
    ("daybook-event-store", &[]),
    ("daybook-audit", &[]),
    // Floor 1: the hosts of the outer world know the domain; projections fold the log.
    ("daybook-functions", &["daybook-domain"]),
    ("daybook-intake", &["daybook-domain"]),
    ("daybook-s3-gateway", &["daybook-disk", "daybook-domain"]),
    (
        "daybook-projections",
        &[
            "daybook-disk",
            "daybook-domain",
            "daybook-event-store",
            "daybook-audit",
        ],
    ),
    // Floor 2: the two sides do not know each other, and commands never ask a read model.
    (
        "daybook-command-service",
        &[
            "daybook-domain",
            "daybook-event-store",
            "daybook-audit",
            "daybook-functions",
            "daybook-intake",
            "daybook-s3-gateway",
        ],
    ),
    (
        "daybook-query-service",
        &[
            "daybook-domain",
            "daybook-event-store",
            "daybook-audit",
            "daybook-projections",
        ],
    ),
    // Floor 3 wires and tests everything.
    ("daybook", ALL_BELOW),
    // A function that only takes in: the command side without what runs and what reads.
    (
        "daybook-lambda",
        &[
            "daybook-domain",
            "daybook-event-store",
            "daybook-intake",
            "daybook-command-service",
        ],
    ),
    ("daybook-tests", EVERYTHING),
];

const ALL_BELOW: &[&str] = &[
    "daybook-disk",
    "daybook-domain",
    "daybook-event-store",
    "daybook-audit",
    "daybook-functions",
    "daybook-intake",
    "daybook-s3-gateway",
    "daybook-projections",
    "daybook-command-service",
    "daybook-query-service",
];

const EVERYTHING: &[&str] = &[
    "daybook",
    "daybook-disk",
    "daybook-domain",
    "daybook-event-store",
    "daybook-audit",
    "daybook-functions",
    "daybook-intake",
    "daybook-s3-gateway",
    "daybook-projections",
    "daybook-command-service",
    "daybook-query-service",
];

/// Packages that are pure: no I/O, no async runtime, no source of randomness, no log lines.
const PURE: &[&str] = &["daybook-domain", "daybook-audit"];

/// What a pure package would use if it stopped being pure.
const IMPURE_CRATES: &[&str] = &[
    "async-trait",
    "axum",
    "cqrs-es",
    "fs-err",
    "futures",
    "getrandom",
    "hyper",
    "hyper-util",
    "notify",
    "object_store",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "s3s",
    "tempfile",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tracing",
];

/// Frameworks that stay behind one wall, so that they can be replaced without touching the rest.
const KEPT_WITHIN: &[(&str, &str)] = &[
    ("async-graphql", "daybook-query-service"),
    ("cqrs-es", "daybook-command-service"),
];

/// Package name to the names of all that it depends on directly.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Everything in `graph` that breaks the tables above, one sentence each.
fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (package, dependencies) in graph {
        let Some((_, may_use)) = FLOORS.iter().find(|(name, _)| name == package) else {
            found.push(format!("{package} has no row in FLOORS"));
            continue;
        };
        for dependency in dependencies {
            let dependency = dependency.as_str();
            // A package's benches may ask for its own features.
            let of_ours = graph.contains_key(dependency) && dependency != package;
            if of_ours && !may_use.contains(&dependency) {
                found.push(format!("{package} may not use {dependency}"));
            }
            if PURE.contains(&package.as_str()) && IMPURE_CRATES.contains(&dependency) {
                found.push(format!("{package} is pure and may not use {dependency}"));
            }
            for (framework, home) in KEPT_WITHIN {
                if dependency == *framework && package != home {
                    found.push(format!(
                        "{package} may not use {dependency}, which stays within {home}"
                    ));
                }
            }
        }
    }
    for (name, _) in FLOORS {
        if !graph.contains_key(*name) {
            found.push(format!("{name} has a row in FLOORS and is no package"));
        }
    }
    found
}

/// The graph of this workspace as the manifests have it.
fn workspace_graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .args(["--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let name_of = |value: &serde_json::Value| {
        let name = value["name"].as_str().expect("a package has a name");
        name.to_owned()
    };
    metadata["packages"]
        .as_array()
        .expect("cargo metadata lists packages")
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a package lists its dependencies");
            (name_of(package), dependencies.iter().map(name_of).collect())
        })
        .collect()
}

#[test]
fn each_package_uses_only_the_floors_below_it() {
    let found = violations(&workspace_graph());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A graph that breaks no rule: every package of the table, using all it may.
fn sound_graph() -> Graph {
    FLOORS
        .iter()
        .map(|(name, may_use)| {
            let uses = may_use.iter().map(|used| (*used).to_owned());
            ((*name).to_owned(), uses.collect())
        })
        .collect()
}

/// What the checker says once `package` depends on `dependency` in an otherwise sound graph.
#[track_caller]
fn check_edge(package: &str, dependency: &str, expect: &[&str]) {
    let mut graph = sound_graph();
    graph
        .entry(package.to_owned())
        .or_default()
        .insert(dependency.to_owned());
    assert_eq!(violations(&graph), expect);
}

#[test]
fn a_sound_graph_passes() {
    assert_eq!(violations(&sound_graph()), Vec::<String>::new());
    check_edge("daybook-domain", "serde", &[]);
    check_edge("daybook-event-store", "tokio", &[]);
}

#[test]
fn a_forbidden_edge_is_named() {
    check_edge(
        "daybook-event-store",
        "daybook-domain",
        &["daybook-event-store may not use daybook-domain"],
    );
    check_edge(
        "daybook-command-service",
        "daybook-query-service",
        &["daybook-command-service may not use daybook-query-service"],
    );
    check_edge(
        "daybook-query-service",
        "daybook-command-service",
        &["daybook-query-service may not use daybook-command-service"],
    );
    check_edge(
        "daybook-command-service",
        "daybook-projections",
        &["daybook-command-service may not use daybook-projections"],
    );
    check_edge(
        "daybook-domain",
        "tokio",
        &["daybook-domain is pure and may not use tokio"],
    );
    check_edge(
        "daybook",
        "async-graphql",
        &["daybook may not use async-graphql, which stays within daybook-query-service"],
    );
}

#[test]
fn the_table_and_the_workspace_name_the_same_packages() {
    check_edge(
        "daybook-console",
        "serde",
        &["daybook-console has no row in FLOORS"],
    );
    let mut graph = sound_graph();
    graph.remove("daybook-audit");
    assert_eq!(
        violations(&graph),
        ["daybook-audit has a row in FLOORS and is no package"]
    );
}
