//! Given events, when a command, then events.

use serde_json::json;

use super::*;
use crate::Event;

fn context() -> Context {
    Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    }
}

fn revise(function: &str, suffix: &str) -> PipelineCommand {
    PipelineCommand::Revise {
        pipeline: "upper".parse().unwrap(),
        definition: Machine::of_function(&function.parse().unwrap()),
        triggers: vec![Trigger {
            bucket: "inbox".parse().unwrap(),
            prefix: None,
            suffix: Some(suffix.to_owned()),
        }],
        actor: "cli:ada".to_owned(),
    }
}

fn given(commands: Vec<PipelineCommand>) -> Pipeline {
    commands
        .into_iter()
        .fold(Pipeline::default(), |pipeline, command| {
            let events = pipeline.decide(command, &context()).unwrap();
            events
                .iter()
                .fold(pipeline, |pipeline, event| pipeline.evolve(event))
        })
}

fn actor() -> String {
    "cli:ada".to_owned()
}

#[test]
fn each_change_is_a_revision_and_no_change_is_none() {
    let pipeline = given(vec![revise("a", ".txt")]);
    assert!(
        pipeline
            .decide(revise("a", ".txt"), &context())
            .unwrap()
            .is_empty()
    );
    let pipeline = given(vec![
        revise("a", ".txt"),
        revise("b", ".txt"),
        revise("b", ".csv"),
    ]);
    assert_eq!(pipeline.current.unwrap().revision, 3);
}

#[test]
fn a_pipeline_that_comes_back_keeps_its_revision() {
    let retire = PipelineCommand::Retire { actor: actor() };
    let pipeline = given(vec![revise("a", ".txt"), retire.clone()]);
    assert!(pipeline.decide(retire, &context()).unwrap().is_empty());
    let events = pipeline.decide(revise("a", ".txt"), &context()).unwrap();
    let PipelineEvent::PipelineRevised(event) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(event.revision, 1);
}

#[test]
fn it_wants_what_its_triggers_say() {
    let bucket = "inbox".parse().unwrap();
    let key = |key: &str| ObjectKey::parse(key).unwrap();
    let pipeline = given(vec![revise("a", ".txt")]);
    assert!(pipeline.wants(&bucket, &key("x/y.txt")).is_some());
    assert!(pipeline.wants(&bucket, &key("y.csv")).is_none());
    assert!(
        pipeline
            .wants(&"other".parse().unwrap(), &key("y.txt"))
            .is_none()
    );
    let pause = PipelineCommand::Pause { actor: actor() };
    let paused = given(vec![revise("a", ".txt"), pause]);
    assert!(paused.paused && paused.wants(&bucket, &key("y.txt")).is_some());
    let retire = PipelineCommand::Retire { actor: actor() };
    let retired = given(vec![revise("a", ".txt"), retire]);
    assert!(retired.wants(&bucket, &key("y.txt")).is_none());
}

#[test]
fn pausing_twice_is_pausing_once() {
    let pause = || PipelineCommand::Pause { actor: actor() };
    let resume = || PipelineCommand::Resume { actor: actor() };
    let paused = given(vec![revise("a", ".txt"), pause()]);
    assert!(paused.decide(pause(), &context()).unwrap().is_empty());
    let events = paused.decide(resume(), &context()).unwrap();
    assert_eq!(events[0].event_type(), "PipelineResumed");
    assert_eq!(
        Pipeline::default().decide(pause(), &context()),
        Err(PipelineError::Unknown)
    );
}

#[test]
fn a_definition_that_cannot_run_is_refused() {
    let command = PipelineCommand::Revise {
        pipeline: "upper".parse().unwrap(),
        definition: json!({}),
        triggers: Vec::new(),
        actor: actor(),
    };
    let error = Pipeline::default().decide(command, &context()).unwrap_err();
    assert!(matches!(error, PipelineError::Definition(_)));
}
