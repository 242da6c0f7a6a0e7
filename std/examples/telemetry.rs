//! A small shop whose worker crashes once, and three who want to know what happens: one prints what bedplate itself
//! tells, one writes lines of JSON, one adds up readings in batches.
//!
//! ```console
//! $ cargo run --example telemetry
//! ```

use bedplate::supervisor::{ChildSpec, Supervisor};
use bedplate::telemetry::{self, Batch, Event, EventName, FailurePolicy, Limits, Pattern, sink};
use core::time::Duration;
use std::error::Error;
use std::io;

fn main() -> Result<(), Box<dyn Error>> {
    // Handlers are called in this order, on the thread on which the event happens.
    let of_bedplate = Pattern::under(EventName::new("bedplate.supervisor"));
    telemetry::attach("ends", of_bedplate, |event: &Event<'_>| {
        println!("bedplate says: {event}");
    })?;
    telemetry::attach(
        "json",
        Pattern::under(EventName::new("shop")),
        sink::json_lines(io::stdout()),
    )?;
    // A handler that is broken harms nobody: it is detached, and that is told, too.
    telemetry::handler("broken")
        .to(EventName::new("shop.order.placed"))
        .filter(|event| {
            event
                .measurement("items")
                .is_some_and(|it| it.as_f64() > 2.0)
        })
        .on_failure(FailurePolicy::Detach)
        .attach(|_: &Event<'_>| Err::<(), _>("the printer is out of paper"))?;
    // What becomes of handlers, and what is lost because it came too fast.
    let own = Pattern::under(EventName::new("bedplate.telemetry"));
    telemetry::attach("own", own, |event: &Event<'_>| {
        println!("bedplate says: {event}")
    })?;

    // Readings come often: each is stored in a few nanoseconds, and many are handed out at once.
    let limits = Limits {
        items: 500,
        age: Duration::from_millis(200),
        ..Limits::DEFAULT
    };
    telemetry::handler("readings")
        .to(EventName::new("oven.read"))
        .attach_batched(limits, |batch: &Batch<'_>| {
            let of_one_name = batch.aggregates::<1>();
            for all in of_one_name.iter() {
                println!(
                    "{} readings, the highest {}, by {:?}",
                    all.count,
                    all.max,
                    batch.closed()
                );
            }
        })?;

    let worker = ChildSpec::worker("oven", |me| {
        for reading in 0..1_200_u64 {
            telemetry::record!("oven.read", { celsius: 180 + reading % 40 }, { oven: 1_u32 });
        }
        for items in 1..=3_u64 {
            telemetry::emit!("shop.order.placed", { items: items }, { customer: "Ada", run: me.number() });
        }
        assert!(me.number() > 1, "the first oven is faulty");
        telemetry::emit!("shop.closed");
        while !me.stop().wait(Duration::from_secs(1)) {}
    });
    let supervisor = Supervisor::builder("shop")
        .quiet_panics(true)
        .child(worker)
        .start()?;
    while supervisor
        .handle()
        .child("oven")
        .is_none_or(|oven| oven.incarnation() < 2)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(50));

    // What was recorded is told when this returns.
    println!("stopped: {:?}", supervisor.shutdown().clean);
    println!("recorded: {:?}", telemetry::recorded());

    // From here on none of them runs, or ever will.
    for id in ["ends", "json", "own", "readings"] {
        println!("{id}: {:?}", telemetry::detach(id)?);
    }
    assert!(telemetry::detach("broken").is_err(), "it is gone already");
    Ok(())
}
