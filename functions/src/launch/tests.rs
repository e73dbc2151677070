use std::fs;

use tempfile::TempDir;

use super::*;

struct Place {
    folder: TempDir,
    options: HostOptions,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["code", "run", "bin"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let options = HostOptions {
            path: folder.path().join("bin").into(),
            ..HostOptions::default()
        };
        Self { folder, options }
    }

    /// A file, executable.
    fn file(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn plan(&self, runtime: Runtime, handler: &str) -> Result<LaunchPlan, String> {
        let name = FunctionName::parse("thumb").unwrap();
        let spec = FunctionSpec::new(name, runtime, self.folder.path().join("code"), handler);
        let run = self.folder.path().join("run");
        let folder = match runtime {
            Runtime::Builtin => Ok(run.clone()),
            _ => live_folder(&spec, &[&run]),
        };
        let folder = folder.map_err(|error| error.to_string())?;
        plan(&spec, &self.options, &run, folder)
            .await
            .map_err(|error| error.to_string())
    }
}

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, String>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert!(error.starts_with("function thumb: "), "{error}");
    for part in parts {
        assert!(error.contains(part), "{error} lacks {part}");
    }
}

#[tokio::test]
async fn node_says_what_is_missing() {
    let place = Place::new();
    let plan = async || place.plan(Runtime::NodeJs, "index.handler").await;
    says(
        plan().await,
        &["Node.js is not installed", "apt-get install nodejs"],
    );
    place.file("bin/node", "");
    says(plan().await, &["index.mjs", "code"]);
    place.file("code/index.mjs", "");
    says(
        plan().await,
        &["run npm install aws-lambda-ric@3.3.0 there", "cmake"],
    );
    place.file("code/node_modules/aws-lambda-ric/bin/index.mjs", "");
    let found = plan().await.unwrap();
    assert_eq!(found.arguments[1], "index.handler");
    assert!(place.folder.path().join("run/aws-sdk-v2.cjs").is_file());
    says(
        place.plan(Runtime::NodeJs, "index").await,
        &["not of the form index.handler"],
    );
    says(
        place.plan(Runtime::NodeJs, "../x.handler").await,
        &["not of the form"],
    );
}

#[tokio::test]
async fn node_takes_a_client_from_elsewhere() {
    let mut place = Place::new();
    place.file("bin/node", "");
    place.file("code/index.js", "");
    place.file("clients/node_modules/aws-lambda-ric/bin/index.mjs", "");
    place.options.client_dirs = vec![place.folder.path().join("clients")];
    let found = place.plan(Runtime::NodeJs, "index.handler").await.unwrap();
    assert!(Path::new(&found.arguments[0]).starts_with(place.folder.path().join("clients")));
}

#[tokio::test]
async fn python_says_what_is_missing() {
    let place = Place::new();
    let plan = async || place.plan(Runtime::Python, "pkg/handler.main").await;
    says(
        plan().await,
        &["Python is not installed", "apt-get install python3"],
    );
    place.file("bin/python3", "#!/bin/sh\nexit 3\n");
    says(plan().await, &["needs a file pkg/handler.py"]);
    place.file("code/pkg/handler.py", "");
    says(
        plan().await,
        &["awslambdaric is not installed", "pip install awslambdaric"],
    );
    place.file("code/.venv/bin/python", "#!/bin/sh\nexit 0\n");
    let found = plan().await.unwrap();
    assert!(found.program.ends_with("code/.venv/bin/python"));
    place.file("code/.venv/bin/python", "#!/bin/sh\nexit 1\n");
    says(plan().await, &["does not work"]);
}

#[tokio::test]
async fn provided_needs_an_executable() {
    let place = Place::new();
    says(
        place.plan(Runtime::Provided, "app").await,
        &["no executable file bootstrap or \"app\""],
    );
    place.file("code/app", "");
    assert!(
        place
            .plan(Runtime::Provided, "app")
            .await
            .unwrap()
            .program
            .ends_with("code/app")
    );
    place.file("code/bootstrap", "");
    assert!(
        place
            .plan(Runtime::Provided, "app")
            .await
            .unwrap()
            .program
            .ends_with("bootstrap")
    );
    fs::remove_dir_all(place.folder.path().join("code")).unwrap();
    says(
        place.plan(Runtime::Provided, "app").await,
        &["code folder", "is not there"],
    );
}

#[tokio::test]
async fn a_code_folder_must_not_contain_what_changes() {
    let place = Place::new();
    place.file("code/bootstrap", "");
    place.file("code/data/run/x", "");
    let code = place.folder.path().join("code");
    let name = FunctionName::parse("thumb").unwrap();
    let spec = FunctionSpec::new(name, Runtime::Provided, &code, "");
    let run_dir = code.canonicalize().unwrap().join("data/run");
    let result = live_folder(&spec, &[&run_dir]);
    says(
        result.map_err(|error| error.to_string()),
        &["contains the ledger's own files"],
    );
}

#[tokio::test]
async fn builtin_appends_the_handler() {
    let mut place = Place::new();
    says(
        place.plan(Runtime::Builtin, "uppercase").await,
        &["no built-in functions"],
    );
    place.options.builtin_command = vec!["/bin/daybook".into(), "builtin".into()];
    let found = place.plan(Runtime::Builtin, "uppercase").await.unwrap();
    assert_eq!(found.program, Path::new("/bin/daybook"));
    assert_eq!(found.arguments, ["builtin", "uppercase"]);
}
