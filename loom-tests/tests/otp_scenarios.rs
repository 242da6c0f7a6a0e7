//! The machine does what Erlang/OTP's own `supervisor` was recorded doing.
//!
//! `data/otp_supervisor.jsonl` holds one scenario a line, recorded on OTP 25: strategy, restart
//! intensity (the period is longer than any scenario), auto-shutdown, the children, whose first start fails,
//! what the start led to, and for each step what was done, what the reply was, what followed, and who
//! was there then. In short:
//!
//! - a child is its id, `P`ermanent, `T`ransient or `t`emporary, and `*` if it is significant;
//! - what follows is `+a` (a was started), `!a` (its start failed) or `-a=boom` (it ended for this reason);
//! - who is there is `a+` (a runs) or `b.` (b does not), in start order, or `dead` when the supervisor is.
//!
//! What the machine does differently from OTP cannot be seen in them: the recordings know no time, no
//! child that does not stop, and no reason of the supervisor's own end. `docs/DESIGN.md` lists it.

use bedplate_core::supervision::{AutoShutdown, Exit, Restart, Strategy};
use loom_tests::op::supervision::World;
use loom_tests::oracle::supervision::{Child, Reply, Seen, Setting, State, Why};
use serde_json::Value;
use std::collections::HashSet;

const SCENARIOS: &str = include_str!("data/otp_supervisor.jsonl");

#[test]
fn the_machine_does_what_otp_does() {
    let (mut scenarios, mut steps) = (0, 0);
    let mut covered = HashSet::new();
    for line in SCENARIOS.lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        steps += replay(&scenario, &mut covered);
        scenarios += 1;
    }
    assert!(
        scenarios >= 1_000 && steps >= 3_000,
        "only {scenarios} scenarios with {steps} steps: the recording is not whole"
    );
    // Each strategy with each kind of auto-shutdown, and each thing done with each of its replies.
    assert_eq!(covered.len(), 9 + 21, "{covered:?}");
}

fn replay(scenario: &Value, covered: &mut HashSet<String>) -> usize {
    let specs: Vec<&str> = text(&scenario["children"]).split(' ').collect();
    let place = |id: &str| specs.iter().position(|spec| spec[..1] == id[..1]).unwrap();
    let children = specs.iter().map(|spec| {
        let mut child = Child::new(match &spec[1..2] {
            "P" => Restart::Permanent,
            "T" => Restart::Transient,
            "t" => Restart::Temporary,
            other => panic!("restart {other}"),
        });
        child.significant = spec.ends_with('*');
        child.fails = u32::from(scenario["init_fail"].as_str() == Some(&spec[..1]));
        child
    });
    let setting = Setting {
        strategy: match text(&scenario["strategy"]) {
            "one_for_one" => Strategy::OneForOne,
            "one_for_all" => Strategy::OneForAll,
            "rest_for_one" => Strategy::RestForOne,
            other => panic!("strategy {other}"),
        },
        auto_shutdown: match text(&scenario["auto_shutdown"]) {
            "never" => AutoShutdown::Never,
            "any_significant" => AutoShutdown::AnySignificant,
            "all_significant" => AutoShutdown::AllSignificant,
            other => panic!("auto-shutdown {other}"),
        },
        intensity: u32::try_from(scenario["intensity"].as_u64().unwrap()).unwrap(),
        period: u64::MAX,
        budget: None,
    };
    covered.insert(format!(
        "{} {}",
        scenario["strategy"], scenario["auto_shutdown"]
    ));
    let follows = |events: &str| -> Vec<Seen> {
        let events = events.split_whitespace();
        let seen = events.map(|event| match event.split_at(1) {
            ("+", id) => Seen::Started(place(id)),
            ("!", id) => Seen::StartFailed(place(id)),
            ("-", id) => Seen::Ended(place(id)),
            _ => panic!("event {event}"),
        });
        seen.collect()
    };

    let mut world = World::new(&setting, children.collect());
    world.start();
    let (up, events) = text(&scenario["start"]).split_once("; ").unwrap();
    assert_eq!(world.take_seen(), follows(events), "{scenario}");
    let failed = matches!(world.ended(), Some(Why::StartFailed(_)));
    assert_eq!(failed, up == "failed", "{scenario}");

    let steps = scenario["steps"].as_array().unwrap();
    for step in steps {
        let [act, reply, events, there] = text(step)
            .split("; ")
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let mut act = act.split(' ');
        let (act, id, count) = (act.next().unwrap(), act.next().unwrap(), act.next());
        covered.insert(format!("{act} {reply}"));
        assert_eq!(
            perform(&mut world, act, place(id), count),
            reply,
            "{step}\nin {scenario}"
        );
        assert_eq!(world.take_seen(), follows(events), "{step}\nin {scenario}");
        assert_eq!(
            world.ended().is_some(),
            there == "dead",
            "{step}\nin {scenario}"
        );
        if there == "dead" {
            break;
        }
        let mut right = Vec::new();
        for at in (0..there.len()).step_by(2) {
            let state = match &there[at + 1..at + 2] {
                "+" => State::Running,
                "." => State::Stopped,
                other => panic!("state {other}"),
            };
            right.push((place(&there[at..]), state));
        }
        assert_eq!(world.children(), right, "{step}\nin {scenario}");
        let count = world.count();
        let active = there.matches('+').count();
        assert_eq!((count.specs, count.active), (right.len(), active));
    }
    steps.len()
}

/// Does something, and says what OTP would reply.
fn perform(world: &mut World, act: &str, child: usize, count: Option<&str>) -> &'static str {
    let ended = |running| if running { "ok" } else { "not_running" };
    match act {
        "crash" => ended(world.exit(child, Exit::Abnormal)),
        "normal" | "shutdown" | "shutdown_term" => ended(world.exit(child, Exit::Clean)),
        "fail_then_crash" => {
            world.fail_next(child, count.unwrap().parse().unwrap());
            ended(world.exit(child, Exit::Abnormal))
        }
        "start_child" => reply(world.start_child(child)),
        "terminate_child" => reply(world.terminate(child)),
        "restart_child" => reply(world.restart(child)),
        "delete_child" => reply(world.delete(child)),
        other => panic!("action {other}"),
    }
}

fn reply(reply: Reply) -> &'static str {
    match reply {
        Reply::Done => "ok",
        Reply::StartFailed => "error",
        Reply::NotFound => "not_found",
        Reply::Running => "running",
        Reply::Restarting => "restarting",
        Reply::AlreadyStarted => "already_started",
        Reply::AlreadyPresent => "already_present",
        Reply::Dynamic => "simple_one_for_one",
        Reply::Later => "no reply",
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
