//! The machine does what Erlang/OTP's own `supervisor` was recorded doing.
//!
//! `data/otp_one_for_one.jsonl` holds one scenario a line, recorded on OTP 25: the children and
//! the restart intensity (the period is longer than any scenario), what the start led to, and for
//! each step what was done, what the reply was, what followed, and who was running then. Each
//! scenario ends before the first step that adds, stops or deletes a child by hand, which the
//! machine cannot do yet.

use bedplate_core::supervision::{Exit, Restart};
use core::time::Duration;
use loom_tests::op::supervision::World;
use loom_tests::oracle::supervision::{Child, Seen};
use serde_json::Value;

const SCENARIOS: &str = include_str!("data/otp_one_for_one.jsonl");

#[test]
fn one_for_one_does_what_otp_does() {
    let mut steps = 0;
    for line in SCENARIOS.lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        steps += replay(&scenario);
    }
    assert!(
        steps >= 1_000,
        "only {steps} steps: the recording is not whole"
    );
}

fn replay(scenario: &Value) -> usize {
    let ids = list(&scenario["children"])
        .iter()
        .map(|child| text(&child["id"]));
    let ids = ids.collect::<Vec<_>>();
    let place = |id: &Value| ids.iter().position(|&other| other == text(id)).unwrap();
    let children = list(&scenario["children"]).iter().map(|child| Child {
        restart: match text(&child["restart"]) {
            "permanent" => Restart::Permanent,
            "transient" => Restart::Transient,
            "temporary" => Restart::Temporary,
            other => panic!("restart {other}"),
        },
        limit: 5_000,
        deaf: false,
        fails: u32::from(scenario["init_fail"] == child["id"]),
    });
    let intensity = u32::try_from(scenario["intensity"].as_u64().unwrap()).unwrap();
    let mut world = World::new(
        children.collect(),
        intensity,
        Duration::from_secs(1_000_000),
    );
    let follows = |events: &Value| {
        let events = list(events).iter().map(|event| match text(&event[0]) {
            "started" => Seen::Started(place(&event[1])),
            "start_failed" => Seen::StartFailed(place(&event[1])),
            "ended" => Seen::Ended(place(&event[1])),
            other => panic!("event {other}"),
        });
        events.collect::<Vec<_>>()
    };

    world.start();
    assert_eq!(
        world.take_seen(),
        follows(&scenario["start"]["events"]),
        "{scenario}"
    );
    assert_eq!(
        world.ended().is_none(),
        scenario["start"]["ok"] == true,
        "{scenario}"
    );

    for step in list(&scenario["steps"]) {
        let child = place(&step["do"][1]);
        let was_running = match text(&step["do"][0]) {
            "crash" => world.exit(child, Exit::Abnormal),
            "normal" | "shutdown" | "shutdown_term" => world.exit(child, Exit::Clean),
            "fail_then_crash" => {
                let fails = step["do"][2].as_u64().unwrap();
                world.fail_next(child, u32::try_from(fails).unwrap());
                let was_running = world.exit(child, Exit::Abnormal);
                if !was_running {
                    world.fail_next(child, 0);
                }
                was_running
            }
            other => panic!("action {other}"),
        };
        assert_eq!(was_running, step["ret"] == "ok", "{step}\nin {scenario}");
        assert_eq!(
            world.take_seen(),
            follows(&step["events"]),
            "{step}\nin {scenario}"
        );
        assert_eq!(
            world.ended().is_none(),
            step["sup_alive"] == true,
            "{step}\nin {scenario}"
        );
        if world.ended().is_some() {
            break;
        }
        let children = list(&step["children"])
            .iter()
            .map(|child| match text(&child[1]) {
                "running" => (place(&child[0]), true),
                "undefined" => (place(&child[0]), false),
                other => panic!("state {other}"),
            });
        assert_eq!(
            world.children(),
            children.collect::<Vec<_>>(),
            "{step}\nin {scenario}"
        );
    }
    list(&scenario["steps"]).len()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
