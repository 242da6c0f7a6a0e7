//! The decisions of a supervisor of three tasks.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildPlan, Config, Event, Exit, FixedChildren, IncarnationId, Machine,
    RestartIntensity, Strategy,
};
use bedplate_firmware_sizes::{input, output, program};
use core::time::Duration;

program!(run);

fn run() -> ! {
    let Ok(limit) = RestartIntensity::<4>::new(3, Duration::from_secs(5)) else {
        panic!()
    };
    let config = Config::new(Strategy::RestForOne, limit);
    let Ok(mut machine) = Machine::new(config, FixedChildren::<u8, 3>::new()) else {
        panic!()
    };
    for id in 0..3 {
        _ = machine.add(Some(id), ChildPlan::default());
    }
    let mut last: Option<IncarnationId> = None;
    loop {
        let event = match (input(), last) {
            (0, _) => Event::Start,
            (1, Some(id)) => Event::Started(id),
            (2, Some(id)) => Event::Exited(id, Exit::Abnormal),
            (3, _) => Event::Shutdown,
            _ => Event::Tick,
        };
        let now = Instant::from_nanos(u64::from(input()));
        if let Ok(actions) = machine.step(now, event) {
            for action in actions {
                match action {
                    Action::Start(id) => last = Some(id),
                    Action::Stop(id) => output(id.number as u32),
                    _ => output(1),
                }
            }
        }
        output(
            machine
                .next_deadline()
                .map_or(0, |due| due.as_nanos() as u32),
        );
    }
}
