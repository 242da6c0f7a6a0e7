//! A program as one tree: a counter for each customer, in partitions, so that customers for whom the counting crashes are
//! nobody else's affair. It ends by itself when all is counted; with the feature `signal` also at Ctrl-C.
//!
//! ```console
//! $ cargo run --example application
//! ```

use bedplate::supervisor::{
    Application, ChildSpec, Ended, Incarnation, Partitions, Restart, Strategy, SupRef, Supervisor,
    SupervisorBuilder,
};
use core::time::Duration;
use std::error::Error;

const CUSTOMERS: [&str; 6] = ["Ada", "Blaise", "Charles", "Dorothy", "Edsger", "Frances"];

fn main() -> Result<Ended, Box<dyn Error>> {
    // Where customers are found; the supervisors are added by `partitions`, in a supervisor of their own.
    let counters = Partitions::new(4)?;
    let described = counters.clone();
    let partitions = ChildSpec::supervisor("counters", move || {
        Supervisor::builder("counters").partitions(&described, |_number| partition())
    });
    let orders = ChildSpec::worker("orders", move |me| take_orders(me, &counters));
    let shop = Supervisor::builder("shop")
        .strategy(Strategy::RestForOne)
        .child(partitions)
        .child(orders.restart(Restart::Transient));
    let application = Application::new(shop);
    #[cfg(all(unix, feature = "signal"))]
    let ended = application.run_until_signal()?;
    #[cfg(not(all(unix, feature = "signal")))]
    let ended = application.run()?;
    println!("ended: {}", ended.reason);
    Ok(ended)
}

/// A partition has a limit of its own: here are those whose counters crash.
fn partition() -> SupervisorBuilder {
    Supervisor::builder("partition")
        .strategy(Strategy::Dynamic)
        .limit(5, Duration::from_secs(10))
        .quiet_panics(true)
}

fn take_orders(
    me: &Incarnation,
    counters: &Partitions,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    for customer in CUSTOMERS {
        let partition: SupRef = counters.route(customer)?;
        partition.start_child(counter(customer).restart(Restart::Transient))?;
    }
    while (0..counters.count()).any(|number| is_counting(counters, number)) {
        if me.stop().wait(Duration::from_millis(1)) {
            return Ok(());
        }
    }
    let shop = me.supervisor();
    println!("{}", shop.tree().ok_or("it ended")?);
    shop.request_stop();
    Ok(())
}

/// Who has ended cleanly is forgotten; who has crashed is there again.
fn is_counting(counters: &Partitions, number: usize) -> bool {
    let partition = counters.partition(number);
    partition.map_or(true, |partition| partition.count().active > 0)
}

/// Counts three orders, and crashes once if the customer is Blaise.
fn counter(customer: &'static str) -> ChildSpec {
    ChildSpec::worker(customer, move |me| {
        for order in 1..=3 {
            assert!(
                customer != "Blaise" || order != 2 || me.restarts() > 0,
                "cannot read order 2"
            );
            println!("{}: order {order} of {customer}", me.me().path());
        }
    })
}
