//! Every input in `fuzz/corpus` and `fuzz/regressions` is run, on stable, by every test run.

use loom_tests::op;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs one input of a fuzz target.
type Run = fn(&[u8]);

const TARGETS: &[(&str, Run)] = &[
    ("context_frames", op::context::run),
    ("dedup_window", |bytes| {
        op::dedup::run(bytes);
        op::dedup_shared::run(bytes);
        op::dedup_shared::run_every_nth(bytes);
    }),
    ("drain", op::drain::run),
    ("event_name", op::handlers::run_names),
    ("groups_ops", op::groups::run),
    ("handlers_ops", op::handlers::run),
    ("open_spans", op::spans::run),
    ("registry_ops", op::registry::run),
    ("restart_intensity", op::intensity::run),
    ("ring_ops", op::ring::run),
    ("supervision_tree", |bytes| {
        op::supervision::run(bytes);
        op::supervision::late::run(bytes);
    }),
    ("traceparent", op::trace::run),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_input_still_passes() {
    for (target, run) in TARGETS {
        let corpus = inputs(&fuzz().join("corpus").join(target));
        assert!(corpus.len() >= 5, "{target} has no corpus to speak of");
        for path in corpus
            .into_iter()
            .chain(inputs(&fuzz().join("regressions").join(target)))
        {
            println!("{}", path.display()); // shown for the one that fails
            run(&fs::read(&path).expect("readable"));
        }
    }
}

/// A new fuzz target must be added above, or its corpus would lie there unplayed.
#[test]
fn every_target_is_replayed() {
    let mut targets: Vec<_> = inputs(&fuzz().join("fuzz_targets"))
        .iter()
        .map(|path| {
            path.file_stem()
                .expect("a file")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    targets.sort();
    let known: Vec<_> = TARGETS.iter().map(|(target, _)| *target).collect();
    assert_eq!(targets, known);
}
